/**
 * Where a request's unit belongs, and whether its answer would be judged: each with its point on the line that decides
 * it. Called by `explanation.ts`.
 */
import type { UnitSource } from '../domain/experiment.ts'
import {
  assignArm,
  exclusivePoint,
  fraction,
  holdoutPoint,
  isSampled,
  toFraction,
  type Weighed,
} from '../policy/assign.ts'
import type { CompiledArm, CompiledExperiment, CompiledRoute } from '../policy/compile.ts'
import type { Assignment } from '../policy/decide.ts'
import { stateInWords } from './arms-text.ts'
import type { Step } from './step.ts'
import { percentage, rounded } from './text.ts'

/** The request, as far as this depends on it. */
interface Given {
  readonly id: string
  /** Whether its id was given, or made up. */
  readonly idGiven: boolean
  readonly at: number
}

/** A reason, in words and for programs. */
interface Reason {
  readonly why: readonly string[]
  readonly facts: Readonly<Record<string, unknown>>
}

export function explainAssignment(route: CompiledRoute, assignment: Assignment, given: Given): Step {
  const { unit, standing, experiment, arm, drawn, treated } = assignment
  // The one arm of a route without an experiment takes every unit, so only a holdout asks for the unit.
  const sole = route.candidates.length === 1 && isSole(route.candidates[0]!.experiment)
  const reasons = [
    ...(sole && route.holdout === null ? [] : [explainUnit(route.unit, assignment, given)]),
    ...explainHoldout(route, assignment),
    ...(experiment === null || drawn === null || sole
      ? []
      : [
          ...explainChoice(route, assignment),
          explainArm(experiment, drawn, assignment),
          ...explainRamp(experiment, assignment, given.at),
          ...explainSwitch(experiment, treated ?? drawn, assignment),
        ]),
  ]
  return {
    step: 'assign',
    decided: decidedOf(assignment),
    why: reasons.flatMap(({ why }) => why),
    facts: {
      experiment: experiment?.name || null,
      arm: arm?.name || null,
      policy: treated?.policyId ?? null,
      unit,
      standing,
      drawn: drawn?.name || null,
      ...Object.assign({}, ...reasons.map(({ facts }) => facts)),
    },
  }
}

/** Whether it is what a route without an experiment has; no experiment of a configuration is named so. */
function isSole({ name }: CompiledExperiment): boolean {
  return name === '' || name.includes(':')
}

const NOT_COUNTED = 'nothing is injected, and it is not counted'

function decidedOf({ standing, experiment, drawn, treated }: Assignment): string {
  if (experiment === null || drawn === null) return `held out: ${NOT_COUNTED}`
  if (isSole(experiment)) {
    const measured =
      experiment.name === '' ? 'nothing is injected and nothing is measured' : `arm ${drawn.name}`
    return `no experiment: ${measured} on this route`
  }
  switch (standing) {
    case 'outside':
      return `outside the ramp of experiment ${experiment.name}: ${NOT_COUNTED}`
    case 'off':
      return `arm ${drawn.name} of experiment ${experiment.name} is switched off: ${NOT_COUNTED}`
    case 'promoted':
      return `arm ${treated!.name} of experiment ${experiment.name} is promoted: its policy is for all units, and it is not counted`
    default:
      return `arm ${drawn.name} of experiment ${experiment.name}, which has ${percentage(shareOf(experiment, drawn))} of the units`
  }
}

function shareOf({ arms }: CompiledExperiment, { weight }: CompiledArm): number {
  return weight / arms.at(-1)!.cumulativeWeight
}

/** Which source the unit came from, and which were looked for before. */
function explainUnit(
  sources: readonly UnitSource[],
  { unit: { source, value }, experiment }: Assignment,
  { idGiven }: Given,
): Reason {
  const before = source === 'request' ? sources : sources.slice(0, sources.indexOf(source))
  const absent = before.filter((it) => it !== 'request')
  const without = absent.length === 0 ? [] : [`not there: ${absent.map(sourceInWords).join(', ')}`]
  if (source !== 'request')
    return { why: [`unit "${value}", from ${sourceInWords(source)}`, ...without], facts: {} }
  // A route's one arm takes every unit that is not held out.
  const where = experiment === null || isSole(experiment) ? 'whether it is held out' : 'its arm'
  const drawn = idGiven
    ? `for another request ${where} is drawn anew`
    : `${where} is drawn anew for each, so this is what may come of it`
  return { why: [`the request has no unit and is its own (id ${value}): ${drawn}`, ...without], facts: {} }
}

function sourceInWords(source: string): string {
  switch (source) {
    case 'header':
      return 'the header x-ballast-unit'
    case 'session':
      return 'the header x-ballast-session'
    case 'client':
      return 'the client'
    default:
      return `the body's "${source}"`
  }
}

function explainHoldout({ holdout }: CompiledRoute, { unit, standing }: Assignment): Reason[] {
  if (holdout === null) return []
  const { salt, share } = holdout
  const point = holdoutPoint(salt, unit.value)
  const compared = `${rounded(point)}, ${standing === 'holdout' ? 'below' : 'not below'} ${rounded(share)}`
  return [
    {
      why: [`its point for the holdout is ${compared}: ${percentage(share)} of the units are kept out`],
      facts: { holdout: { point, share } },
    },
  ]
}

/** Which of the experiments that exclude each other it was. */
function explainChoice(
  { candidates, candidateNames }: CompiledRoute,
  { unit, experiment }: Assignment,
): Reason[] {
  if (candidates.length === 1) return []
  const point = exclusivePoint(candidateNames, unit.value)
  const named = candidates.map((it) => ({ ...it, name: it.experiment.name }))
  const line = lineOf(named).map(({ name, ...part }) => ({ experiment: name, ...part }))
  const drawn = experiment!.name
  return [
    {
      why: [
        `of the experiments that exclude each other it takes part in ${drawn}: its point on their line is ${rounded(point)}: ${inWords(lineOf(named))}`,
      ],
      facts: { exclusive: { drawn, point, line } },
    },
  ]
}

function explainArm(
  experiment: CompiledExperiment,
  drawn: CompiledArm,
  { unitHash, arm }: Assignment,
): Reason {
  const point = toFraction(unitHash)
  const parts = lineOf(experiment.arms)
  const would = arm === null ? `, which leads to arm ${drawn.name}` : ''
  return {
    why: [`its point on the assignment line is ${point.toFixed(4)}${would}: ${inWords(parts)}`],
    facts: {
      share: shareOf(experiment, drawn),
      point,
      line: parts.map(({ name, ...part }) => ({ arm: name, ...part })),
    },
  }
}

/** How much of each arm's part is taken in, and where in it the unit lies. */
function explainRamp(
  { name, salt, arms, ramp }: CompiledExperiment,
  { unit, standing }: Assignment,
  at: number,
): Reason[] {
  const share = ramp(at)
  const { within } = assignArm(name, salt, unit.value, arms)
  const facts = { ramp: share, within }
  if (share >= 1) return [{ why: [], facts }]
  const place = `it lies at ${rounded(within)} of its arm's part`
  const taken = `the ramp takes in what lies below ${rounded(share)}, ${percentage(share)} of the units`
  return [{ why: [`${place}; ${taken}${standing === 'outside' ? '' : ', so it is in'}`], facts }]
}

/** Who switched the arm, when and why; what the configuration says needs no more words. */
function explainSwitch(
  { switches }: CompiledExperiment,
  { name }: CompiledArm,
  { standing }: Assignment,
): Reason[] {
  if (standing !== 'off' && standing !== 'promoted') return []
  const state = switches.state(name)
  const why = [`${name} is ${stateInWords(state)}`, ...(state.reason === null ? [] : [state.reason])]
  return [{ why: state.by === 'config' ? [] : why, facts: { state } }]
}

interface Part {
  readonly name: string
  readonly from: number
  readonly to: number
}

/** The parts of a line from 0 to 1 that weights divide. */
function lineOf(parts: readonly (Weighed & { readonly name: string; readonly weight: number })[]): Part[] {
  const total = parts.at(-1)!.cumulativeWeight
  return parts
    .filter(({ weight }) => weight > 0)
    .map(({ name, weight, cumulativeWeight }) => ({
      name,
      from: (cumulativeWeight - weight) / total,
      to: cumulativeWeight / total,
    }))
}

function inWords(line: readonly Part[]): string {
  return line.map(({ name, from, to }) => `${name} ${rounded(from)} to ${rounded(to)}`).join(', ')
}

/** @param flagged whether the trigger guard flags the request: then its answer is judged in any case. */
export function explainSampling(
  { experiment, arm }: Assignment,
  { id, idGiven }: Given,
  flagged: boolean,
): Step {
  const check = arm === null ? null : experiment!.check
  const rate = arm?.sampleRate ?? 0
  const facts = { check: check?.id ?? null, rate }
  const step = (decided: string, why: string[] = [], sampled: boolean | null = null): Step => ({
    step: 'sample',
    decided,
    why,
    facts: { ...facts, sampled },
  })
  if (arm === null) return step('the answer is not judged: the unit is in no arm', [], false)
  if (check === null) return step('the answer is not judged: there is no check', [], false)
  const by = `by check ${check.id}`
  const extra = 'as an extra, because it was flagged, it counts in no rate'
  if (flagged && rate <= 0) return step(`the answer is judged ${by}`, [extra], true)
  if (rate <= 0) return step(`the answer is not judged ${by}: its rate is 0%`, [], false)
  if (rate >= 1) return step(`the answer is judged ${by}, like every one`, [], true)
  if (!idGiven) {
    const decided = flagged ? `the answer is judged ${by}` : `${percentage(rate)} of answers are judged ${by}`
    return step(decided, [
      ...(flagged ? [`${percentage(rate)} of them as any other; the rest ${extra}`] : []),
      'which ones follows from their request ids; --request-id tells it of one',
    ])
  }
  const drawn = isSampled(check.id, id, rate)
  const sampled = drawn || flagged
  return step(
    `the answer is ${sampled ? '' : 'not '}judged ${by}`,
    [
      ...(flagged && !drawn ? [extra] : []),
      `the id's point is ${rounded(fraction(`${check.id}:${id}`))}; below ${rounded(rate)}, ${percentage(rate)} of them, answers are judged`,
    ],
    sampled,
  )
}
