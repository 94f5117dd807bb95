/**
 * Compiles routes, experiments, policies and checks into the plan that requests run through. Called at load; whatever
 * a request needs is looked up and prepared here. References were checked by the configuration.
 */
import type { Check } from '../domain/check.ts'
import type { Experiment, Holdout, Route, UnitSource } from '../domain/experiment.ts'
import type { Policy } from '../domain/policy.ts'
import type { RequestLabels } from '../domain/ports.ts'
import {
  type CompiledArm,
  type CompiledExperiment,
  type CompiledPolicy,
  compileExperiment,
  compilePolicy,
  compileSoleArm,
  type References,
} from './compile-experiment.ts'

export type { CompiledArm, CompiledExperiment, CompiledPolicy } from './compile-experiment.ts'

/** An experiment among those that exclude each other on a route. */
export interface Candidate {
  readonly experiment: CompiledExperiment
  readonly weight: number
  readonly cumulativeWeight: number
}

export interface CompiledRoute {
  /** The model pattern: the route's name in metrics. */
  readonly name: string
  /** Its place in the file, from 0. */
  readonly index: number
  readonly upstream: string
  /** Where its requests are assigned by; the same for all its experiments. */
  readonly unit: readonly UnitSource[]
  /** One, or several that exclude each other. */
  readonly candidates: readonly Candidate[]
  /** The candidates' names, joined by commas: what the choice among them is hashed from. */
  readonly candidateNames: string
  /** Null where no unit is kept out of everything. */
  readonly holdout: Holdout | null
  /** Metric labels of requests served under an arm. */
  readonly labels: ReadonlyMap<CompiledArm, RequestLabels>
  /** Metric labels of requests whose unit is in no arm. */
  readonly unassigned: RequestLabels
}

export interface Plan {
  readonly routes: readonly CompiledRoute[]
  /** Every experiment with a name, those of routes without one included. */
  readonly experiments: readonly CompiledExperiment[]
  readonly checks: ReadonlyMap<string, Check>
  /** The route of a model, or null. A request that names no model has the model ''. */
  route(model: string): CompiledRoute | null
}

export interface PlanSource {
  readonly routes: readonly Route[]
  readonly experiments: Readonly<Record<string, Experiment>>
  readonly holdout?: Holdout | undefined
  readonly unit_key?: string | undefined
  readonly policies: ReadonlyMap<string, Policy>
  readonly checks: ReadonlyMap<string, Check>
}

/** @throws Error when a reference leads nowhere: the configuration should have refused it. */
export function compilePlan(source: PlanSource): Plan {
  // Only what an arm injects is compiled: the catalog holds many policies, and a configuration uses a few.
  const policies = new Map<string, CompiledPolicy>()
  const compiled = (id: string) => {
    const policy = policies.get(id) ?? compilePolicy(found(source.policies.get(id), `policy ${id}`))
    policies.set(id, policy)
    return policy
  }
  const references: References = {
    policy: (id) => (id === undefined ? null : compiled(id)),
    check: (id) => (id === undefined ? null : found(source.checks.get(id), `check ${id}`)),
    unitKey: source.unit_key ?? '',
  }
  const experiments = new Map<string, CompiledExperiment>()
  for (const [name, experiment] of Object.entries(source.experiments)) {
    experiments.set(name, compileExperiment(name, experiment, references))
  }

  const routes = source.routes.map((route, index): CompiledRoute => {
    const candidates = compileCandidates(route, experiments, references)
    for (const { experiment } of candidates) {
      if (experiment.name !== '') experiments.set(experiment.name, experiment)
    }
    return {
      name: route.model,
      index,
      upstream: route.upstream,
      unit: candidates[0]!.experiment.unit,
      candidates,
      candidateNames: candidates.map(({ experiment }) => experiment.name).join(','),
      holdout: source.holdout ?? null,
      labels: armLabels(route.model, candidates),
      unassigned: { route: route.model, experiment: '', arm: '' },
    }
  })

  const matchers = routes.map((route) => [modelMatcher(route.name), route] as const)
  return {
    routes,
    experiments: [...experiments.values()],
    checks: source.checks,
    route: (model) => matchers.find(([matches]) => matches(model))?.[1] ?? null,
  }
}

function compileCandidates(
  route: Route,
  experiments: ReadonlyMap<string, CompiledExperiment>,
  references: References,
): Candidate[] {
  if (route.experiment === undefined && route.experiments === undefined) {
    return [{ experiment: compileSoleArm(route, references), weight: 1, cumulativeWeight: 1 }]
  }
  let cumulativeWeight = 0
  return Object.entries(route.experiments ?? { [route.experiment!]: 1 }).map(([name, weight]) => {
    cumulativeWeight += weight
    return { experiment: found(experiments.get(name), `experiment ${name}`), weight, cumulativeWeight }
  })
}

function armLabels(route: string, candidates: readonly Candidate[]): Map<CompiledArm, RequestLabels> {
  return new Map(
    candidates.flatMap(({ experiment }) =>
      experiment.arms.map((arm) => [arm, { route, experiment: experiment.name, arm: arm.name }]),
    ),
  )
}

/**
 * A test for model names: `*` stands for any run of characters, also none; everything else for itself.
 * Linear in the name's length, which a client chooses, so no regular expression.
 */
export function modelMatcher(pattern: string): (model: string) => boolean {
  const [head, ...rest] = pattern.split('*') as [string, ...string[]]
  const tail = rest.pop()
  if (tail === undefined) return (model) => model === pattern
  return (model) => {
    if (!model.startsWith(head) || !model.endsWith(tail)) return false
    let at = head.length
    for (const part of rest) {
      at = model.indexOf(part, at)
      if (at === -1) return false
      at += part.length
    }
    return at + tail.length <= model.length
  }
}

function found<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`the plan names ${what}, which does not exist`)
  return value
}
