/**
 * Difference of rates by an asymptotic confidence sequence: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024
 * (arXiv:2103.06476, equation 9). Not used in the product: rates near 0 and unequal arms are where it is not yet normal,
 * and drift during a ramp makes it reject nearly always (`docs/statistics.md`). It is there to test why it was rejected.
 *
 * Verdicts are taken to be independent, with one constant rate in each arm, and many.
 */
import type { Counts, Interval } from './counts.ts'
import { requireAlpha, requireCounts } from './preconditions.ts'

export interface AsymptoticOptions {
  /** Chance of ever missing the difference, two-sided; default 0.05. */
  readonly alpha?: number
  /** Verdicts of both arms at which the sequence is to be tightest; default 5000. */
  readonly tightestAt?: number
}

export interface AsymptoticDifference extends Interval {
  /** What the mixture is spread by: sqrt((ln(1/α²) + ln(ln(1/α²) + 1)) / tightestAt). */
  readonly rho: number
  readonly halfWidth: number
  /** ln E of "the rates differ"; 0 where the variance is 0. The p-value is min(1, exp(-ln E)). */
  readonly logE: number
}

/**
 * The sequence at the present counts: with n verdicts and standard error se = sqrt(Σ p (1-p) / n_j), half width
 * se sqrt(2 (nρ²+1)/(nρ²) ln(sqrt(nρ²+1)/α)), and ln E = (d/se)²/2 · nρ²/(nρ²+1) - ln(nρ²+1)/2.
 * @returns bounds that may leave -1 to 1; null while an arm has no verdicts.
 * @throws RangeError when an arm holds no counts or an option is out of its range.
 */
export function asymptoticDifference(
  control: Counts,
  treatment: Counts,
  { alpha = 0.05, tightestAt = 5000 }: AsymptoticOptions = {},
): AsymptoticDifference | null {
  requireAlpha(alpha)
  if (!(tightestAt > 0 && tightestAt < Infinity))
    throw new RangeError(`tightestAt must be a number of verdicts above 0, got ${tightestAt}`)
  const variance = ({ positives, total }: Counts) => {
    requireCounts(positives, total)
    return ((positives / total) * (1 - positives / total)) / total
  }
  const squaredError = variance(control) + variance(treatment)
  if (control.total === 0 || treatment.total === 0) return null
  const difference = treatment.positives / treatment.total - control.positives / control.total
  const rho = Math.sqrt((-2 * Math.log(alpha) + Math.log(-2 * Math.log(alpha) + 1)) / tightestAt)
  const spread = (control.total + treatment.total) * rho ** 2
  const halfWidth = Math.sqrt(
    squaredError * ((2 * (spread + 1)) / spread) * Math.log(Math.sqrt(spread + 1) / alpha),
  )
  const logE =
    squaredError === 0
      ? 0
      : ((difference ** 2 / squaredError) * spread) / (spread + 1) / 2 - Math.log1p(spread) / 2
  return { lower: difference - halfWidth, upper: difference + halfWidth, rho, halfWidth, logE }
}
