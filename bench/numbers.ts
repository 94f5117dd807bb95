/** The few statistics of the benchmark. Pure; used by everything in this folder. */

/** @returns the middle value, the mean of the two middle ones, or null where there is none. */
export function median(values: readonly number[]): number | null {
  if (values.length === 0) return null
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/**
 * The values of two series, round by round: the figures of one round were taken within a minute, so what disturbs one
 * disturbs the other.
 * @returns `combine(a, b)` for every round that has both.
 */
export function paired(
  a: readonly (number | null)[],
  b: readonly (number | null)[],
  combine: (a: number, b: number) => number,
): number[] {
  return a.flatMap((value, round) => {
    const other = b[round]
    return value === null || other === null || other === undefined ? [] : [combine(value, other)]
  })
}

/** The median over the rounds of a's share of b. */
export function ratio(a: readonly (number | null)[], b: readonly (number | null)[]): number | null {
  return median(paired(a, b, (x, y) => x / y).filter(Number.isFinite))
}

/** The median over the rounds of what a has more than b. */
export function difference(a: readonly (number | null)[], b: readonly (number | null)[]): number | null {
  return median(paired(a, b, (x, y) => x - y))
}

/** Three digits that count, and no more of them than mean something. */
export function figure(value: number | null): string {
  if (value === null) return '–'
  const size = Math.abs(value)
  if (size >= 1000) return Math.round(value).toLocaleString('en-US')
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2)
}
