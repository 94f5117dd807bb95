/**
 * What a route says of its model's training, compiled: the guard against text like the training context, and the rule that
 * tells requests of the training's domain. Called by `compile.ts` at load; what comes out is used by the pipeline.
 */
import { RE2JS } from 're2js'
import type { ClassifierSettings, Route, TriggerAction } from '../domain/experiment.ts'
import type { Policy } from '../domain/policy.ts'
import type { DomainClassifier } from '../domain/ports.ts'
import { DEFAULT_THRESHOLD, Trigger } from './trigger.ts'

export interface Guard {
  readonly action: TriggerAction
  readonly trigger: Trigger
  readonly threshold: number
}

/** What tells whether a client's text is in the domain of the training: patterns at once, or somebody who is asked. */
export type CompiledDomain =
  | { readonly kind: 'patterns'; readonly matches: (text: string) => boolean }
  | { readonly kind: 'classifier'; readonly classifier: DomainClassifier }

export interface CompiledTraining {
  /** Null where nothing is looked for. */
  readonly guard: Guard | null
  /** Null where the context is not injected by domain. */
  readonly domain: CompiledDomain | null
}

/** Makes the classifier of a route. @param contexts the texts of the training context. */
export type CreateClassifier = (
  route: string,
  settings: ClassifierSettings,
  contexts: readonly string[],
) => DomainClassifier

/** The arms of a route with `match_training`: what the domain rule says, not chance, leads to them. */
export const IN_DOMAIN = 'in-domain'
export const OUT_OF_DOMAIN = 'out-of-domain'

/** @returns null for a route that says nothing of its model's training: then nothing is done for it. */
export function compileTraining(
  route: Route,
  policies: ReadonlyMap<string, Policy>,
  createClassifier: CreateClassifier,
): CompiledTraining | null {
  if (route.trained_with === undefined) return null
  const contexts = contextsOf(policies.get(route.trained_with))
  const { triggers, trigger_threshold: threshold, match_training: matching, domain } = route
  const guard =
    triggers === undefined
      ? null
      : { action: triggers, trigger: new Trigger(contexts), threshold: threshold ?? DEFAULT_THRESHOLD }
  if (matching === undefined) return guard === null ? null : { guard, domain: null }
  if (domain?.classifier === undefined) {
    return { guard, domain: { kind: 'patterns', matches: anyOf(domain?.patterns ?? []) } }
  }
  const classifier = createClassifier(route.model, domain.classifier, contexts)
  return { guard, domain: { kind: 'classifier', classifier } }
}

/** The texts of a policy: each is a context of its own. */
export function contextsOf(policy: Policy | undefined): readonly string[] {
  return policy?.interventions.map(({ text }) => text) ?? []
}

/** In time linear in the text's length, which a client chooses. */
function anyOf(patterns: readonly string[]): (text: string) => boolean {
  const compiled = patterns.map((pattern) => RE2JS.compile(pattern))
  return (text) => compiled.some((pattern) => pattern.matcher(text).find())
}
