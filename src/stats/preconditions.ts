/** What the statistics demand of their arguments, each with one message. Called within `stats/`. */

/** Beta priors beyond this make every rate 0, 1 or the prior's own in double precision. */
const PRIOR_LIMITS = [1e-6, 1e9] as const

/** @throws RangeError unless 0 < alpha < 1. */
export function requireAlpha(alpha: number): void {
  if (!(alpha > 0 && alpha < 1)) throw new RangeError(`alpha must lie between 0 and 1, got ${alpha}`)
}

/** @throws RangeError unless `positives` and `total` are whole numbers with 0 <= positives <= total. */
export function requireCounts(positives: number, total: number): void {
  if (!Number.isSafeInteger(positives) || !Number.isSafeInteger(total) || positives < 0 || positives > total)
    throw new RangeError(`${positives} of ${total} is not a count of positives`)
}

/** @throws RangeError unless both parameters of a Beta prior are from 1e-6 to 1e9. */
export function requirePrior(a: number, b: number): void {
  const [least, most] = PRIOR_LIMITS
  if (!(a >= least && a <= most && b >= least && b <= most))
    throw new RangeError(`a Beta prior needs parameters above 0, from ${least} to ${most}, got ${a} and ${b}`)
}

/** @throws RangeError unless `rate` is between 0 and 1, ends excluded; `name` says which it is. */
export function requireInnerRate(rate: number, name: string): void {
  if (!(rate > 0 && rate < 1)) throw new RangeError(`${name} must lie between 0 and 1, got ${rate}`)
}
