/** What the statistics share: log-gamma, log-beta and bisection. Called within `stats/`. */

/** B_2k / (2k (2k-1)): Stirling's series, Abramowitz & Stegun 1964, 6.1.41. */
const STIRLING = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156]
/** From here on the series above is exact to double precision. */
const STIRLING_FROM = 10

/**
 * ln Γ(x) by Stirling's series; below 10 through Γ(x) = Γ(x+n) / (x (x+1) ... (x+n-1)).
 * The error is about 1e-15 times the larger of 10 and the value.
 * @param x above 0 and finite.
 * @throws RangeError for any other x.
 */
export function logGamma(x: number): number {
  if (!(x > 0 && x < Infinity)) throw new RangeError(`logGamma needs a finite number above 0, got ${x}`)
  if (x === 1 || x === 2) return 0
  let product = 1
  let shifted = x
  while (shifted < STIRLING_FROM) product *= shifted++
  const series = STIRLING.reduceRight((sum, coefficient) => sum / shifted ** 2 + coefficient, 0) / shifted
  return (
    (shifted - 0.5) * Math.log(shifted) - shifted + Math.log(2 * Math.PI) / 2 + series - Math.log(product)
  )
}

/**
 * ln B(a, b) = ln Γ(a) + ln Γ(b) - ln Γ(a+b).
 * @throws RangeError unless a and b are above 0 and finite.
 */
export function logBeta(a: number, b: number): number {
  return logGamma(a) + logGamma(b) - logGamma(a + b)
}

/** `weight * value`, where a weight of 0 wins over an infinite value: a term 0 ln 0 of a likelihood is 0. */
export function weighed(weight: number, value: number): number {
  return weight === 0 ? 0 : weight * value
}

/**
 * Halves the stretch between a point that is accepted and one that is not until it is no longer than `tolerance`.
 * @param tolerance 0: until the two are neighbours among the doubles.
 * @returns the end that is not accepted, so that an interval made of it covers no less than it should.
 */
export function bisect(
  accepts: (point: number) => boolean,
  accepted: number,
  rejected: number,
  tolerance = 0,
): number {
  while (Math.abs(rejected - accepted) > tolerance) {
    const middle = (accepted + rejected) / 2
    if (middle === accepted || middle === rejected) break
    if (accepts(middle)) accepted = middle
    else rejected = middle
  }
  return rejected
}

/** @throws RangeError unless 0 < alpha < 1. */
export function requireAlpha(alpha: number): void {
  if (!(alpha > 0 && alpha < 1)) throw new RangeError(`alpha must lie between 0 and 1, got ${alpha}`)
}

/** @throws RangeError unless `positives` and `total` are whole numbers with 0 <= positives <= total. */
export function requireCounts(positives: number, total: number): void {
  if (!Number.isSafeInteger(positives) || !Number.isSafeInteger(total) || positives < 0 || positives > total)
    throw new RangeError(`${positives} of ${total} is not a count of positives`)
}

/** @throws RangeError unless both parameters of a Beta prior are above 0 and finite. */
export function requirePrior(a: number, b: number): void {
  if (!(a > 0 && a < Infinity && b > 0 && b < Infinity))
    throw new RangeError(`a Beta prior needs finite parameters above 0, got ${a} and ${b}`)
}
