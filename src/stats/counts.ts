/** What is counted of an arm and the bounds made of it: the words the statistics share. Called within `stats/`. */
import { requireCounts } from './preconditions.ts'

/** Verdicts of one arm; `total` counts positives and negatives. It is its own serialised state. */
export interface Counts {
  readonly positives: number
  readonly total: number
}

export const NO_COUNTS: Counts = { positives: 0, total: 0 }

/** Ends of a confidence interval. */
export interface Interval {
  readonly lower: number
  readonly upper: number
}

/**
 * Counts of disjoint verdicts put together; associative and commutative, with `NO_COUNTS` as the neutral one, so that
 * replicas may count apart.
 * @throws RangeError when one of them is no count, or the sum is beyond 2^53.
 */
export function mergeCounts(one: Counts, other: Counts): Counts {
  requireCounts(one.positives, one.total)
  requireCounts(other.positives, other.total)
  const merged = { positives: one.positives + other.positives, total: one.total + other.total }
  requireCounts(merged.positives, merged.total)
  return merged
}

/** The counts with one more verdict. */
export function countVerdict({ positives, total }: Counts, positive: boolean): Counts {
  return { positives: positives + (positive ? 1 : 0), total: total + 1 }
}
