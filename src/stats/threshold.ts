/**
 * Is an arm's rate below, or above, a threshold? Evidence that may be looked at after every verdict; for alerts that
 * promise a rate rather than a comparison.
 *
 * A Beta mixture cut off at the threshold, as the one-sided mixtures of Howard, Ramdas, McAuliffe and Sekhon 2021 (Ann.
 * Stat. 49). Verdicts are taken to be independent given the past, with a rate on the null's side of the threshold.
 */
import { requireCounts, requireInnerRate, requirePrior } from './preconditions.ts'
import { weighed } from './special/bisect.ts'
import { logIncompleteBeta, logUpperIncompleteBeta } from './special/incomplete-beta.ts'
import { logBeta } from './special/log-gamma.ts'

/** Natural logarithms; each is one-sided and acted on at ln(1/alpha). */
export interface ThresholdLogE {
  /** Of "the rate is below", against the null that it is the threshold or more. */
  readonly below: number
  /** Of "the rate is above", against the null that it is the threshold or less. */
  readonly above: number
}

/**
 * ln of the mean likelihood over the Beta distribution below (above) the threshold τ, over the likelihood at τ:
 * ln B(a+k, b+n-k) + ln I_τ(a+k, b+n-k) - ln B(a, b) - ln I_τ(a, b) - k ln τ - (n-k) ln(1-τ), and with 1 - I above.
 * @param k positives of n.
 * @param threshold a rate between 0 and 1.
 * @param a with `b`, the Beta distribution mixed over.
 * @throws RangeError when k and n are no counts, the threshold is no rate inside 0 to 1, or a or b no prior.
 */
export function thresholdLogE(k: number, n: number, threshold: number, a = 0.5, b = 0.5): ThresholdLogE {
  requireCounts(k, n)
  requireInnerRate(threshold, 'the threshold')
  requirePrior(a, b)
  const mixture =
    logBeta(a + k, b + n - k) -
    logBeta(a, b) -
    weighed(k, Math.log(threshold)) -
    weighed(n - k, Math.log1p(-threshold))
  const gain = (logTail: typeof logIncompleteBeta) =>
    mixture + logTail(threshold, a + k, b + n - k) - logTail(threshold, a, b)
  return { below: gain(logIncompleteBeta), above: gain(logUpperIncompleteBeta) }
}
