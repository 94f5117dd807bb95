/** How far a comparison is from an answer, for somebody who would act on a halved rate. Called by `detailed-report.ts`. */
import type { VerdictsToGo } from '../domain/detailed-report.ts'
import type { Counts } from './counts.ts'
import { SEQUENTIAL_CAP, sampleSize } from './sample-size.ts'

/** With which a test of one look, as large as reckoned here, would find a rate halved. */
export const POWER = 0.8

/**
 * The split matters as it does for the variance of a difference: n verdicts of which a share f is the control's say as
 * much as 4 f (1-f) n evenly split.
 * @param expectedShare the control's share of both arms' verdicts, used while an arm has none.
 * @returns null while the control has shown no positive and no negative verdict, or the split leaves an arm empty:
 * then there is no rate to halve.
 */
export function verdictsToGo(
  control: Counts,
  treatment: Counts,
  expectedShare: number,
  alpha: number,
): VerdictsToGo | null {
  if (control.positives === 0 || control.positives === control.total) return null
  const have = control.total + treatment.total
  const share = treatment.total === 0 ? expectedShare : control.total / have
  if (!(share > 0 && share < 1)) return null
  const from = control.positives / control.total
  const to = from / 2
  const need = Math.ceil(sampleSize(from, to, POWER, alpha).pooled / (2 * share * (1 - share)))
  const cap = Math.ceil(SEQUENTIAL_CAP * need)
  return { from, to, have, need, cap, more: Math.max(0, need - have) }
}
