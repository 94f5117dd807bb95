/**
 * Compiles routes, experiments, policies and checks into the plan that requests run through. Called at load; whatever
 * a request needs is looked up and prepared here. References were checked by the configuration.
 */
import { hash } from 'node:crypto'
import type { Check } from '../domain/check.ts'
import type { Experiment, Route, UnitSource } from '../domain/experiment.ts'
import type { Policy } from '../domain/policy.ts'
import type { RequestLabels } from '../domain/ports.ts'
import { type PreparedPolicy, policyHash, preparePolicy } from './prepare.ts'
import {
  type CompiledTraining,
  type CreateClassifier,
  compileTraining,
  IN_DOMAIN,
  OUT_OF_DOMAIN,
} from './training.ts'

export interface CompiledArm {
  readonly name: string
  readonly weight: number
  readonly cumulativeWeight: number
  readonly policyId: string | null
  /** Hash of its interventions. */
  readonly policyHash: string | null
  /** The policy's bytes at a moment; null where nothing is injected. */
  readonly policy: ((now: number) => PreparedPolicy) | null
  /** Share of its exchanges to judge. */
  readonly sampleRate: number
}

export interface CompiledExperiment {
  /** Empty for a route that is not measured. */
  readonly name: string
  readonly salt: string
  readonly unit: readonly UnitSource[]
  readonly arms: readonly CompiledArm[]
  readonly check: Check | null
  /** Hash of salt, arms and weights. Units are counted anew when it changes. */
  readonly assignment: string
  /** Whether chance leads to its arms; else they are not comparable. */
  readonly randomized: boolean
}

export interface CompiledRoute {
  /** The model pattern: the route's name in metrics. */
  readonly name: string
  readonly upstream: string
  readonly experiment: CompiledExperiment
  /** Metric labels, per arm name. */
  readonly labels: ReadonlyMap<string, RequestLabels>
  /** Null for a route that says nothing of its model's training. */
  readonly training: CompiledTraining | null
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
  readonly policies: ReadonlyMap<string, Policy>
  readonly checks: ReadonlyMap<string, Check>
}

/**
 * @param createClassifier makes what a route's `domain.classifier` stands for.
 * @throws Error when a reference leads nowhere: the configuration should have refused it.
 */
export function compilePlan(
  source: PlanSource,
  createClassifier: CreateClassifier = classifiersUnavailable,
): Plan {
  const prepared = new Map([...source.policies].map(([id, policy]) => [id, preparePolicy(policy)]))
  const armPolicy = (id: string | undefined) => ({
    policyId: id ?? null,
    policyHash: id === undefined ? null : policyHash(found(source.policies.get(id), `policy ${id}`)),
    policy: id === undefined ? null : found(prepared.get(id), `policy ${id}`),
  })
  const armCheck = (id: string | undefined) =>
    id === undefined ? null : found(source.checks.get(id), `check ${id}`)

  const experiments = new Map<string, CompiledExperiment>()
  for (const [name, { salt, unit, arms, check, sample }] of Object.entries(source.experiments)) {
    let cumulativeWeight = 0
    experiments.set(name, {
      name,
      salt,
      unit,
      check: armCheck(check),
      assignment: assignmentHash(salt, arms),
      randomized: true,
      arms: Object.entries(arms).map(([arm, { weight, policy }]) => {
        cumulativeWeight += weight
        const sampleRate = typeof sample === 'object' ? (sample[arm] ?? 0) : (sample ?? 0)
        return { name: arm, weight, cumulativeWeight, sampleRate, ...armPolicy(policy) }
      }),
    })
  }

  const routes = source.routes.map((route): CompiledRoute => {
    const check = armCheck(route.check)
    const experiment =
      route.match_training !== undefined
        ? armsByDomain(route, armPolicy(route.trained_with), armPolicy(undefined), check)
        : route.experiment === undefined
          ? soleArm(route, armPolicy(route.policy), check)
          : found(experiments.get(route.experiment), `experiment ${route.experiment}`)
    if (experiment.name !== '') experiments.set(experiment.name, experiment)
    return {
      name: route.model,
      upstream: route.upstream,
      experiment,
      labels: new Map(
        experiment.arms.map(({ name }) => [
          name,
          { route: route.model, experiment: experiment.name, arm: name },
        ]),
      ),
      training: compileTraining(route, source.policies, createClassifier),
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

/** A route without an experiment is an experiment with one arm (SPEC section 9), named after the route. */
function soleArm(
  route: Route,
  policy: Pick<CompiledArm, 'policyId' | 'policyHash' | 'policy'>,
  check: Check | null,
): CompiledExperiment {
  const measured = policy.policyId !== null || check !== null
  return {
    name: measured ? `route:${route.model}` : '',
    salt: '',
    unit: ['header', 'user', 'session', 'client'],
    check,
    assignment: assignmentHash('', {}),
    randomized: true,
    arms: [
      {
        name: measured ? (policy.policyId ?? 'control') : '',
        weight: 1,
        cumulativeWeight: 1,
        sampleRate: route.sample ?? 0,
        ...policy,
      },
    ],
  }
}

/** A route with `match_training`: an arm for requests in the domain, and one for the others. */
function armsByDomain(
  route: Route,
  inDomain: Pick<CompiledArm, 'policyId' | 'policyHash' | 'policy'>,
  outOfDomain: Pick<CompiledArm, 'policyId' | 'policyHash' | 'policy'>,
  check: Check | null,
): CompiledExperiment {
  const shared = { weight: 1, sampleRate: route.sample ?? 0 }
  return {
    name: `route:${route.model}`,
    salt: '',
    unit: ['header', 'user', 'session', 'client'],
    check,
    assignment: assignmentHash('', {}),
    randomized: false,
    arms: [
      { name: IN_DOMAIN, cumulativeWeight: 1, ...shared, ...inDomain },
      { name: OUT_OF_DOMAIN, cumulativeWeight: 2, ...shared, ...outOfDomain },
    ],
  }
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

function assignmentHash(salt: string, arms: Experiment['arms']): string {
  const weights = Object.entries(arms).map(([arm, { weight }]) => [arm, weight])
  return hash('sha256', JSON.stringify([salt, weights]), 'hex').slice(0, 16)
}

function classifiersUnavailable(route: string): never {
  throw new Error(`the route "${route}" has a classifier, and nothing to make it with`)
}

function found<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`the plan names ${what}, which does not exist`)
  return value
}
