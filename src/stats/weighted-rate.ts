/** An arm's rate where its answers were sampled with different probabilities. Called by `detailed-report.ts`. */
import type { Tally } from '../domain/ports.ts'
import type { Interval } from './counts.ts'
import { WeightedSums } from './weighted-means.ts'

/** Rounding of sums of weights; what differs by less is taken to be equal. */
const TOLERANCE = 1e-9

export interface WeightedRate {
  readonly estimate: number
  /** At one look; null for a single answer. May leave 0 to 1. */
  readonly interval: Interval | null
  /** As many answers of equal weight say as much. */
  readonly effectiveAnswers: number
}

/**
 * Hájek's estimate from tallies: a verdict is 0 or 1, so the sums of its weights are all there is to know.
 * @param tallies of one arm: drawn, and of one wording.
 * @returns null without verdicts, or where all were sampled with the same probability: the plain rate is the same then.
 */
export function weightedRate(tallies: readonly Tally[], alpha: number): WeightedRate | null {
  const sums = (kind: Tally['kind']) => {
    const own = tallies.filter((tally) => tally.kind === kind)
    const add = (pick: (tally: Tally) => number) => own.reduce((sum, tally) => sum + pick(tally), 0)
    return {
      n: add(({ count }) => count),
      w: add(({ weights }) => weights),
      ww: add(({ squaredWeights }) => squaredWeights),
    }
  }
  const [positive, negative] = [sums('positive'), sums('negative')]
  const n = positive.n + negative.n
  const [w, ww] = [positive.w + negative.w, positive.ww + negative.ww]
  // By Cauchy and Schwarz w² <= n ww, and equal only for equal weights.
  if (n === 0 || n * ww - w * w <= TOLERANCE * n * ww) return null
  const { w: wy, ww: wwy } = positive
  const found = new WeightedSums({
    version: 1,
    n,
    sums: [w, ww, wy, wwy, wwy, ww - w, wwy - wy, wwy - wy],
  }).hajek(alpha)!
  return { estimate: found.estimate, interval: found.interval, effectiveAnswers: found.effectiveAnswers }
}
