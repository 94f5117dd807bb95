/**
 * How often the judge errs, from answers that people labelled, and what the rates are behind it. Called by
 * `ballast calibrate` and by reports.
 *
 * Labels are taken to be right, and labelled answers to be drawn by chance among the judged ones, with known probabilities.
 * One look. Clopper and Pearson 1934 where all were drawn with the same probability; else `label-strata.ts`.
 */
import type { VerdictKind } from '../domain/verdict.ts'
import { VERDICTS, type VerdictCounts } from '../domain/verdict.ts'
import { clopperPearsonInterval, wilsonInterval } from './binomial-intervals.ts'
import type { Interval } from './counts.ts'
import { fisherP } from './fixed-size-test.ts'
import { type JudgeErrors, trueRate } from './judge-error.ts'
import { type Stratum, strataDifferenceP, strataOdds, strataRate } from './label-strata.ts'
import { holm } from './multiple-testing.ts'
import { requireAlpha } from './preconditions.ts'
import { LEAST_LABELS, predictionPoweredMean } from './prediction-powered.ts'

/** Below so many labels of a kind, bounds and tests that weigh them are held to those that do not. */
const FEW_LABELS = 30
/** A judge whose errors differ between arms with a p-value, after Holm, below this is said to err unevenly. */
export const UNEVEN_ALARM = 0.01

export const LABELS = ['positive', 'negative', 'excluded'] as const
export type LabelKind = (typeof LABELS)[number]

/** A judged answer that people labelled. */
export interface LabelledVerdict {
  readonly arm: string
  readonly judged: VerdictKind
  readonly label: LabelKind
  /** With which it was drawn for labelling, above 0 to 1. */
  readonly probability: number
}

/** All verdicts of an arm, labelled or not. */
export interface JudgedArm {
  readonly arm: string
  readonly positives: number
  readonly negatives: number
}

/** A share with bounds; `right` of `of` labelled answers, as they were counted. */
export interface JudgeShare {
  readonly right: number
  readonly of: number
  /** Null without such answers. */
  readonly estimate: number | null
  readonly lower: number
  readonly upper: number
  /** As many answers of equal weight say as much. */
  readonly effective: number
}

/** `labels`: Wilson on them alone. `stratified`: labels weighed by how they were drawn. */
export type CorrectionMethod = 'rogan-gladen' | 'ppi++' | 'labels' | 'stratified'

export interface CorrectedRate extends Interval {
  readonly method: CorrectionMethod
  readonly estimate: number
}

export interface ArmCalibration {
  readonly arm: string
  /** Labelled answers that judge and people both call positive or negative. */
  readonly labels: number
  /** Of those, how many they call the same. */
  readonly agreed: number
  readonly sensitivity: JudgeShare
  readonly specificity: JudgeShare
  /** Of "the judge errs here as in the control", after Holm over arms and both shares; null for the control itself. */
  readonly p_sensitivity: number | null
  readonly p_specificity: number | null
  readonly uneven: boolean
  /** The trait's rate as it is behind the judge; the first is the one to use. Empty where it cannot be told. */
  readonly corrected: readonly CorrectedRate[]
}

export interface Calibration {
  readonly labels: number
  /** What the judge said of answers with each label, as they were counted. */
  readonly confusion: Readonly<Record<LabelKind, VerdictCounts>>
  /** Whether all labelled answers were drawn with the same probability. */
  readonly evenly_drawn: boolean
  readonly sensitivity: JudgeShare
  readonly specificity: JudgeShare
  /** `no`: not better than chance. `not yet`: it may be better, but the bounds do not say so. */
  readonly identifiable: 'yes' | 'not yet' | 'no'
  readonly arms: readonly ArmCalibration[]
}

/**
 * @param labelled answers that are counted, of one wording.
 * @param judged the arms in order, with all their verdicts.
 * @param control the arm others are tested against; null where arms are not compared.
 * @param alpha of every bound, two-sided.
 * @throws RangeError when a probability is not above 0 to 1, an arm is unknown, or alpha is not between 0 and 1.
 */
export function calibrate(
  labelled: readonly LabelledVerdict[],
  judged: readonly JudgedArm[],
  control: string | null,
  alpha = 0.05,
): Calibration {
  requireAlpha(alpha)
  for (const { arm, probability } of labelled) {
    if (!judged.some((it) => it.arm === arm)) throw new RangeError(`"${arm}" is no arm of this experiment`)
    if (!(probability > 0 && probability <= 1))
      throw new RangeError(`a label's probability must be above 0 and at most 1, got ${probability}`)
  }
  const decided = labelled.filter(isDecided)
  const probabilities = decided.map(({ probability }) => probability)
  const even =
    probabilities.length === 0 || Math.max(...probabilities) <= Math.min(...probabilities) * (1 + 1e-9)
  const share = even ? exactShare : weighedShare
  const sensitivity = share(decided, 'positive', alpha, judged)
  const specificity = share(decided, 'negative', alpha, judged)
  const identifiable = identify(sensitivity, specificity)
  const errors = identifiable === 'yes' ? errorsOf(sensitivity, specificity) : null
  const own = (arm: string) => decided.filter((it) => it.arm === arm)
  const ps = unevenness(judged, own, control, even)
  const uneven = ps.map(({ p_sensitivity, p_specificity }) =>
    [p_sensitivity, p_specificity].some((p) => p !== null && p < UNEVEN_ALARM),
  )
  // Where the judge errs more in one arm, the errors of all say nothing of one: only an arm's own labels do.
  const pooled = uneven.includes(true) ? null : errors
  const corrected = (arm: JudgedArm, labels: readonly Decided[]): CorrectedRate[] => {
    const enough = decided.length >= LEAST_LABELS
    const byErrors = enough && pooled !== null ? roganGladen(arm, pooled, alpha) : []
    const powered = labels.length >= LEAST_LABELS && even ? predictionPowered(labels, arm, alpha) : []
    const alone = enough && pooled !== null && even ? [] : labelsAlone(labels, arm, even, alpha)
    if (enough && identifiable !== 'yes') return []
    return [...byErrors, ...powered, ...(powered.length > 0 ? [] : alone)]
  }
  return {
    labels: decided.length,
    confusion: confusionOf(labelled),
    evenly_drawn: even,
    sensitivity,
    specificity,
    identifiable,
    arms: judged.map((arm, index) => {
      const labels = own(arm.arm)
      return {
        arm: arm.arm,
        labels: labels.length,
        agreed: labels.filter((it) => it.judged === it.label).length,
        sensitivity: share(labels, 'positive', alpha, judged),
        specificity: share(labels, 'negative', alpha, judged),
        ...ps[index]!,
        uneven: uneven[index]!,
        corrected: corrected(arm, labels),
      }
    }),
  }
}

type Decided = LabelledVerdict & { readonly judged: Decisive; readonly label: Decisive }
type Decisive = 'positive' | 'negative'

function isDecided(it: LabelledVerdict): it is Decided {
  return (it.judged === 'positive' || it.judged === 'negative') && it.label !== 'excluded'
}

function confusionOf(labelled: readonly LabelledVerdict[]): Calibration['confusion'] {
  const row = (label: LabelKind) => {
    const own = labelled.filter((it) => it.label === label)
    const counts = VERDICTS.map((kind) => [kind, own.filter(({ judged }) => judged === kind).length])
    return Object.fromEntries(counts) as VerdictCounts
  }
  return { positive: row('positive'), negative: row('negative'), excluded: row('excluded') }
}

/** Of the answers with a label, those that the judge called the same. */
function rightOf(labelled: readonly Decided[], label: Decisive): { right: number; of: number } {
  const own = labelled.filter((it) => it.label === label)
  return { right: own.filter(({ judged }) => judged === label).length, of: own.length }
}

function exactShare(labelled: readonly Decided[], label: Decisive, alpha: number): JudgeShare {
  const { right, of } = rightOf(labelled, label)
  return {
    right,
    of,
    estimate: of === 0 ? null : right / of,
    ...clopperPearsonInterval(right, of, alpha),
    effective: of,
  }
}

function weighedShare(
  labelled: readonly Decided[],
  label: Decisive,
  alpha: number,
  judged: readonly JudgedArm[],
): JudgeShare {
  const { right, of } = rightOf(labelled, label)
  const odds = strataOdds(strataOf(labelled, judged, label), alpha)
  if (of >= FEW_LABELS) return { right, of, ...odds }
  // Weights of a handful say more than the handful knows: never less cautious than without them.
  const exact = clopperPearsonInterval(right, of, alpha)
  return {
    right,
    of,
    ...odds,
    lower: Math.min(odds.lower, exact.lower),
    upper: Math.max(odds.upper, exact.upper),
  }
}

/**
 * The labelled answers by what the judge said of them in which arm: they were drawn from there. `inside`: the judge said
 * what the label is about; `hits`: they have that label.
 */
function strataOf(labelled: readonly Decided[], judged: readonly JudgedArm[], label: Decisive): Stratum[] {
  return judged.flatMap(({ arm, positives, negatives }) =>
    (['positive', 'negative'] as const).flatMap((verdict) => {
      const group = labelled.filter((it) => it.arm === arm && it.judged === verdict)
      if (group.length === 0) return []
      const hits = group.filter((it) => it.label === label).length
      const size = verdict === 'positive' ? positives : negatives
      return [{ inside: verdict === label, size, hits, total: group.length }]
    }),
  )
}

function identify(sensitivity: JudgeShare, specificity: JudgeShare): Calibration['identifiable'] {
  if (sensitivity.estimate === null || specificity.estimate === null) return 'not yet'
  if (sensitivity.estimate + specificity.estimate <= 1) return 'no'
  return sensitivity.lower + specificity.lower <= 1 ? 'not yet' : 'yes'
}

function errorsOf(sensitivity: JudgeShare, specificity: JudgeShare): JudgeErrors {
  const measured = ({ estimate, effective }: JudgeShare) => ({
    share: estimate!,
    of: Math.max(1, effective),
  })
  return { sensitivity: measured(sensitivity), specificity: measured(specificity) }
}

function unevenness(
  judged: readonly JudgedArm[],
  own: (arm: string) => readonly Decided[],
  control: string | null,
  even: boolean,
): Pick<ArmCalibration, 'p_sensitivity' | 'p_specificity'>[] {
  const test = (arm: string, label: Decisive) => {
    if (control === null || arm === control) return null
    const [one, other] = [rightOf(own(control), label), rightOf(own(arm), label)]
    const exact = fisherP(
      { positives: one.right, total: one.of },
      { positives: other.right, total: other.of },
    )
    if (even) return exact
    const p = strataDifferenceP(strataOf(own(control), judged, label), strataOf(own(arm), judged, label))
    return Math.min(one.of, other.of) >= FEW_LABELS || p === null ? p : maxP(p, exact)
  }
  const all = judged.flatMap(({ arm }) => [test(arm, 'positive'), test(arm, 'negative')])
  const tested = all.flatMap((p, index) => (p === null ? [] : [index]))
  const adjusted = holm(tested.map((index) => all[index]!))
  const of = (index: number) => adjusted[tested.indexOf(index)] ?? null
  return judged.map((_, index) => ({ p_sensitivity: of(2 * index), p_specificity: of(2 * index + 1) }))
}

/** The more cautious of the two; null: it cannot be told. */
function maxP(p: number, exact: number | null): number | null {
  return exact === null ? null : Math.max(p, exact)
}

function roganGladen(
  { positives, negatives }: JudgedArm,
  errors: JudgeErrors,
  alpha: number,
): CorrectedRate[] {
  const total = positives + negatives
  if (total === 0) return []
  try {
    const { estimate, interval } = trueRate(positives, total, errors, alpha)
    return [{ method: 'rogan-gladen', estimate, ...interval }]
  } catch (error) {
    // Too few effective labels to tell the judge from chance, once they are shrunk towards it.
    if (error instanceof RangeError) return []
    throw error
  }
}

function predictionPowered(
  labelled: readonly Decided[],
  { positives, negatives }: JudgedArm,
  alpha: number,
): CorrectedRate[] {
  const number = (kind: Decisive) => (kind === 'positive' ? 1 : 0)
  const positivesLabelled = labelled.filter(({ judged }) => judged === 'positive').length
  const others = [
    ...new Array<number>(Math.max(0, positives - positivesLabelled)).fill(1),
    ...new Array<number>(Math.max(0, negatives - (labelled.length - positivesLabelled))).fill(0),
  ]
  if (others.length === 0) return labelsAlone(labelled, { arm: '', positives, negatives }, true, alpha)
  const { estimate, interval } = predictionPoweredMean(
    labelled.map(({ label, judged }) => ({ label: number(label), judged: number(judged) })),
    others,
    { alpha },
  )
  return [
    { method: 'ppi++', estimate: cut(estimate), lower: cut(interval.lower), upper: cut(interval.upper) },
  ]
}

function labelsAlone(
  labelled: readonly Decided[],
  { positives, negatives }: JudgedArm,
  even: boolean,
  alpha: number,
): CorrectedRate[] {
  if (labelled.length === 0) return []
  if (even) {
    const count = labelled.filter(({ label }) => label === 'positive').length
    return [
      {
        method: 'labels',
        estimate: count / labelled.length,
        ...wilsonInterval(count, labelled.length, alpha),
      },
    ]
  }
  const strata = (['positive', 'negative'] as const).map((verdict) => {
    const group = labelled.filter(({ judged }) => judged === verdict)
    return {
      size: verdict === 'positive' ? positives : negatives,
      hits: group.filter(({ label }) => label === 'positive').length,
      total: group.length,
    }
  })
  const rate = strataRate(strata, alpha)
  return rate === null ? [] : [{ method: 'stratified', ...rate }]
}

function cut(rate: number): number {
  return Math.min(1, Math.max(0, rate))
}
