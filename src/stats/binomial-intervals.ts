/**
 * The rate of one arm at one look that was settled beforehand: a finished report. Called by reports and by
 * `fixed-size-test.ts`. Looked at again and again each of them misses far more often than alpha; for that there is
 * `beta-binomial.ts`.
 *
 * Brown, Cai and DasGupta 2001, "Interval estimation for a binomial proportion", Stat. Sci. 16. Verdicts are taken to be
 * independent and of one rate. All intervals are two-sided and lie within 0 to 1.
 */
import type { Interval } from './counts.ts'
import { requireAlpha, requireCounts } from './preconditions.ts'
import { inverseIncompleteBeta, inverseUpperIncompleteBeta } from './special/incomplete-beta.ts'
import { twoSidedZ } from './special/normal-quantile.ts'

/**
 * Wilson 1927: every p with |k/n - p| <= z sqrt(p (1-p) / n). Covers 1 - alpha on average over p, not at every p. The
 * one for finished reports.
 * @param k positives of n.
 * @param alpha chance of missing the rate, both sides together.
 * @returns everything at n = 0.
 * @throws RangeError when k and n are no counts or alpha is not between 0 and 1.
 */
export function wilsonInterval(k: number, n: number, alpha = 0.05): Interval {
  requireCounts(k, n)
  requireAlpha(alpha)
  if (n === 0) return { lower: 0, upper: 1 }
  return { lower: wilsonLower(k, n, alpha), upper: 1 - wilsonLower(n - k, n, alpha) }
}

/** The lower root, as c / (b + root) so that nothing cancels where it is near 0. */
function wilsonLower(k: number, n: number, alpha: number): number {
  const square = twoSidedZ(alpha) ** 2
  const root = Math.sqrt(square * ((4 * k * (n - k)) / n + square))
  return (2 * k * (k / n)) / (2 * k + square + root)
}

/**
 * Clopper and Pearson 1934: the rates that neither binomial tail rejects at alpha/2. Covers at least 1 - alpha at every
 * p; the conservative choice for finished reports.
 * @param k positives of n.
 * @param alpha chance of missing the rate, half on each side.
 * @returns everything at n = 0.
 * @throws RangeError when k and n are no counts or alpha is not between 0 and 1.
 */
export function clopperPearsonInterval(k: number, n: number, alpha = 0.05): Interval {
  requireCounts(k, n)
  requireAlpha(alpha)
  return {
    lower: k === 0 ? 0 : inverseIncompleteBeta(alpha / 2, k, n - k + 1),
    upper: k === n ? 1 : inverseUpperIncompleteBeta(alpha / 2, k + 1, n - k),
  }
}

/**
 * Jeffreys: the middle 1 - alpha of the posterior Beta(k + 1/2, n - k + 1/2), the lower end 0 at k = 0 and the upper 1
 * at k = n. Covers 1 - alpha on average. Not used in the product; it is there so that reports can show it beside
 * Wilson's, whose neighbour it is.
 * @param k positives of n.
 * @param alpha chance of missing the rate, half on each side.
 * @returns everything at n = 0.
 * @throws RangeError when k and n are no counts or alpha is not between 0 and 1.
 */
export function jeffreysInterval(k: number, n: number, alpha = 0.05): Interval {
  requireCounts(k, n)
  requireAlpha(alpha)
  return {
    lower: k === 0 ? 0 : inverseIncompleteBeta(alpha / 2, k + 0.5, n - k + 0.5),
    upper: k === n ? 1 : inverseUpperIncompleteBeta(alpha / 2, k + 0.5, n - k + 0.5),
  }
}
