/** Compiles one experiment, or the one arm of a route without one. Called by `compile.ts`, at load. */
import { hash } from 'node:crypto'
import type { Check } from '../domain/check.ts'
import { DEFAULT_UNIT, type Experiment, type Route, type UnitSource } from '../domain/experiment.ts'
import type { Policy } from '../domain/policy.ts'
import { prepareConditions, type UnmetCondition } from './conditions.ts'
import { type PreparedPolicy, policyHash, preparePolicy } from './prepare.ts'
import { prepareRamp } from './ramp.ts'
import { type ArmRules, compileRules, NO_RULES } from './rules.ts'
import { ArmSwitches } from './switches.ts'
import { IN_DOMAIN, OUT_OF_DOMAIN } from './training.ts'

/** A policy, ready for requests; one for all arms that have it. */
export interface CompiledPolicy {
  readonly id: string
  /** Hash of what it does: interventions, conditions, what happens where it cannot be applied. */
  readonly hash: string
  /** Its bytes at a moment. */
  readonly at: (now: number) => PreparedPolicy
  /** Null where it is applied without conditions. */
  readonly unmet: UnmetCondition | null
  /** Whether a request that has no place for it is sent without it, rather than refused. */
  readonly skips: boolean
}

export interface CompiledArm {
  readonly name: string
  readonly weight: number
  readonly cumulativeWeight: number
  readonly policyId: string | null
  /** Hash of its policy. */
  readonly policyHash: string | null
  /** Null where nothing is injected. */
  readonly policy: CompiledPolicy | null
  /** Share of its exchanges to judge. */
  readonly sampleRate: number
}

export interface CompiledExperiment {
  /** Empty for a route that is not measured. */
  readonly name: string
  readonly salt: string
  readonly unit: readonly UnitSource[]
  readonly arms: readonly CompiledArm[]
  /** The share of each arm's units that is taken in at a moment. */
  readonly ramp: (now: number) => number
  readonly switches: ArmSwitches
  readonly check: Check | null
  /** When ballast acts on its arms by itself. */
  readonly rules: ArmRules
  /** Hash of what units are assigned by, and of the arms that are off. Units are counted anew when it changes. */
  readonly assignment: string
  /** Hash of the shares of the arms' answers that are judged. */
  readonly rates: string
  /** Whether chance leads to its arms; else they are not comparable. */
  readonly randomized: boolean
}

export function compilePolicy(policy: Policy): CompiledPolicy {
  return {
    id: policy.id,
    hash: policyHash(policy),
    at: preparePolicy(policy),
    unmet: policy.when === undefined ? null : prepareConditions(policy.when),
    skips: policy.on_unsupported === 'skip',
  }
}

/** What the references of an experiment or route lead to; both throw where they lead nowhere. */
export interface References {
  policy(id: string | undefined): CompiledPolicy | null
  check(id: string | undefined): Check | null
  /** Part of what units are counted under: by another key they have other names. */
  readonly unitKey: string
}

export function compileExperiment(
  name: string,
  experiment: Experiment,
  references: References,
): CompiledExperiment {
  const { salt, unit, arms, ramp, off, check, sample } = experiment
  let cumulativeWeight = 0
  const compiled = Object.entries(arms).map(([arm, { weight, policy }]) => {
    cumulativeWeight += weight
    const sampleRate = typeof sample === 'object' ? (sample[arm] ?? 0) : (sample ?? 0)
    return compileArm(arm, weight, cumulativeWeight, sampleRate, references.policy(policy))
  })
  const switchedOff = Object.keys(arms).filter((arm) => off === true || arms[arm]!.off === true)
  return finish({
    name,
    salt,
    unit,
    arms: compiled,
    ramp: prepareRamp(ramp),
    switches: new ArmSwitches(assignmentHash(salt, compiled, references.unitKey), switchedOff),
    check: references.check(check),
    rules: compileRules(experiment, compiled),
    randomized: true,
  })
}

/** A route without an experiment is an experiment with one arm (SPEC section 9), named after the route. */
export function compileSoleArm(route: Route, references: References): CompiledExperiment {
  const policy = references.policy(route.policy)
  const check = references.check(route.check)
  const measured = policy !== null || check !== null
  const name = measured ? (policy?.id ?? 'control') : ''
  return finish({
    name: measured ? `route:${route.model}` : '',
    salt: '',
    unit: DEFAULT_UNIT,
    arms: [compileArm(name, 1, 1, route.sample ?? 0, policy)],
    ramp: prepareRamp(1),
    switches: new ArmSwitches(assignmentHash('', [], references.unitKey), []),
    check,
    rules: NO_RULES,
    randomized: true,
  })
}

/** A route with `match_training`: an arm for requests in the domain, and one for the others. */
export function compileDomainArms(route: Route, references: References): CompiledExperiment {
  const sampleRate = route.sample ?? 0
  return finish({
    name: `route:${route.model}`,
    salt: '',
    unit: DEFAULT_UNIT,
    arms: [
      compileArm(IN_DOMAIN, 1, 1, sampleRate, references.policy(route.trained_with)),
      compileArm(OUT_OF_DOMAIN, 1, 2, sampleRate, null),
    ],
    ramp: prepareRamp(1),
    switches: new ArmSwitches(assignmentHash('', [], references.unitKey), []),
    check: references.check(route.check),
    rules: NO_RULES,
    randomized: false,
  })
}

function compileArm(
  name: string,
  weight: number,
  cumulativeWeight: number,
  sampleRate: number,
  policy: CompiledPolicy | null,
): CompiledArm {
  const [policyId, policyHash] = [policy?.id ?? null, policy?.hash ?? null]
  return { name, weight, cumulativeWeight, policyId, policyHash, policy, sampleRate }
}

function finish(experiment: Omit<CompiledExperiment, 'assignment' | 'rates'>): CompiledExperiment {
  const { arms, switches } = experiment
  const rates = JSON.stringify(arms.map(({ name, sampleRate }) => [name, sampleRate]))
  return {
    ...experiment,
    rates: hash('sha256', rates, 'hex').slice(0, 8),
    get assignment() {
      return switches.assignment
    },
  }
}

function assignmentHash(salt: string, arms: readonly CompiledArm[], unitKey: string): string {
  const weights = arms.map(({ name, weight }) => [name, weight])
  return hash('sha256', JSON.stringify([salt, weights, unitKey]), 'hex').slice(0, 16)
}
