/**
 * The regularised incomplete gamma function and the tails made of it: chi-square and normal. Called within `stats/`.
 *
 * DLMF 8.2, 8.9 and 8.11; the factor in front as in Loader 2000.
 */
import { deviance, stirlingError } from './log-gamma.ts'

const MAX_STEPS = 5_000_000
const TINY = 1e-300

/**
 * Q(s, x): the chance that a Gamma(s, 1) variable is above x.
 * @param s above 0 and finite.
 * @param x from 0.
 * @throws RangeError for anything else.
 */
export function upperIncompleteGamma(s: number, x: number): number {
  if (!(s > 0 && s < Infinity && x >= 0))
    throw new RangeError(`an incomplete gamma function needs s above 0 and x from 0, got ${s} and ${x}`)
  if (x === 0) return 1
  if (x === Infinity) return 0
  // x^s e^-x / Γ(s)
  const factor = Math.exp(-deviance(s, x) - stirlingError(s)) * Math.sqrt(s / (2 * Math.PI))
  return x < s + 1 ? 1 - factor * series(s, x) : factor * fraction(s, x)
}

/**
 * Survival function of the chi-square distribution, Q(df/2, x/2).
 * @param x from 0.
 * @param df degrees of freedom, above 0.
 * @throws RangeError for anything else.
 */
export function chiSquareSurvival(x: number, df: number): number {
  return upperIncompleteGamma(df / 2, x / 2)
}

/** The chance that a standard normal variable is above z. */
export function normalSurvival(z: number): number {
  const tail = upperIncompleteGamma(0.5, (z * z) / 2) / 2
  return z >= 0 ? tail : 1 - tail
}

/** P(s, x) over the factor: DLMF 8.11.4. */
function series(s: number, x: number): number {
  let term = 1 / s
  let sum = term
  for (let n = 1; n <= MAX_STEPS; n++) {
    term *= x / (s + n)
    sum += term
    if (term < sum * 1e-17) return sum
  }
  throw tooLarge(s)
}

/** Q(s, x) over the factor: DLMF 8.9.2 by Lentz's method. */
function fraction(s: number, x: number): number {
  let b = x + 1 - s
  let c = 1 / TINY
  let d = 1 / b
  let value = d
  for (let n = 1; n <= MAX_STEPS; n++) {
    const a = -n * (n - s)
    b += 2
    d = 1 / nonZero(a * d + b)
    c = nonZero(b + a / c)
    const change = d * c
    value *= change
    if (Math.abs(change - 1) < 3e-16) return value
  }
  throw tooLarge(s)
}

function nonZero(value: number): number {
  return Math.abs(value) < TINY ? TINY : value
}

function tooLarge(s: number): RangeError {
  return new RangeError(`the incomplete gamma function of s = ${s} needs more than ${MAX_STEPS} steps`)
}
