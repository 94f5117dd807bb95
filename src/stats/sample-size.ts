/**
 * How long will it take? Verdicts that each arm needs in a test of one look. A sequential run is capped at about 1.8
 * times as many and then called inconclusive.
 *
 * Fleiss, Levin and Paik 2003, "Statistical Methods for Rates and Proportions", chapter 4; Cohen 1988 for the arcsine.
 */
import { requireAlpha, requireInnerRate } from './preconditions.ts'
import { normalQuantile, twoSidedZ } from './special/normal-quantile.ts'

/** Times the sample size of one look after which a sequential run is inconclusive. */
export const SEQUENTIAL_CAP = 1.8

/** Verdicts per arm, not rounded; round up. */
export interface SampleSize {
  /** Of the pooled z-test: [z_α sqrt(2 p̄ q̄) + z_β sqrt(p1 q1 + p2 q2)]² / (p1 - p2)². The one to use. */
  readonly pooled: number
  /** (z_α + z_β)² (p1 q1 + p2 q2) / (p1 - p2)². So that reports can show it. */
  readonly unpooled: number
  /** (z_α + z_β)² / (2 (asin √p1 - asin √p2)²). So that reports can show it. */
  readonly arcsine: number
  /** Of Fisher's test: the pooled one with a continuity correction. So that reports can show it. */
  readonly fleiss: number
}

/**
 * @param p1 with `p2`, the rates to tell apart, between 0 and 1.
 * @param power chance of finding the difference, between 0 and 1.
 * @param alpha chance of finding one where there is none, two-sided.
 * @throws RangeError when one of them is out of its range, or the rates are the same.
 */
export function sampleSize(p1: number, p2: number, power = 0.8, alpha = 0.05): SampleSize {
  requireInnerRate(p1, 'p1')
  requireInnerRate(p2, 'p2')
  requireInnerRate(power, 'power')
  requireAlpha(alpha)
  if (p1 === p2) throw new RangeError(`no number of verdicts tells ${p1} from ${p2}`)
  const [zAlpha, zBeta] = [twoSidedZ(alpha), normalQuantile(power)]
  const mean = (p1 + p2) / 2
  const variance = p1 * (1 - p1) + p2 * (1 - p2)
  const difference = Math.abs(p1 - p2)
  const pooled = ((zAlpha * Math.sqrt(2 * mean * (1 - mean)) + zBeta * Math.sqrt(variance)) / difference) ** 2
  return {
    pooled,
    unpooled: ((zAlpha + zBeta) / difference) ** 2 * variance,
    arcsine: ((zAlpha + zBeta) / (Math.asin(Math.sqrt(p1)) - Math.asin(Math.sqrt(p2)))) ** 2 / 2,
    fleiss: (pooled / 4) * (1 + Math.sqrt(1 + 4 / (pooled * difference))) ** 2,
  }
}
