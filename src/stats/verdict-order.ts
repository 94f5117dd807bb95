/**
 * Puts verdicts back into the order of their requests, which the block e-process needs: judging finishes in any order.
 * Called by whoever feeds `arm-comparisons.ts` as verdicts arrive.
 *
 * Every request's verdict is waited for equally long, in all arms; one that comes later is left out and counted. So
 * whether a verdict enters depends on how long judging took, not on what had been decided or on the arm. Verdicts held
 * back are bounded: when there are too many, the oldest are let go early and the wait is shorter for all for a while.
 */
import { z } from 'zod'
import { readState } from './state.ts'

/** A verdict on its way into a comparison. */
export interface OrderedVerdict {
  /** When the request came, in milliseconds since 1970. */
  readonly requestedAt: number
  /** Settles the order of requests of the same millisecond. */
  readonly requestId: string
  readonly arm: string
  readonly positive: boolean
}

export interface VerdictOrderOptions {
  /** How long after its request a verdict is waited for, in milliseconds, the same for all. */
  readonly wait: number
  /** Most verdicts held back; default 100,000. */
  readonly capacity?: number
}

const stateSchema = z.strictObject({
  version: z.literal(1),
  wait: z.number().nonnegative(),
  capacity: z.int().min(1),
  /** Null before the first release. */
  watermark: z.number().nullable(),
  late: z.int().nonnegative(),
  held: z.array(
    z.strictObject({
      requestedAt: z.number(),
      requestId: z.string(),
      arm: z.string(),
      positive: z.boolean(),
    }),
  ),
})
/** Verdicts held back, as plain JSON. */
export type VerdictOrderState = z.infer<typeof stateSchema>

export class VerdictOrder {
  private readonly wait: number
  private readonly capacity: number
  /** In order; new ones nearly always belong near the end. */
  private readonly held: OrderedVerdict[]
  private watermark: number
  private tooLate: number

  /** @throws RangeError when wait is negative or no number, or capacity no whole number from 1. */
  constructor({ wait, capacity = 100_000 }: VerdictOrderOptions, state?: VerdictOrderState) {
    if (!(wait >= 0 && wait < Infinity)) throw new RangeError(`wait must be milliseconds from 0, got ${wait}`)
    if (!Number.isSafeInteger(capacity) || capacity < 1)
      throw new RangeError(`capacity must be a whole number from 1, got ${capacity}`)
    this.wait = wait
    this.capacity = capacity
    this.held = [...(state?.held ?? [])]
    this.watermark = state?.watermark ?? -Infinity
    this.tooLate = state?.late ?? 0
  }

  /** @throws RangeError when `state` is none, or of another version. */
  static restore(state: unknown): VerdictOrder {
    const read = readState(stateSchema, state, 'an order of verdicts')
    return new VerdictOrder(read, read)
  }

  serialise(): VerdictOrderState {
    const watermark = this.watermark === -Infinity ? null : this.watermark
    const { wait, capacity } = this
    return { version: 1, wait, capacity, watermark, late: this.tooLate, held: [...this.held] }
  }

  /**
   * Holds a verdict back until its time has come.
   * @returns false, and counts it as late, when verdicts of its time have been let go already.
   * @throws RangeError when its time is no number.
   */
  add(verdict: OrderedVerdict): boolean {
    if (!Number.isFinite(verdict.requestedAt))
      throw new RangeError(`the time of request ${verdict.requestId} is ${verdict.requestedAt}`)
    if (verdict.requestedAt <= this.watermark) {
      this.tooLate++
      return false
    }
    this.held.splice(this.placeOf(verdict), 0, verdict)
    return true
  }

  /**
   * Lets go, in the order of the requests, what has been waited for, and the oldest beyond the capacity.
   * @param now in milliseconds since 1970. A clock that goes back lets go nothing.
   */
  release(now: number): OrderedVerdict[] {
    const excess = this.held.length - this.capacity
    const forced = excess > 0 ? this.held[excess - 1]!.requestedAt : -Infinity
    this.watermark = Math.max(this.watermark, now - this.wait, forced)
    let count = 0
    while (count < this.held.length && this.held[count]!.requestedAt <= this.watermark) count++
    return this.held.splice(0, count)
  }

  /** Verdicts left out because they came late. */
  get late(): number {
    return this.tooLate
  }

  /** Verdicts held back. */
  get size(): number {
    return this.held.length
  }

  private placeOf(verdict: OrderedVerdict): number {
    let [low, high] = [0, this.held.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (precedes(verdict, this.held[middle]!)) high = middle
      else low = middle + 1
    }
    return low
  }
}

function precedes(one: OrderedVerdict, other: OrderedVerdict): boolean {
  return (
    one.requestedAt < other.requestedAt ||
    (one.requestedAt === other.requestedAt && one.requestId < other.requestId)
  )
}
