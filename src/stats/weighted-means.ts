/**
 * A rate or mean from answers that were sampled with different probabilities. Called by reports where a probability
 * depends on more than arm and time; where it does not, the other statistics need no weights.
 *
 * Särndal, Swensson and Wretman 1992, "Model Assisted Survey Sampling". Answers are sampled independently of each other,
 * with known probabilities above 0, and independently of their outcomes given those.
 */
import { z } from 'zod'
import type { Interval } from './counts.ts'
import { requireAlpha } from './preconditions.ts'
import { twoSidedZ } from './special/normal-quantile.ts'
import { readState } from './state.ts'

const stateSchema = z.strictObject({
  version: z.literal(1),
  n: z.int().nonnegative(),
  /** Σw, Σw², Σwy, Σw²y, Σw²y², Σ(w²-w), Σ(w²-w)y, Σ(w²-w)y², with w = 1/π. */
  sums: z.array(z.number()).length(8),
})
export type WeightedSumsState = z.infer<typeof stateSchema>

/** Answers with one outcome: how many, Σw and Σw² with w = 1/π. */
export interface CountedWeights {
  readonly count: number
  readonly weights: number
  readonly squaredWeights: number
}

/** Estimates whose standard errors differ in what they take as random. */
export interface HajekEstimate {
  readonly estimate: number
  /** sqrt(Σw²(y-mean)²) / Σw. */
  readonly standardErrorHc0: number
  /** The same times sqrt(n / (n-1)); null for a single answer. The one to use. */
  readonly standardError: number | null
  /** Of the sampling alone: sqrt(Σ (1-π)/π² (y-mean)²) / Σw. */
  readonly standardErrorDesign: number
  /** estimate ± z standardError, two-sided; may leave the range of y. Null for a single answer. */
  readonly interval: Interval | null
  /** (Σw)² / Σw²: as many answers of equal weight say as much. */
  readonly effectiveAnswers: number
  /** Σw: how many answers there were, by the sample. */
  readonly population: number
}

/** Sums that both estimators are made of: O(1) per answer, and merged by addition. */
export class WeightedSums {
  private n: number
  private readonly sums: number[]

  constructor(state?: WeightedSumsState) {
    this.n = state?.n ?? 0
    this.sums = state === undefined ? new Array<number>(8).fill(0) : [...state.sums]
  }

  /** @throws RangeError when `state` is none, or of another version. */
  static restore(state: unknown): WeightedSums {
    return new WeightedSums(readState(stateSchema, state, 'weighted sums'))
  }

  /** Of outcomes that are 1 or 0, from what is counted of each. */
  static ofCounts(ones: CountedWeights, zeros: CountedWeights): WeightedSums {
    const [w, ww] = [ones.weights, ones.squaredWeights]
    const [all, allSquared] = [w + zeros.weights, ww + zeros.squaredWeights]
    const design = ww - w
    return new WeightedSums({
      version: 1,
      n: ones.count + zeros.count,
      sums: [all, allSquared, w, ww, ww, allSquared - all, design, design],
    })
  }

  serialise(): WeightedSumsState {
    return { version: 1, n: this.n, sums: [...this.sums] }
  }

  /**
   * Counts one sampled answer.
   * @param y 0 or 1, or a score.
   * @param probability with which it was sampled, above 0 and at most 1.
   * @throws RangeError for anything else.
   */
  add(y: number, probability: number): void {
    if (!Number.isFinite(y)) throw new RangeError(`${y} is not a score`)
    if (!(probability > 0 && probability <= 1))
      throw new RangeError(`a sampling probability must be above 0 and at most 1, got ${probability}`)
    const w = 1 / probability
    const design = w * w - w
    const terms = [w, w * w, w * y, w * w * y, w * w * y * y, design, design * y, design * y * y]
    for (const [index, term] of terms.entries()) this.sums[index]! += term
    this.n++
  }

  /** Sums over disjoint answers put together: commutative, and associative up to rounding. */
  merge(other: WeightedSums): WeightedSums {
    return new WeightedSums({
      version: 1,
      n: this.n + other.n,
      sums: this.sums.map((sum, index) => sum + other.sums[index]!),
    })
  }

  /**
   * Hájek 1971: Σwy / Σw with w = 1/π, its variance linearised.
   * @param alpha chance of missing the mean at one look, two-sided.
   * @returns null without answers.
   * @throws RangeError when alpha is not between 0 and 1.
   */
  hajek(alpha = 0.05): HajekEstimate | null {
    requireAlpha(alpha)
    if (this.n === 0) return null
    const [w, ww, wy, wwy, wwyy, d, dy, dyy] = this.sums as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ]
    const mean = wy / w
    const around = (one: number, y: number, yy: number) => Math.max(0, yy - 2 * mean * y + mean * mean * one)
    const standardErrorHc0 = Math.sqrt(around(ww, wwy, wwyy)) / w
    const standardError = this.n === 1 ? null : standardErrorHc0 * Math.sqrt(this.n / (this.n - 1))
    const half = standardError === null ? null : twoSidedZ(alpha) * standardError
    return {
      estimate: mean,
      standardErrorHc0,
      standardError,
      standardErrorDesign: Math.sqrt(around(d, dy, dyy)) / w,
      interval: half === null ? null : { lower: mean - half, upper: mean + half },
      effectiveAnswers: (w * w) / ww,
      population: w,
    }
  }

  /**
   * Horvitz and Thompson 1952: Σwy / N, its standard error sqrt(Σ (1-π)/π² y²) / N. Not used in the product: it can
   * leave 0 to 1 and is less precise than Hájek's. It is there to test why it was rejected.
   * @param population N, the number of answers that were sampled from, above 0.
   * @throws RangeError for another population.
   */
  horvitzThompson(population: number): { readonly estimate: number; readonly standardError: number } {
    if (!(population > 0 && population < Infinity))
      throw new RangeError(`a population must be a number above 0, got ${population}`)
    return { estimate: this.sums[2]! / population, standardError: Math.sqrt(this.sums[7]!) / population }
  }
}
