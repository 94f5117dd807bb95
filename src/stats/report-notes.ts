/** How a report is to be read, in plain words: only what applies to it. Called by `detailed-report.ts`. */
import type { DetailedArm, DetailedComparison } from '../domain/detailed-report.ts'
import type { Calibration } from './calibration.ts'
import { LEAST_LABELS } from './prediction-powered.ts'

export interface NotesInput {
  readonly arms: readonly DetailedArm[]
  readonly comparisons: readonly DetailedComparison[]
  readonly judge: Calibration | null
  readonly control: string
  readonly randomized: boolean
  /** Since when comparisons count, as in the report; null: for ever. */
  readonly since: string | null
}

export function reportNotes({ arms, comparisons, judge, control, randomized, since }: NotesInput): string[] {
  const compared = comparisons.length > 0
  return [
    'A rate is positive verdicts over positive and negative ones. Its anytime bounds (95%) hold however often they are looked at, while the rate stays one rate; where it drifts they bound none in particular.',
    "The bounds marked “once” are Wilson's: narrower, and right only for somebody who looks a single time, at a moment settled beforehand.",
    ...(compared
      ? [
          `Arms are compared with ${control} by a block e-process on one verdict per unit and question. It may be looked at all the time; a direction counts as proven when its evidence has reached 20 (ln 3.0), and stays proven.`,
        ]
      : []),
    ...(since === null
      ? []
      : [
          `Comparisons count requests since ${since.slice(0, 16).replace('T', ' ')} UTC, when an arm was switched on again; rates count all. So the two need not agree.`,
        ]),
    ...(arms.some(({ exposures, units }) => exposures > 0 && units === 0)
      ? [
          'Units are counted anew whenever arms, weights or switches change; an arm without any had its requests before.',
        ]
      : []),
    ...(randomized ? [] : ['Chance did not choose who is in which arm, so the arms are not compared.']),
    ...(comparisons.some(({ power }) => power !== null)
      ? [
          "Verdicts to go are reckoned for a halving of the control's observed rate, with which a test of one look would find it in 80% of runs; after 1.8 times as many the answer is “inconclusive”. Smaller differences take more.",
        ]
      : []),
    ...(arms.some(({ weighted }) => weighted !== null)
      ? [
          "Answers were sampled with different probabilities. “Weighted” is Hájek's estimate, which makes up for it; its bounds are for one look.",
        ]
      : []),
    ...(arms.some(({ verdicts: { excluded, unparsed, error } }) => excluded + unparsed + error > 0)
      ? [
          'Excluded, unparsed and failed verdicts count neither for nor against. They are compared between arms by Fisher’s test, with an alarm below p 0.001.',
        ]
      : []),
    judge === null
      ? 'No answer was labelled by people, so nothing says how often the judge errs. All rates are the judge’s.'
      : judgeNote(judge),
    'What was counted under another wording of check or policy is left out.',
  ]
}

function judgeNote({ labels, identifiable, evenly_drawn }: Calibration): string {
  const drawn = evenly_drawn
    ? ''
    : ' Labels were drawn with different probabilities, and are weighed by them.'
  if (identifiable === 'no')
    return `By ${labels} labels the judge is no better than chance: its rates say nothing about the trait.${drawn}`
  if (labels < LEAST_LABELS)
    return `With ${labels} labels, rates are given from the labels alone; from ${LEAST_LABELS} on they correct the judge’s.${drawn}`
  if (identifiable === 'not yet')
    return `${labels} labels do not tell the judge from chance yet, so its rates cannot be corrected.${drawn}`
  return `Corrected rates allow for the judge's errors as measured on ${labels} labels, taken to be right and the errors to be alike in all arms; their bounds are for one look.${drawn}`
}
