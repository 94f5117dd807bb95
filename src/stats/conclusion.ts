/**
 * What a report amounts to, in one plain sentence that never says more than the evidence. Called by `detailed-report.ts`.
 *
 * The rules, the first that fits: what makes the numbers unfit to act on goes before what they say.
 */
import type { Comparison } from '../domain/report.ts'
import { SAMPLE_RATIO_ALARM } from './sample-ratio.ts'

/** An arm of whose verdicts more than this share counts neither for nor against says little about its answers. */
export const MOST_UNCOUNTED = 0.5

export type ConclusionKind =
  | 'sample-ratio'
  | 'nothing-yet'
  | 'judge-is-chance'
  | 'judge-is-uneven'
  | 'excluded-unevenly'
  | 'mostly-uncounted'
  | 'rolled-back'
  | 'one-arm'
  | 'not-compared'
  | 'decided'
  | 'inconclusive'
  | 'undecided'

export interface Conclusion {
  readonly kind: ConclusionKind
  /** Whether the numbers may be acted on. */
  readonly trusted: boolean
  readonly text: string
}

export interface ConclusionArm {
  readonly arm: string
  /** Positive and negative verdicts. */
  readonly judged: number
  /** Of its verdicts, those that count neither for nor against, 0 to 1; null without verdicts. */
  readonly uncounted: number | null
  /** What it has more or fewer of than the control, beyond chance. */
  readonly differsIn: 'excluded' | 'unreadable' | null
  /** Whether the judge errs in it otherwise than in the control. */
  readonly judgedUnevenly: boolean
  readonly rate: { readonly estimate: number | null; readonly lower: number; readonly upper: number }
  /** Switched off by the rule of that name; null where it is not. */
  readonly rolledBack: { readonly at: number; readonly reason: string } | null
}

export interface ConclusionInput {
  readonly arms: readonly ConclusionArm[]
  /** Whether chance leads to the arms. */
  readonly randomized: boolean
  readonly comparisons: readonly (Pick<Comparison, 'arm' | 'against' | 'decision' | 'difference'> & {
    /** Whether its verdicts have reached the cap of a sequential run. */
    readonly exhausted: boolean
  })[]
  readonly sampleRatioP: number
  /** What labels say of the judge; null without enough of them. */
  readonly judge: 'yes' | 'not yet' | 'no' | null
}

type Rule = (input: ConclusionInput) => Conclusion | null

const RULES: readonly Rule[] = [
  sampleRatio,
  nothingYet,
  judgeIsChance,
  judgeIsUneven,
  excludedUnevenly,
  mostlyUncounted,
  rolledBack,
  notCompared,
  oneArm,
]

export function conclude(input: ConclusionInput): Conclusion {
  for (const rule of RULES) {
    const conclusion = rule(input)
    if (conclusion !== null) return conclusion
  }
  return compared(input.comparisons)
}

function sampleRatio({ sampleRatioP }: ConclusionInput): Conclusion | null {
  if (sampleRatioP >= SAMPLE_RATIO_ALARM) return null
  return distrust(
    'sample-ratio',
    `the arms' sizes do not fit their weights (p ${smallP(sampleRatioP)}), so assignment or counting is broken`,
  )
}

function nothingYet({ arms }: ConclusionInput): Conclusion | null {
  if (arms.some(({ judged }) => judged > 0)) return null
  return { kind: 'nothing-yet', trusted: true, text: 'Nothing is known yet: no verdict counts so far.' }
}

function judgeIsChance({ judge }: ConclusionInput): Conclusion | null {
  if (judge !== 'no') return null
  return distrust('judge-is-chance', 'held to the labels, the judge is no better than chance')
}

function judgeIsUneven({ arms }: ConclusionInput): Conclusion | null {
  const uneven = arms.find(({ judgedUnevenly }) => judgedUnevenly)
  if (uneven === undefined) return null
  return distrust(
    'judge-is-uneven',
    `held to the labels, the judge errs in ${uneven.arm} otherwise than in the control, so a difference may be the judge's`,
  )
}

function excludedUnevenly({ arms }: ConclusionInput): Conclusion | null {
  const skewed = arms.find(({ differsIn }) => differsIn !== null)
  if (skewed === undefined) return null
  const what = skewed.differsIn === 'excluded' ? 'excluded' : 'left without a readable verdict'
  return distrust(
    'excluded-unevenly',
    `answers of ${skewed.arm} are ${what} at another rate than the control's, and what is left out may be what differs`,
  )
}

function mostlyUncounted({ arms }: ConclusionInput): Conclusion | null {
  const arm = arms.find(({ uncounted }) => uncounted !== null && uncounted > MOST_UNCOUNTED)
  if (arm === undefined) return null
  return distrust(
    'mostly-uncounted',
    `${Math.round(arm.uncounted! * 100)}% of the verdicts on ${arm.arm} count neither for nor against`,
  )
}

function rolledBack({ arms, comparisons, randomized }: ConclusionInput): Conclusion | null {
  const off = arms.filter((arm) => arm.rolledBack !== null)
  if (off.length === 0) return null
  const parts = off.map(
    ({ arm, rolledBack }) =>
      `${arm} was switched off on ${day(rolledBack!.at)} by its rollback rule (${rolledBack!.reason.replace(/[.\s]+$/, '')})`,
  )
  const others = comparisons.filter(({ arm }) => !off.some((it) => it.arm === arm))
  const rest = randomized && others.length > 0 ? [uncapitalised(compared(others).text)] : []
  return { kind: 'rolled-back', trusted: true, text: [...parts, ...rest].join('; ').replace(/\.?$/, '.') }
}

function notCompared({ randomized }: ConclusionInput): Conclusion | null {
  if (randomized) return null
  const text =
    'The arms hold different requests, not chance draws of the same ones, so they cannot be compared.'
  return { kind: 'not-compared', trusted: true, text }
}

function oneArm({ arms, comparisons }: ConclusionInput): Conclusion | null {
  if (comparisons.length > 0) return null
  const { rate } = arms[0]!
  const text = `The positive rate is between ${percent(rate.lower)} and ${percent(rate.upper)} (95%, whenever one looks); with one arm, nothing says what it would be otherwise.`
  return { kind: 'one-arm', trusted: true, text }
}

function compared(comparisons: ConclusionInput['comparisons']): Conclusion {
  const decided = comparisons.filter(({ decision }) => decision !== 'undecided')
  const open = comparisons.filter(({ decision }) => decision === 'undecided')
  if (decided.length > 0) {
    const rest = open.length === 0 ? '' : `; nothing is proven of ${names(open)}`
    return {
      kind: 'decided',
      trusted: true,
      text: `${decided.map(decidedInWords).join('; ')}${rest}.`,
    }
  }
  const { against } = comparisons[0]!
  if (open.every(({ exhausted }) => exhausted)) {
    const text = `Inconclusive: after as many verdicts as a run may take, no difference between ${names(open)} and ${against} is proven.`
    return { kind: 'inconclusive', trusted: true, text }
  }
  const text = `Undecided: no difference between ${names(open)} and ${against} is proven so far.`
  return { kind: 'undecided', trusted: true, text }
}

/** Worded by what is proven, and by how much only as far as the bounds say it. */
function decidedInWords({ arm, against, decision, difference }: ConclusionInput['comparisons'][0]): string {
  const [word, sign] = decision === 'better' ? ['lower', -1] : ['higher', 1]
  const { estimate, lower, upper } = difference
  if (estimate !== null && estimate * sign < 0)
    return `${arm} was proven to have a ${word} positive rate than ${against} at some time, but by now the estimate points the other way: what differs has changed`
  const [least, most] = sign === 1 ? [lower, upper] : [-upper, -lower]
  const amount =
    least > 0 ? `by ${points(least)} to ${points(most)} points` : 'though by how much is not settled yet'
  return `${arm} has a ${word} positive rate than ${against}, ${amount} (proven at 5%, whenever one looks)`
}

function distrust(kind: ConclusionKind, why: string): Conclusion {
  return { kind, trusted: false, text: `Do not act on these numbers: ${why}.` }
}

function names(comparisons: readonly { readonly arm: string }[]): string {
  const arms = comparisons.map(({ arm }) => arm)
  return arms.length < 2 ? arms.join() : `${arms.slice(0, -1).join(', ')} or ${arms.at(-1)}`
}

function percent(rate: number): string {
  return `${(rate * 100).toFixed(1)}%`
}

function points(rate: number): string {
  return (rate * 100).toFixed(1)
}

function day(at: number): string {
  return new Date(at).toISOString().slice(0, 10)
}

function smallP(p: number): string {
  return p < 0.0001 ? 'below 0.0001' : p.toFixed(4)
}

/** `Undecided:` and `Inconclusive:` within a sentence; names of arms stay as they are. */
function uncapitalised(text: string): string {
  return text.replace(/^(Undecided|Inconclusive):/, (word) => word.toLowerCase())
}
