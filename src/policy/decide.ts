/**
 * What is decided about a request before it is sent on (SPEC section 3): decode, route, assign, inject. Pure functions
 * of the plan and the request. The pipeline's steps call them one by one; `decide` runs them all and keeps how far it
 * came, for whoever asks what would happen to a request and why.
 */
import { BallastError, toBallastError } from '../domain/errors.ts'
import type { Unit, UnitSource } from '../domain/experiment.ts'
import type { RawHeaders, RequestLabels } from '../domain/ports.ts'
import { assignArm } from './assign.ts'
import type { CompiledArm, CompiledExperiment, CompiledRoute, Plan } from './compile.ts'
import { type Splice, splice } from './inject.ts'
import type { PreparedPolicy } from './prepare.ts'
import { findText } from './raw-headers.ts'
import type { DecodedRequest } from './surface.ts'
import type { Surface } from './surfaces.ts'

/** A request, as far as anything is decided by it. */
export interface Asked {
  readonly id: string
  readonly headers: RawHeaders
  readonly body: Buffer
  /** Name of the authenticated client; null where the configuration names none. */
  readonly client: string | null
  /** Milliseconds since the epoch. */
  readonly receivedAt: number
}

/** Where a request's unit belongs. */
export interface Assignment {
  readonly unit: Unit
  readonly experiment: CompiledExperiment
  readonly arm: CompiledArm
  /** What the unit is known by while its requests are served; not fit to be stored. */
  readonly unitHash: string
  readonly labels: RequestLabels
}

/** What became of the context; `none`: the arm injects nothing. `present`: it stands in its place already. */
export type InjectionOutcome = 'injected' | 'present' | 'none'

export interface Injection {
  readonly outcome: InjectionOutcome
  /** The policy at the moment of the request; null where the arm has none. */
  readonly policy: PreparedPolicy | null
  /** Ascending; empty unless the context was injected. */
  readonly splices: readonly Splice[]
}

/** All that was decided about a request, as far as it came. */
export interface Decision {
  readonly decoded: DecodedRequest | null
  readonly route: CompiledRoute | null
  readonly assignment: Assignment | null
  readonly injection: Injection | null
  /** What would be sent; null where nothing would. */
  readonly body: Buffer | null
  /** Why it would be refused; the step that failed is the first one that is null. */
  readonly error: BallastError | null
}

/** Runs all steps. Never throws: a request that would be refused has an `error`. */
export function decide(plan: Plan, surface: Surface, asked: Asked): Decision {
  let decoded: DecodedRequest | null = null
  let route: CompiledRoute | null = null
  let assignment: Assignment | null = null
  try {
    decoded = surface.decode(asked.body)
    route = findRoute(plan, decoded)
    assignment = assign(route, decoded, asked)
    const injection = inject(assignment, decoded, asked)
    const body = splice(asked.body, injection.splices)
    return { decoded, route, assignment, injection, body, error: null }
  } catch (thrown) {
    return { decoded, route, assignment, injection: null, body: null, error: toBallastError(thrown) }
  }
}

/**
 * The first route whose pattern the model matches.
 * @throws BallastError `ballast_no_route`.
 */
export function findRoute(plan: Plan, decoded: DecodedRequest): CompiledRoute {
  const model = decoded.model ?? ''
  const route = plan.route(model)
  if (route !== null) return route
  throw new BallastError('ballast_no_route', `No route takes the model "${model.slice(0, 200)}".`, {
    source: 'client',
    param: 'model',
  })
}

/** The request's unit and its arm. */
export function assign(
  { experiment, labels }: CompiledRoute,
  decoded: DecodedRequest,
  asked: Asked,
): Assignment {
  const unit = findUnit(experiment.unit, decoded, asked)
  const { arm, unitHash } = assignArm(experiment.name, experiment.salt, unit.value, experiment.arms)
  return { unit, experiment, arm, unitHash, labels: labels.get(arm.name)! }
}

/** The first source that is present; the request itself where none is. */
function findUnit(sources: readonly UnitSource[], decoded: DecodedRequest, asked: Asked): Unit {
  for (const source of sources) {
    const value = unitFrom(source, decoded, asked)
    if (value !== null) return { source, value }
  }
  return { source: 'request', value: asked.id }
}

function unitFrom(source: UnitSource, decoded: DecodedRequest, { headers, client }: Asked): string | null {
  switch (source) {
    case 'header':
      return findText(headers, 'x-ballast-unit')
    case 'session':
      return findText(headers, 'x-ballast-session')
    case 'user':
      return decoded.user || null
    case 'client':
      return client
  }
}

const NOTHING: Injection = { outcome: 'none', policy: null, splices: [] }

/**
 * Where the arm's context goes in the body.
 * @throws BallastError `ballast_policy_not_applicable` when the request has no place for it.
 */
export function inject({ arm }: Assignment, decoded: DecodedRequest, asked: Asked): Injection {
  if (arm.policy === null) return NOTHING
  const policy = arm.policy(asked.receivedAt)
  const splices = decoded.plan(policy)
  return { outcome: splices.length === 0 ? 'present' : 'injected', policy, splices }
}
