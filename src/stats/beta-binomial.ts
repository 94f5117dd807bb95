/**
 * The rate of one arm with bounds that hold however often they are looked at. Called by `report.ts`.
 *
 * The beta-binomial mixture: Robbins 1970 (Ann. Math. Stat. 41); Lai 1976 (Ann. Stat. 4); Howard, Ramdas, McAuliffe
 * and Sekhon 2021 (Ann. Stat. 49).
 */
import type { Interval } from './counts.ts'
import { requireAlpha, requireCounts, requirePrior } from './preconditions.ts'
import { bisect, weighed } from './special/bisect.ts'
import { logBeta } from './special/log-gamma.ts'

/**
 * Evidence against "the rate is p", a natural logarithm: under that null, exp of it is an e-process in n.
 *
 * ln B(a+k, b+n-k) - ln B(a, b) - k ln p - (n-k) ln(1-p); 0 at n = 0, infinite where p rules out what was seen.
 * @param k positives of n.
 * @param p the rate to doubt, 0 to 1.
 * @param a with `b`, the Beta distribution mixed over; 1/2 each is Jeffreys'.
 * @throws RangeError when k and n are no counts, p is no rate, or a or b is not above 0.
 */
export function betaBinomialLogE(k: number, n: number, p: number, a = 0.5, b = 0.5): number {
  requireCounts(k, n)
  requirePrior(a, b)
  if (!(p >= 0 && p <= 1)) throw new RangeError(`p must be a rate from 0 to 1, got ${p}`)
  return logEAgainst(k, n, logBeta(a + k, b + n - k) - logBeta(a, b), p)
}

/**
 * The confidence sequence at n: every p with ln E(p) < ln(1/alpha). With probability 1 - alpha the true rate is
 * inside at all n at once (Ville 1939).
 * @param k positives of n.
 * @param alpha chance of ever missing the rate.
 * @param a with `b`, the Beta distribution mixed over.
 * @returns rates from 0 to 1; all of them at n = 0.
 * @throws RangeError when k and n are no counts, alpha is not between 0 and 1, or a or b is not above 0.
 */
export function betaBinomialInterval(k: number, n: number, alpha = 0.05, a = 0.5, b = 0.5): Interval {
  requireCounts(k, n)
  requirePrior(a, b)
  requireAlpha(alpha)
  if (n === 0) return { lower: 0, upper: 1 }
  const mixture = logBeta(a + k, b + n - k) - logBeta(a, b)
  // ln E(p) is mixture - n ln(1-p) for k = 0, mixture - n ln p for k = n: solved for p.
  const extreme = (Math.log(alpha) + mixture) / n
  if (k === 0) return { lower: 0, upper: -Math.expm1(extreme) }
  if (k === n) return { lower: Math.exp(extreme), upper: 1 }
  // ln E is convex in p, at most 0 at k/n and infinite at 0 and 1.
  const accepts = (p: number) => logEAgainst(k, n, mixture, p) < -Math.log(alpha)
  return { lower: bisect(accepts, k / n, 0), upper: bisect(accepts, k / n, 1) }
}

function logEAgainst(k: number, n: number, mixture: number, p: number): number {
  return mixture - weighed(k, Math.log(p)) - weighed(n - k, Math.log1p(-p))
}
