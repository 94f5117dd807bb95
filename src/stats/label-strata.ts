/**
 * Rates from labels that were drawn with different probabilities, such as all of the judge's positives and a tenth of its
 * negatives. Called by `calibration.ts`.
 *
 * Stratified sampling: Cochran 1977, "Sampling Techniques", chapter 5. Within a stratum the variance is that of the
 * proportion with successes and failures added (Agresti and Coull 1998, Am. Stat. 52): where no label happened to differ
 * from the judge, none would otherwise seem possible.
 */
import type { Interval } from './counts.ts'
import { chiSquareSurvival } from './special/incomplete-gamma.ts'
import { twoSidedZ } from './special/normal-quantile.ts'

/** Answers that labels were drawn from. */
export interface Stratum {
  /** Whether the judge said of them what is asked about. */
  readonly inside: boolean
  /** How many there are; may be an estimate. */
  readonly size: number
  /** Labelled ones for which it holds, of `total`. */
  readonly hits: number
  readonly total: number
}

export interface StrataOdds extends Interval {
  readonly estimate: number | null
  readonly effective: number
}

/**
 * Of the answers for which it holds, the share that lies inside: H / (H + M), H being those inside and M those outside.
 * The bounds are those of ln(H/M), by the delta method.
 * @returns everything where inside or outside has no label: of those nothing is known.
 */
export function strataOdds(strata: readonly Stratum[], alpha: number): StrataOdds {
  const sum = (inside: boolean) =>
    strata
      .filter((it) => it.inside === inside)
      .reduce((total, { size, hits, total: of }) => total + (size * hits) / of, 0)
  const [inside, outside] = [sum(true), sum(false)]
  const estimate = inside + outside === 0 ? null : inside / (inside + outside)
  const odds = logOdds(strata)
  if (odds === null || estimate === null) return { estimate: null, lower: 0, upper: 1, effective: 0 }
  const half = twoSidedZ(alpha) * Math.sqrt(odds.variance)
  const share = logistic(odds.log)
  return {
    estimate,
    lower: Math.min(estimate, logistic(odds.log - half)),
    upper: Math.max(estimate, logistic(odds.log + half)),
    effective: 1 / (share * (1 - share) * odds.variance),
  }
}

/** p-value, two-sided, of "the share is the same in both"; null where one has nothing to estimate it from. */
export function strataDifferenceP(one: readonly Stratum[], other: readonly Stratum[]): number | null {
  const [a, b] = [logOdds(one), logOdds(other)]
  if (a === null || b === null) return null
  return chiSquareSurvival((a.log - b.log) ** 2 / (a.variance + b.variance), 1)
}

function logOdds(strata: readonly Stratum[]): { log: number; variance: number } | null {
  const [inside, outside] = [part(strata, true), part(strata, false)]
  if (inside === null || outside === null) return null
  return {
    log: Math.log(inside.count / outside.count),
    variance: inside.variance / inside.count ** 2 + outside.variance / outside.count ** 2,
  }
}

/** Answers for which it holds, with one more of each kind among the labelled, and the variance of their number. */
function part(strata: readonly Stratum[], inside: boolean): { count: number; variance: number } | null {
  const own = strata.filter((it) => it.inside === inside && it.total > 0)
  if (own.length === 0) return null
  let [count, variance] = [0, 0]
  for (const { size, hits, total } of own) {
    const share = (hits + 1) / (total + 2)
    count += size * share
    variance += (size * size * share * (1 - share)) / (total + 3)
  }
  return { count, variance }
}

/**
 * The share of all answers for which it holds, Σ size · hits/total / Σ size; its bounds from proportions with two more of
 * each kind (four labels).
 * @returns null where a stratum that has answers has no label: of those nothing is known.
 */
export function strataRate(
  strata: readonly Omit<Stratum, 'inside'>[],
  alpha: number,
): (Interval & { readonly estimate: number }) | null {
  const all = strata.reduce((sum, { size }) => sum + size, 0)
  if (all === 0 || strata.some(({ size, total }) => size > 0 && total === 0)) return null
  let [estimate, centre, variance] = [0, 0, 0]
  for (const { size, hits, total } of strata) {
    if (size === 0) continue
    const weight = size / all
    const share = (hits + 2) / (total + 4)
    estimate += (weight * hits) / total
    centre += weight * share
    variance += (weight * weight * share * (1 - share)) / (total + 4)
  }
  const half = twoSidedZ(alpha) * Math.sqrt(variance)
  return {
    estimate,
    lower: Math.min(estimate, Math.max(0, centre - half)),
    upper: Math.max(estimate, Math.min(1, centre + half)),
  }
}

function logistic(x: number): number {
  return 1 / (1 + Math.exp(-x))
}
