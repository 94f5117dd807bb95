/**
 * Do the arms receive the shares of units they were promised? A mismatch means that assignment or recording is
 * broken, and comparisons with it. Called by `report.ts`, on units before judging and exclusions.
 *
 * Lindon and Malek 2022, "Anytime-valid inference for multinomial count data", NeurIPS 35.
 */
import { weighed } from './special/bisect.ts'
import { chiSquareSurvival } from './special/incomplete-gamma.ts'
import { logGamma } from './special/log-gamma.ts'

/** A p-value below it is an alarm: assignment or recording is broken. */
export const SAMPLE_RATIO_ALARM = 0.001

/**
 * Evidence against the promised shares, a natural logarithm: a Dirichlet-multinomial mixture centred on the shares
 * over the multinomial with the shares, an e-process in the units.
 *
 * ln Γ(c) - ln Γ(c+N) + Σ [ln Γ(cρ+n) - ln Γ(cρ)] - Σ n ln ρ, over arms with share ρ and n of N units.
 * @param counts units per arm.
 * @param weights what the arms' shares are proportional to. An arm of weight 0 is left out; a unit in it is proof.
 * @param concentration c, in units: how closely around the promised shares other shares are expected.
 * @returns 0 without units, Infinity for a unit in an arm of weight 0.
 * @throws RangeError when counts are not whole numbers from 0, one per weight, or weights are negative or all 0, or
 * the concentration is not above 0.
 */
export function sampleRatioLogE(
  counts: readonly number[],
  weights: readonly number[],
  concentration = 100,
): number {
  const sum = checkedSum(counts, weights)
  if (!(concentration > 0 && concentration < Infinity))
    throw new RangeError(`the concentration must be finite and above 0, got ${concentration}`)
  let total = 0
  let logE = 0
  for (const [index, weight] of weights.entries()) {
    const count = counts[index]!
    if (weight === 0 && count > 0) return Infinity
    if (count === 0) continue
    const share = weight / sum
    const expected = concentration * share
    total += count
    logE += logGamma(expected + count) - logGamma(expected) - weighed(count, Math.log(share))
  }
  return logE + logGamma(concentration) - logGamma(concentration + total)
}

/**
 * p-value of `sampleRatioLogE`, min(1, 1/E). Taken at one look; the anytime p-value is the least over all looks, and
 * an alarm at any look at alpha is false with probability at most alpha.
 */
export function sampleRatioP(logE: number): number {
  return Math.min(1, Math.exp(-logE))
}

export interface ChiSquare {
  readonly chiSquare: number
  /** Degrees of freedom: one less than the arms with a weight. */
  readonly df: number
  readonly p: number
}

/**
 * Pearson's test of the promised shares: Σ (n - Nρ)² / (Nρ) against the chi-square distribution. Fabijan et al. 2019,
 * "Diagnosing sample ratio mismatch in online controlled experiments", KDD.
 *
 * Valid at one look that was settled beforehand, and approximate where an arm expects fewer than about 5 units. It is
 * there so that reports can show it beside `sampleRatioLogE`, for readers who know it.
 * @returns p 1 without units or with a single arm, 0 for a unit in an arm of weight 0.
 * @throws RangeError as `sampleRatioLogE` for counts and weights.
 */
export function sampleRatioChiSquare(counts: readonly number[], weights: readonly number[]): ChiSquare {
  const sum = checkedSum(counts, weights)
  const total = counts.reduce((so, count) => so + count, 0)
  const df = weights.filter((weight) => weight > 0).length - 1
  if (counts.some((count, index) => count > 0 && weights[index] === 0))
    return { chiSquare: Infinity, df, p: 0 }
  if (total === 0 || df === 0) return { chiSquare: 0, df, p: 1 }
  let chiSquare = 0
  for (const [index, weight] of weights.entries()) {
    const expected = (total * weight) / sum
    if (weight > 0) chiSquare += (counts[index]! - expected) ** 2 / expected
  }
  return { chiSquare, df, p: chiSquareSurvival(chiSquare, df) }
}

function checkedSum(counts: readonly number[], weights: readonly number[]): number {
  if (counts.length !== weights.length)
    throw new RangeError(`${counts.length} counts do not go with ${weights.length} weights`)
  for (const count of counts)
    if (!Number.isSafeInteger(count) || count < 0) throw new RangeError(`${count} is not a count of units`)
  const sum = weights.reduce((total, weight) => total + weight, 0)
  if (!(sum > 0 && sum < Infinity) || weights.some((weight) => weight < 0))
    throw new RangeError(`weights must be finite, not negative and not all 0, got ${weights.join(', ')}`)
  return sum
}
