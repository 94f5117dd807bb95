/**
 * Rates from labels that were drawn with different probabilities, such as all of the judge's positives and a tenth of its
 * negatives. Called by `calibration.ts`.
 *
 * Stratified sampling: Cochran 1977, "Sampling Techniques", chapter 5. Within a stratum the variance is that of the
 * proportion with successes and failures added (Agresti and Coull 1998, Am. Stat. 52): where no label happened to differ
 * from the judge, none would otherwise seem possible.
 */
import { wilsonInterval } from './binomial-intervals.ts'
import type { Interval } from './counts.ts'
import { chiSquareSurvival } from './special/incomplete-gamma.ts'
import { twoSidedZ } from './special/normal-quantile.ts'

/** Answers that labels were drawn from. */
export interface Stratum {
  /** Whether the judge said of them what is asked about. */
  readonly inside: boolean
  /** How many there are. */
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
 * Bounds of H and M are put together from Wilson's in the strata, those of the ratio from them, by the method of variance
 * estimates recovery (Zou and Donner 2008, Stat. Med. 27; Donner and Zou 2012, Stat. Methods Med. Res. 21).
 * @returns everything where inside or outside has no label: of those nothing is known.
 */
export function strataOdds(strata: readonly Stratum[], alpha: number): StrataOdds {
  const odds = logOdds(strata)
  const [inside, outside] = [total(strata, true, alpha), total(strata, false, alpha)]
  const all = inside.estimate + outside.estimate
  if (odds === null || all === 0) return { estimate: null, lower: 0, upper: 1, effective: 0 }
  const share = logistic(odds.log)
  const effective = 1 / (share * (1 - share) * odds.variance)
  // The larger one below the line: it is not near 0.
  if (inside.estimate >= outside.estimate) {
    const { lower, upper } = ratio(outside, inside)
    return { estimate: inside.estimate / all, lower: 1 / (1 + upper), upper: 1 / (1 + lower), effective }
  }
  const { lower, upper } = ratio(inside, outside)
  return {
    estimate: inside.estimate / all,
    lower: 1 - 1 / (1 + lower),
    upper: 1 - 1 / (1 + upper),
    effective,
  }
}

interface Bounded extends Interval {
  readonly estimate: number
}

/** Answers for which it holds, inside or outside. */
function total(strata: readonly Stratum[], inside: boolean, alpha: number): Bounded {
  const z2 = twoSidedZ(alpha) ** 2
  let [estimate, below, above] = [0, 0, 0]
  for (const it of strata) {
    if (it.inside !== inside) continue
    const share = it.hits / it.total
    const { lower, upper } = wilsonInterval(it.hits, it.total, alpha)
    estimate += it.size * share
    // That there are so many answers in the stratum is chance too: a Poisson number's variance is its mean.
    const sizes = it.size * share ** 2
    below += (it.size * (share - lower)) ** 2 + z2 * sizes
    above += (it.size * (upper - share)) ** 2 + z2 * sizes
  }
  return { estimate, lower: Math.max(0, estimate - Math.sqrt(below)), upper: estimate + Math.sqrt(above) }
}

/** Bounds of one over other; `other.estimate` is above 0. */
function ratio(one: Bounded, other: Bounded): Interval {
  const product = one.estimate * other.estimate
  const bound = (end: number, otherEnd: number, sign: 1 | -1) => {
    const below = otherEnd * (2 * other.estimate - otherEnd)
    // So few that the method has no bound: the ends themselves are further out.
    if (!(below > 0)) return otherEnd === 0 ? Infinity : end / otherEnd
    const root = Math.sqrt(Math.max(0, product ** 2 - end * (2 * one.estimate - end) * below))
    return Math.max(0, (product + sign * root) / below)
  }
  return { lower: bound(one.lower, other.upper, -1), upper: bound(one.upper, other.lower, 1) }
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
    variance += (size * size * share * (1 - share)) / (total + 3) + size * share ** 2
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
  // How the answers fell into strata is chance too.
  for (const { size, hits, total } of strata)
    if (size > 0) variance += ((size / all) * ((hits + 2) / (total + 4) - centre) ** 2) / all
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
