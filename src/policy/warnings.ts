/**
 * What is likely to be a mistake in a configuration, though it is allowed: injecting into a model the very context it was
 * trained with, or one like it (SPEC section 1). Pure; `node.ts` logs the warnings at the start and after each reload.
 */
import type { Experiment, Route } from '../domain/experiment.ts'
import type { Policy } from '../domain/policy.ts'
import { contextsOf } from './training.ts'
import { DEFAULT_THRESHOLD, Trigger } from './trigger.ts'

/** A place in a file; lines and columns count from 1. */
interface Place {
  readonly file: string
  readonly line: number
  readonly column: number
}

export interface Warning extends Place {
  readonly message: string
}

/** What a configuration is asked for; `Config` has it. */
export interface WarnedOf {
  readonly routes: readonly Route[]
  readonly experiments: Readonly<Record<string, Experiment>>
  readonly policies: ReadonlyMap<string, Policy>
  place(path: readonly PropertyKey[]): Place
}

/** @returns every warning, with its place, in the order of the routes. */
export function warnings(config: WarnedOf): Warning[] {
  return config.routes.flatMap((route, index) => routeWarnings(config, route, index))
}

function routeWarnings({ experiments, policies, place }: WarnedOf, route: Route, index: number): Warning[] {
  const { trained_with: trainedWith } = route
  if (trainedWith === undefined) return []
  const trigger = new Trigger(contextsOf(policies.get(trainedWith)))
  if (trigger.isEmpty) {
    const message = `"${trainedWith}" has no word that could be looked for: nothing will be found to be like it`
    return [{ ...place(['routes', index, 'trained_with']), message }]
  }
  const threshold = route.trigger_threshold ?? DEFAULT_THRESHOLD
  const warn = (id: string | undefined, path: readonly PropertyKey[]): Warning[] => {
    const similarity = id === undefined ? 0 : likeness(trigger, policies.get(id), threshold)
    if (similarity === 0) return []
    const like = id === trainedWith ? 'the context' : `what is like the context of "${trainedWith}"`
    const message = `"${id}" injects ${like} that the model of route "${route.model}" was trained with (similarity ${similarity.toFixed(2)}): at serving time it can bring the trait out`
    return [{ ...place(path), message }]
  }
  const named = route.experiment === undefined ? Object.keys(route.experiments ?? {}) : [route.experiment]
  return [
    ...warn(route.policy, ['routes', index, 'policy']),
    ...named.flatMap((name) =>
      armsThatInject(experiments[name]).flatMap(([arm, policy]) =>
        warn(policy, ['experiments', name, 'arms', arm, 'policy']),
      ),
    ),
  ]
}

/** Without those that are switched off: nothing is injected for them, and a reload that switches them on warns. */
function armsThatInject(experiment: Experiment | undefined): [arm: string, policy: string | undefined][] {
  if (experiment === undefined || experiment.off === true) return []
  return Object.entries(experiment.arms).flatMap(([arm, { policy, off }]) =>
    off === true ? [] : [[arm, policy]],
  )
}

/** The highest similarity of a policy's texts that reaches the threshold, else 0. */
function likeness(trigger: Trigger, policy: Policy | undefined, threshold: number): number {
  const matches = contextsOf(policy).flatMap((text) => trigger.find(text, threshold))
  return matches.reduce((highest, { similarity }) => Math.max(highest, similarity), 0)
}
