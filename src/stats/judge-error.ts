/**
 * The trait's rate behind a judge that errs, from its sensitivity and specificity as measured on labelled answers.
 * Called by reports.
 *
 * Rogan and Gladen 1978 (Am. J. Epidemiol. 107); Reiczigel, Földi and Ózsvári 2010 (Epidemiol. Infect. 138); Lang and
 * Reiczigel 2014 (Prev. Vet. Med. 113). Labels are taken to be right, and the judge to err on the judged answers as it
 * did on the labelled ones, in all arms alike. One look.
 */
import { wilsonInterval } from './binomial-intervals.ts'
import type { Interval } from './counts.ts'
import { requireAlpha, requireCounts } from './preconditions.ts'
import { twoSidedZ } from './special/normal-quantile.ts'

/** How often the judge was right, and on how many answers that was measured. */
export interface MeasuredShare {
  /** 0 to 1. */
  readonly share: number
  /** Labelled answers, from 1. */
  readonly of: number
}

export interface JudgeErrors {
  /** Positives that it calls positive. */
  readonly sensitivity: MeasuredShare
  /** Negatives that it calls negative. */
  readonly specificity: MeasuredShare
}

/** Raw values may leave 0 to 1; the others are cut off there. */
export interface TrueRate {
  readonly estimateRaw: number
  readonly estimate: number
  /** Wilson's bounds of the judge's rate, corrected: as if sensitivity and specificity were known exactly. */
  readonly known: Interval
  /** Lang and Reiczigel's bounds, which allow for their being measured. The ones to use. */
  readonly interval: Interval
  readonly intervalRaw: Interval
  /** What they are made of: centre, shift of the centre, standard error. */
  readonly centre: number
  readonly shift: number
  readonly standardError: number
}

/**
 * (k/n + Sp - 1) / (Se + Sp - 1), and for the bounds the same of k/n moved as Wilson's (z²/2 of z²) and of Se and Sp moved
 * by 1 of 2, plus or minus z standard errors, shifted by 2z²(P Se(1-Se)/n_Se - (1-P) Sp(1-Sp)/n_Sp).
 * @param k positives of n verdicts, n from 1.
 * @param alpha chance of missing the rate, two-sided.
 * @throws RangeError when k and n are no counts, n is 0, a share is not from 0 to 1 of at least 1, the judge is no better
 * than chance (Se + Sp at most 1), or alpha is not between 0 and 1.
 */
export function trueRate(
  k: number,
  n: number,
  { sensitivity, specificity }: JudgeErrors,
  alpha = 0.05,
): TrueRate {
  requireCounts(k, n)
  requireAlpha(alpha)
  if (n === 0) throw new RangeError('a true rate needs a verdict')
  requireShare(sensitivity, 'sensitivity')
  requireShare(specificity, 'specificity')
  const youden = sensitivity.share + specificity.share - 1
  if (!(youden > 0))
    throw new RangeError(
      `a judge of sensitivity ${sensitivity.share} and specificity ${specificity.share} is no better than chance`,
    )
  const correct = (rate: number) => (rate + specificity.share - 1) / youden
  const wilson = wilsonInterval(k, n, alpha)
  const z = twoSidedZ(alpha)
  const rate = moved(k / n, n, z * z)
  const [se, sp] = [moved(sensitivity.share, sensitivity.of, 2), moved(specificity.share, specificity.of, 2)]
  // Above 0 as well: (Se n + 1) / (n + 2) lies between Se and 1/2, and so for Sp; but the two may be moved unequally.
  const slope = se.share + sp.share - 1
  if (!(slope > 0)) throw new RangeError('too few labelled answers to tell the judge from chance; label more')
  const centre = (rate.share + sp.share - 1) / slope
  const shift = 2 * z * z * (centre * se.variance - (1 - centre) * sp.variance)
  const standardError =
    Math.sqrt(rate.variance + centre ** 2 * se.variance + (1 - centre) ** 2 * sp.variance) / slope
  const raw = { lower: centre + shift - z * standardError, upper: centre + shift + z * standardError }
  return {
    estimateRaw: correct(k / n),
    estimate: cut(correct(k / n)),
    known: { lower: cut(correct(wilson.lower)), upper: cut(correct(wilson.upper)) },
    interval: { lower: cut(raw.lower), upper: cut(raw.upper) },
    intervalRaw: raw,
    centre,
    shift,
    standardError,
  }
}

/** A share with `extra` trials added, half of them successes, and the variance of it. */
function moved(share: number, trials: number, extra: number): { share: number; variance: number } {
  const moved = (share * trials + extra / 2) / (trials + extra)
  return { share: moved, variance: (moved * (1 - moved)) / (trials + extra) }
}

function cut(rate: number): number {
  return Math.min(1, Math.max(0, rate))
}

function requireShare({ share, of }: MeasuredShare, name: string): void {
  if (!(share >= 0 && share <= 1 && of >= 1 && of < Infinity))
    throw new RangeError(
      `${name} must be a share from 0 to 1 of at least 1 labelled answer, got ${share} of ${of}`,
    )
}
