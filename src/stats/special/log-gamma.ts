/** The logarithm of the gamma function and what is made of it directly. Called within `stats/`. */

/** B_2k / (2k (2k-1)): Stirling's series, Abramowitz & Stegun 1964, 6.1.41. */
const STIRLING = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156]
/** From here on the series above is exact to double precision. */
const STIRLING_FROM = 10
const HALF_LOG_2PI = Math.log(2 * Math.PI) / 2

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
  return (
    (shifted - 0.5) * Math.log(shifted) - shifted + HALF_LOG_2PI + stirlingSeries(shifted) - Math.log(product)
  )
}

/**
 * ln B(a, b) = ln Γ(a) + ln Γ(b) - ln Γ(a+b).
 * @throws RangeError unless a and b are above 0 and finite.
 */
export function logBeta(a: number, b: number): number {
  return logGamma(a) + logGamma(b) - logGamma(a + b)
}

/**
 * What Stirling's formula lacks: ln Γ(x) - [(x - 1/2) ln x - x + ln(2π)/2], near 1/(12x). Differences of log-gammas of
 * large numbers are made of it where the log-gammas themselves would cancel out.
 * @param x above 0 and finite.
 */
export function stirlingError(x: number): number {
  if (x >= STIRLING_FROM) return stirlingSeries(x)
  return logGamma(x) - ((x - 0.5) * Math.log(x) - x + HALF_LOG_2PI)
}

/**
 * x ln(x/m) + m - x, at least 0, without cancellation where x is near m: Loader 2000, "Fast and accurate computation of
 * binomial probabilities".
 * @param x from 0, finite.
 * @param m above 0 and finite.
 * @param difference x - m, where it is known better than by subtracting.
 */
export function deviance(x: number, m: number, difference = x - m): number {
  if (x === 0) return m
  if (Math.abs(difference) >= 0.1 * (x + m)) return x * Math.log(x / m) - difference
  // ln(x/m) = 2 artanh v with v = (x-m)/(x+m), as a series.
  const v = difference / (x + m)
  const square = v * v
  let sum = difference * v
  let term = 2 * x * v
  for (let odd = 3; ; odd += 2) {
    term *= square
    const next = sum + term / odd
    if (next === sum) return sum
    sum = next
  }
}

function stirlingSeries(x: number): number {
  const square = x * x
  let sum = 0
  for (let index = STIRLING.length - 1; index >= 0; index--) sum = sum / square + STIRLING[index]!
  return sum / x
}
