/**
 * The regularised incomplete beta function, its logarithm and its inverse. Called within `stats/`.
 *
 * DLMF 8.17; the factor in front of the continued fraction as in Loader 2000, so that a and b may be billions.
 */
import { deviance, stirlingError } from './log-gamma.ts'

/** Of the continued fraction; it needs some multiple of the square root of a + b. */
const MAX_STEPS = 5_000_000
const TINY = 1e-300

/** A point of the unit interval by its distances from both ends, so that neither is lost to rounding. */
interface Point {
  readonly x: number
  /** 1 - x. */
  readonly y: number
}

/**
 * I_x(a, b): the chance that a Beta(a, b) variable is at most x.
 * @param x 0 to 1.
 * @param a with `b`, above 0 and finite.
 * @throws RangeError for anything else.
 */
export function incompleteBeta(x: number, a: number, b: number): number {
  return Math.exp(logIncompleteBeta(x, a, b))
}

/**
 * ln I_x(a, b), which tells apart chances too small for a double; -Infinity at x = 0.
 * @throws RangeError as `incompleteBeta`.
 */
export function logIncompleteBeta(x: number, a: number, b: number): number {
  requireParameters(a, b)
  if (!(x >= 0 && x <= 1)) throw new RangeError(`an incomplete beta function needs x from 0 to 1, got ${x}`)
  return logLower({ x, y: 1 - x }, a, b)
}

/**
 * ln(1 - I_x(a, b)), precise where I_x is close to 1; -Infinity at x = 1.
 * @throws RangeError as `incompleteBeta`.
 */
export function logUpperIncompleteBeta(x: number, a: number, b: number): number {
  requireParameters(a, b)
  if (!(x >= 0 && x <= 1)) throw new RangeError(`an incomplete beta function needs x from 0 to 1, got ${x}`)
  return logLower({ x: 1 - x, y: x }, b, a)
}

/**
 * The x with I_x(a, b) = p.
 * @param p 0 to 1. For p close to 1 prefer `inverseUpperIncompleteBeta` of 1 - p.
 * @throws RangeError for anything else.
 */
export function inverseIncompleteBeta(p: number, a: number, b: number): number {
  requireParameters(a, b)
  if (!(p >= 0 && p <= 1))
    throw new RangeError(`an inverse incomplete beta function needs p from 0 to 1, got ${p}`)
  return p > 0.5 ? solve(1 - p, b, a).y : solve(p, a, b).x
}

/**
 * The x with 1 - I_x(a, b) = p, precise for small p.
 * @throws RangeError as `inverseIncompleteBeta`.
 */
export function inverseUpperIncompleteBeta(p: number, a: number, b: number): number {
  requireParameters(a, b)
  if (!(p >= 0 && p <= 1))
    throw new RangeError(`an inverse incomplete beta function needs p from 0 to 1, got ${p}`)
  return p > 0.5 ? solve(1 - p, a, b).x : solve(p, b, a).y
}

/**
 * Where the lower tail is p. In the logit of x the logarithm of the tail is concave and rises, so Newton's method comes
 * from below; a bracket keeps it from leaping where the tail is flat.
 */
function solve(p: number, a: number, b: number): Point {
  if (p === 0) return { x: 0, y: 1 }
  if (p === 1) return { x: 1, y: 0 }
  const target = Math.log(p)
  let [low, high] = [-Infinity, Infinity]
  let logit = Math.log(a / b)
  for (let iteration = 0; iteration < 200; iteration++) {
    const point = fromLogit(logit)
    const tail = logLower(point, a, b)
    if (tail > target) high = logit
    else low = logit
    let next = logit - (tail - target) / Math.exp(logFactor(point, a, b) - tail)
    if (!(next > low && next < high)) next = between(low, high)
    if (Math.abs(next - logit) <= 4e-16 * Math.max(1, Math.abs(logit))) return fromLogit(next)
    logit = next
  }
  return fromLogit(logit)
}

function fromLogit(logit: number): Point {
  return { x: 1 / (1 + Math.exp(-logit)), y: 1 / (1 + Math.exp(logit)) }
}

function between(low: number, high: number): number {
  if (low === -Infinity) return high - Math.max(1, Math.abs(high))
  if (high === Infinity) return low + Math.max(1, Math.abs(low))
  return (low + high) / 2
}

function logLower(point: Point, a: number, b: number): number {
  const { x, y } = point
  if (x === 0) return -Infinity
  if (y === 0) return 0
  const factor = logFactor(point, a, b)
  // Beyond this the fraction of the other tail converges faster; at the limit both do.
  if (x <= (a + 1) / (a + b + 2)) return Math.min(0, factor + Math.log(fraction(point, a, b)))
  return Math.log1p(-Math.min(1, Math.exp(factor) * fraction({ x: y, y: x }, b, a)))
}

/** ln[x^a y^b / B(a, b)]: the derivative of I_x by the logit of x. */
function logFactor(point: Point, a: number, b: number): number {
  const sum = a + b
  const stirling = stirlingError(sum) - stirlingError(a) - stirlingError(b)
  const root = 0.5 * Math.log(((a / sum) * b) / (2 * Math.PI))
  const difference = excess(point, a, b)
  return stirling + root - deviance(a, sum * point.x, difference) - deviance(b, sum * point.y, -difference)
}

/** a - (a+b) x, which is (a+b) y - b, from the end that is nearer. */
function excess({ x, y }: Point, a: number, b: number): number {
  return x < y ? a - (a + b) * x : (a + b) * y - b
}

/**
 * I_x over the factor: the continued fraction of Didonato and Morris 1992 (ACM TOMS 18, Algorithm 708), the even part of
 * DLMF 8.17.22 in terms of a - (a+b) x, by Lentz's method.
 */
function fraction(point: Point, a: number, b: number): number {
  const { x, y } = point
  const difference = excess(point, a, b)
  let value = nonZero((a / (a + 1)) * (difference + 1))
  let c = value
  let d = 0
  for (let n = 1; n <= MAX_STEPS; n++) {
    const share = (n * (b - n) * x) / (a + 2 * n - 1)
    const alpha = (a + n - 1) * ((a + b + n - 1) / (a + 2 * n - 1)) * x * share
    const beta = n + share + ((a + n) / (a + 2 * n + 1)) * (difference + 1 + n * (1 + y))
    d = 1 / nonZero(beta + alpha * d)
    c = nonZero(beta + alpha / c)
    const change = c * d
    value *= change
    if (Math.abs(change - 1) < 3e-16) return 1 / value
  }
  throw new RangeError(
    `the incomplete beta function of a = ${a} and b = ${b} needs more than ${MAX_STEPS} steps`,
  )
}

function nonZero(value: number): number {
  return Math.abs(value) < TINY ? TINY : value
}

function requireParameters(a: number, b: number): void {
  if (!(a > 0 && a < Infinity && b > 0 && b < Infinity))
    throw new RangeError(`an incomplete beta function needs finite parameters above 0, got ${a} and ${b}`)
}
