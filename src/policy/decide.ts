/**
 * What is decided about a request before it is sent on (SPEC section 3): decode, route, assign (and, by the domain rule,
 * assign anew), guard, inject. Pure functions of the plan and the request. The pipeline's steps call them one by one;
 * `decide` runs them all and keeps how far it came, for whoever asks what would happen to a request and why.
 */
import { BallastError, toBallastError } from '../domain/errors.ts'
import type { Unit } from '../domain/experiment.ts'
import type { Placement } from '../domain/policy.ts'
import type { RawHeaders, RequestLabels } from '../domain/ports.ts'
import { assignArm, isHeldOut, isTakenIn, pickExperiment } from './assign.ts'
import type { CompiledArm, CompiledExperiment, CompiledPolicy, CompiledRoute, Plan } from './compile.ts'
import { domainText } from './domain.ts'
import { applyGuard, type Guarded } from './guard.ts'
import { type Splice, splice } from './inject.ts'
import { type DecodedRequest, NotApplicable } from './surface.ts'
import type { Surface } from './surfaces.ts'
import { type CompiledDomain, IN_DOMAIN, OUT_OF_DOMAIN } from './training.ts'
import { findUnit } from './unit.ts'

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

/**
 * Whether the unit takes part: `in` an arm; `holdout`: kept out of everything; `outside`: the experiment's ramp has not
 * reached it; `off`: its arm is switched off; `promoted`: an arm is promoted, and it gets that one's policy.
 */
export type Standing = 'in' | 'holdout' | 'outside' | 'off' | 'promoted'

/** Where a request's unit belongs. */
export interface Assignment {
  readonly unit: Unit
  readonly standing: Standing
  /** The one it takes part in, or would; null for a unit that is held out. */
  readonly experiment: CompiledExperiment | null
  /** The arm it is served and counted under; null unless it is `in` one. */
  readonly arm: CompiledArm | null
  /** The arm its hash leads to, whether it is `in` or not; null for a unit that is held out. */
  readonly drawn: CompiledArm | null
  /** The arm whose policy is applied: its own, or one that is promoted; null where nothing is. */
  readonly treated: CompiledArm | null
  /** What the unit is known by while its requests are served; not fit to be stored. Empty for one that is held out. */
  readonly unitHash: string
  readonly labels: RequestLabels
}

/**
 * What became of the context. `none`: no policy applies. `present`: it stands in its place already, or was put there in
 * an earlier turn. `unmet`: a condition of the policy does not hold. `unsupported`: the request has no place for it, and
 * the policy says to skip it then.
 */
export type InjectionOutcome = 'injected' | 'present' | 'none' | 'unmet' | 'unsupported'

export interface Injection {
  readonly outcome: InjectionOutcome
  /** The arm's policy; null where it has none. */
  readonly policy: CompiledPolicy | null
  /** Of its interventions, in order, where they were applied. */
  readonly placements: readonly Placement[]
  /** Ascending; empty unless the context was injected. */
  readonly splices: readonly Splice[]
  /** The condition that does not hold, or why there is no place; else null. */
  readonly reason: string | null
}

/**
 * Whether the request is in the domain of its model's training, which has led to its arm. `unasked`: a classifier tells
 * that, and nobody was asked; decided as where it gives no answer, which is as `outside`.
 */
export type DomainDecision = 'inside' | 'outside' | 'unasked'

/** All that was decided about a request, as far as it came. */
export interface Decision {
  readonly decoded: DecodedRequest | null
  readonly route: CompiledRoute | null
  readonly assignment: Assignment | null
  /** Null where the route has no `match_training`, or the unit is kept out of everything. */
  readonly domain: DomainDecision | null
  /** Null where the route has no `triggers`. */
  readonly guarded: Guarded | null
  readonly injection: Injection | null
  /** What would be sent; null where nothing would. */
  readonly body: Buffer | null
  /**
   * Why it would be refused: by the guard if it is `guarded.refusal`; else in the step of `decoded`, `route`, `assignment`
   * and `injection` that is the first one that is null, or between it and the one before.
   */
  readonly error: BallastError | null
}

/** Runs all steps. Never throws, and asks nobody: a request that would be refused has an `error`. */
export function decide(plan: Plan, surface: Surface, asked: Asked): Decision {
  let decoded: DecodedRequest | null = null
  let route: CompiledRoute | null = null
  let assignment: Assignment | null = null
  let domain: DomainDecision | null = null
  let guarded: Guarded | null = null
  try {
    decoded = surface.decode(asked.body)
    route = findRoute(plan, decoded)
    assignment = assign(route, decoded, asked)
    domain = decideDomain(route, assignment, decoded, asked)
    if (domain !== null) assignment = armByDomain(route, assignment, domain === 'inside')
    const guard = route.training?.guard ?? null
    if (guard !== null) guarded = applyGuard(guard, { surface, body: asked.body, decoded })
    if (guarded !== null && guarded.refusal !== null) throw guarded.refusal
    const injection = inject(assignment, guarded?.decoded ?? decoded, asked)
    const body = splice(guarded?.body ?? asked.body, injection.splices)
    return { decoded, route, assignment, domain, guarded, injection, body, error: null }
  } catch (thrown) {
    const error = toBallastError(thrown)
    return { decoded, route, assignment, domain, guarded, injection: null, body: null, error }
  }
}

function decideDomain(
  route: CompiledRoute,
  assignment: Assignment,
  decoded: DecodedRequest,
  { body }: Asked,
): DomainDecision | null {
  const domain = domainFor(route, assignment)
  if (domain === null) return null
  const text = domainText(decoded, body)
  if (text === '') return 'outside'
  if (domain.kind === 'classifier') return 'unasked'
  return domain.matches(text) ? 'inside' : 'outside'
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

/** The request's unit, and the experiment and arm that it leads to. */
export function assign(route: CompiledRoute, decoded: DecodedRequest, asked: Asked): Assignment {
  const { candidates, holdout, unassigned } = route
  const unit = findUnit(route.unit, decoded, asked)
  if (holdout !== null && isHeldOut(holdout.salt, unit.value, holdout.share)) {
    const nowhere = { experiment: null, arm: null, drawn: null, treated: null, unitHash: '' }
    return { unit, standing: 'holdout', ...nowhere, labels: unassigned }
  }
  const { experiment } =
    candidates.length === 1 ? candidates[0]! : pickExperiment(route.candidateNames, unit.value, candidates)
  const { arm, within, unitHash } = assignArm(experiment.name, experiment.salt, unit.value, experiment.arms)
  const { switches } = experiment
  const standing = !isTakenIn(within, experiment.ramp(asked.receivedAt))
    ? 'outside'
    : switches.promoted !== null
      ? 'promoted'
      : switches.isOff(arm.name)
        ? 'off'
        : 'in'
  const labels = standing === 'in' ? route.labels.get(arm)! : unassigned
  const own = standing === 'in' ? arm : null
  const treated =
    standing === 'promoted' ? experiment.arms.find(({ name }) => name === switches.promoted)! : own
  return { unit, standing, experiment, arm: own, drawn: arm, treated, unitHash, labels }
}

/** @returns the rule that decides where the request belongs; null where none does, or its unit is kept out anyway. */
export function domainFor(route: CompiledRoute, { standing }: Assignment): CompiledDomain | null {
  if (standing === 'holdout' || standing === 'outside') return null
  return route.training?.domain ?? null
}

/** The assignment with the arm that the domain rule leads to, in place of the one that the unit's hash does. */
export function armByDomain(route: CompiledRoute, assignment: Assignment, inDomain: boolean): Assignment {
  const { experiment } = assignment
  if (experiment === null) return assignment
  const drawn = experiment.arms.find(({ name }) => name === (inDomain ? IN_DOMAIN : OUT_OF_DOMAIN))!
  if (experiment.switches.isOff(drawn.name)) {
    return { ...assignment, standing: 'off', arm: null, drawn, treated: null, labels: route.unassigned }
  }
  return {
    ...assignment,
    standing: 'in',
    arm: drawn,
    drawn,
    treated: drawn,
    labels: route.labels.get(drawn)!,
  }
}

const NOTHING: Injection = { outcome: 'none', policy: null, placements: [], splices: [], reason: null }

/**
 * Where the arm's context goes in the body, or why nowhere.
 * @param decoded of the body that is sent: without what the guard stripped.
 * @throws BallastError `ballast_policy_not_applicable` when the request has no place for it, unless the policy skips.
 */
export function inject({ treated }: Assignment, decoded: DecodedRequest, asked: Asked): Injection {
  if (treated === null || treated.policy === null) return NOTHING
  return applyPolicy(treated.policy, decoded, asked.headers, asked.receivedAt)
}

/**
 * Where a policy's context goes in a body, or why nowhere: for requests here, and for the rows and questions of `eval/`.
 * @param now milliseconds since the epoch.
 * @throws BallastError `ballast_policy_not_applicable` as `inject`.
 */
export function applyPolicy(
  policy: CompiledPolicy,
  decoded: DecodedRequest,
  headers: RawHeaders,
  now: number,
): Injection {
  const unmet = policy.unmet === null ? null : policy.unmet(decoded, headers)
  if (unmet !== null) return { outcome: 'unmet', policy, placements: [], splices: [], reason: unmet }
  const prepared = policy.at(now)
  try {
    const splices = decoded.plan(prepared)
    const outcome = splices.length === 0 ? 'present' : 'injected'
    return { outcome, policy, placements: prepared.placements, splices, reason: null }
  } catch (thrown) {
    if (!policy.skips || !(thrown instanceof NotApplicable)) throw thrown
    return { outcome: 'unsupported', policy, placements: [], splices: [], reason: thrown.reason }
  }
}
