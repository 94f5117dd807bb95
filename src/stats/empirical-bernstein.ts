/**
 * The mean of scores with bounds that hold however often they are looked at. Called by reports, on scores of 0 to 100
 * divided by 100.
 *
 * Predictable plug-in empirical-Bernstein confidence sequence: Waudby-Smith and Ramdas 2024, "Estimating means of bounded
 * random variables by betting", J. R. Stat. Soc. B 86, theorem 2. Scores are taken to lie within 0 to 1 and to have the
 * same mean given those before; nothing else is assumed of them.
 *
 * The state is nine numbers. Two states cannot be merged: each score is weighed by the variance of those before it.
 */
import { z } from 'zod'
import type { Interval } from './counts.ts'
import { requireAlpha, requireInnerRate } from './preconditions.ts'
import { readState } from './state.ts'

const stateSchema = z.strictObject({
  version: z.literal(1),
  alpha: z.number().gt(0).lt(1),
  truncation: z.number().gt(0).lt(1),
  n: z.int().nonnegative(),
  sum: z.number().nonnegative(),
  squares: z.number().nonnegative(),
  weights: z.number().nonnegative(),
  weightedSum: z.number().nonnegative(),
  penaltyBelow: z.number().nonnegative(),
  penaltyAbove: z.number().nonnegative(),
})
export type ScoreMeanState = z.infer<typeof stateSchema>

export interface ScoreMeanOptions {
  readonly alpha?: number
  readonly truncation?: number
}

export class ScoreMean {
  private readonly state: ScoreMeanState

  /**
   * @param alpha chance of ever missing the mean, half on each side. Scores are weighed by it, so it is settled first.
   * @param truncation largest weight of a score, between 0 and 1.
   * @throws RangeError when one of them is out of its range.
   */
  constructor({ alpha = 0.05, truncation = 0.5, ...sums }: ScoreMeanOptions & Partial<ScoreMeanState> = {}) {
    requireAlpha(alpha)
    requireInnerRate(truncation, 'truncation')
    const nothing = { n: 0, sum: 0, squares: 0, weights: 0, weightedSum: 0, penaltyBelow: 0, penaltyAbove: 0 }
    this.state = { ...nothing, ...sums, version: 1, alpha, truncation }
  }

  /** @throws RangeError when `state` is none, or of another version. */
  static restore(state: unknown): ScoreMean {
    return new ScoreMean(readState(stateSchema, state, 'a mean of scores'))
  }

  serialise(): ScoreMeanState {
    return { ...this.state }
  }

  /**
   * Takes the next score. The t-th has the weight λ = min(truncation, sqrt(2 ln(2/α) / (t ln(1+t) v))), where v is the
   * variance of those before it as if there had been one of 1/2 with variance 1/4 at first; it adds
   * (x - m)² (-ln(1-λ) - λ) to the penalty, m being the mean of those before it. Before the first, m is 0 for the lower
   * bound and 1 for the upper, as the authors' own implementation has it.
   * @param score 0 to 1.
   * @throws RangeError for anything else.
   */
  add(score: number): void {
    if (!(score >= 0 && score <= 1)) throw new RangeError(`a score must be from 0 to 1, got ${score}`)
    const { state } = this
    const variance = (0.25 + state.squares) / (state.n + 1)
    const [meanBelow, meanAbove] = state.n === 0 ? [0, 1] : [state.sum / state.n, state.sum / state.n]
    state.n++
    const t = state.n
    const weight = Math.min(
      state.truncation,
      Math.sqrt((2 * Math.log(2 / state.alpha)) / (t * Math.log1p(t) * variance)),
    )
    const psi = -Math.log1p(-weight) - weight
    state.sum += score
    state.squares += (score - (0.5 + state.sum) / (t + 1)) ** 2
    state.weights += weight
    state.weightedSum += weight * score
    state.penaltyBelow += (score - meanBelow) ** 2 * psi
    state.penaltyAbove += (score - meanAbove) ** 2 * psi
  }

  get count(): number {
    return this.state.n
  }

  /** Plain mean of the scores; null without any. */
  get mean(): number | null {
    return this.state.n === 0 ? null : this.state.sum / this.state.n
  }

  /** (Σλx ± (ln(2/α) + penalty)) / Σλ, cut off at 0 and 1; all in between without scores. */
  get interval(): Interval {
    const { n, alpha, weights, weightedSum, penaltyBelow, penaltyAbove } = this.state
    if (n === 0) return { lower: 0, upper: 1 }
    const threshold = Math.log(2 / alpha)
    return {
      lower: Math.max(0, (weightedSum - threshold - penaltyBelow) / weights),
      upper: Math.min(1, (weightedSum + threshold + penaltyAbove) / weights),
    }
  }
}
