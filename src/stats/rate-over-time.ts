/** How an arm's rate came about, hour by hour. Called by `detailed-report.ts`. */
import type { Tally } from '../domain/store.ts'
import { betaBinomialInterval } from './beta-binomial.ts'
import type { Interval } from './counts.ts'

const HOUR_MS = 3_600_000
/** More are not seen in a plot. */
const MOST_POINTS = 120

/** All verdicts on requests of before a moment. */
export interface RatePoint extends Interval {
  /** End of an hour, milliseconds since the epoch. */
  readonly at: number
  readonly positives: number
  readonly total: number
  readonly estimate: number
}

/**
 * The cumulative rate with its confidence sequence, at the end of each hour that had verdicts. The bounds hold at all
 * points at once, if the rate is one rate; where they wander away from earlier ones, it drifts.
 * @param tallies of one arm: drawn, and of one wording.
 * @param alpha chance that the rate is ever outside.
 * @returns in order; where there are more than 120 hours, some of them, the last one always.
 */
export function rateOverTime(tallies: readonly Tally[], alpha: number): RatePoint[] {
  const hours = new Map<number, { positives: number; total: number }>()
  for (const { hour, kind, count } of tallies) {
    if (kind !== 'positive' && kind !== 'negative') continue
    const sums = hours.get(hour) ?? { positives: 0, total: 0 }
    sums.total += count
    if (kind === 'positive') sums.positives += count
    hours.set(hour, sums)
  }
  let [positives, total] = [0, 0]
  const cumulative = [...hours]
    .sort(([one], [other]) => one - other)
    .map(([hour, sums]) => {
      positives += sums.positives
      total += sums.total
      return { at: hour + HOUR_MS, positives, total }
    })
  const step = Math.ceil(cumulative.length / MOST_POINTS)
  return cumulative
    .filter((_, index) => (cumulative.length - 1 - index) % step === 0)
    .map((point) => ({
      ...point,
      estimate: point.positives / point.total,
      ...betaBinomialInterval(point.positives, point.total, alpha),
    }))
}
