/**
 * The evidence that an arm's rate is above a promise, verdict by verdict: the largest so far is what may be acted on
 * (Ville 1939). Called by `evidence.ts`.
 */
import { z } from 'zod'
import { type Counts, countVerdict, NO_COUNTS } from './counts.ts'
import { countsSchema } from './state.ts'
import { thresholdLogE } from './threshold.ts'

export const thresholdProcessSchema = z.strictObject({ counts: countsSchema, max: z.number().nonnegative() })
export type ThresholdProcessState = z.infer<typeof thresholdProcessSchema>

export class ThresholdProcess {
  private readonly rate: number
  private state: Counts
  private largest: number

  /** @param rate the promise, between 0 and 1. */
  constructor(rate: number, state?: ThresholdProcessState) {
    this.rate = rate
    this.state = state?.counts ?? NO_COUNTS
    this.largest = state?.max ?? 0
  }

  serialise(): ThresholdProcessState {
    return { counts: this.state, max: this.largest }
  }

  add(positive: boolean): void {
    this.state = countVerdict(this.state, positive)
    // A negative verdict is less likely under any rate above the promise than at it, so it only takes evidence away.
    if (!positive) return
    const { above } = thresholdLogE(this.state.positives, this.state.total, this.rate)
    if (above > this.largest) this.largest = above
  }

  get counts(): Counts {
    return this.state
  }

  /** Largest ln E of "the rate is above" so far, 0 at the start. */
  get maxLogE(): number {
    return this.largest
  }
}
