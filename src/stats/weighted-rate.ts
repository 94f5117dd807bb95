/**
 * An arm's rate where its answers were sampled with different probabilities, from what is counted of them. Pure; called by
 * `report.ts` and by the simulation of thinning.
 */

import type { Estimate } from '../domain/report.ts'
import type { Tally } from '../domain/store.ts'
import { wilsonInterval } from './binomial-intervals.ts'
import { type CountedWeights, WeightedSums } from './weighted-means.ts'

/** Sums of equal weights differ by no more than rounding does. */
const ROUNDING = 1e-9

/**
 * Hájek's estimate (`weighted-means.ts`), each answer counted as many times as it stands for; where all outcomes are alike,
 * with Wilson's bounds at the effective number of answers. Bounds of one look at a number of verdicts settled beforehand:
 * they describe, and decide nothing.
 * @param tallies of one arm and wording, of drawn samples.
 * @returns null where all have the same probability: then it is the plain rate.
 */
export function weightedRate(tallies: readonly Tally[], alpha: number): Estimate | null {
  const positive = sumOf(tallies.filter(({ kind }) => kind === 'positive'))
  const negative = sumOf(tallies.filter(({ kind }) => kind === 'negative'))
  const all = add(positive, negative)
  // Cauchy and Schwarz: n Σw² is (Σw)² just where all weights are equal, and else above it.
  if (all.count * all.squaredWeights <= all.weights ** 2 * (1 + ROUNDING)) return null
  const { estimate, interval, effectiveAnswers } = WeightedSums.ofCounts(positive, negative).hajek(alpha)!
  // Where all outcomes are alike their spread says nothing of how far off the estimate may be.
  const answers = Math.floor(effectiveAnswers)
  if (positive.count === 0) return { estimate, ...wilsonInterval(0, answers, alpha) }
  if (negative.count === 0) return { estimate, ...wilsonInterval(answers, answers, alpha) }
  return { estimate, lower: Math.max(0, interval!.lower), upper: Math.min(1, interval!.upper) }
}

function sumOf(tallies: readonly CountedWeights[]): CountedWeights {
  return tallies.reduce(add, { count: 0, weights: 0, squaredWeights: 0 })
}

function add(a: CountedWeights, b: CountedWeights): CountedWeights {
  return {
    count: a.count + b.count,
    weights: a.weights + b.weights,
    squaredWeights: a.squaredWeights + b.squaredWeights,
  }
}
