/**
 * The quantile of the standard normal distribution. Called within `stats/`.
 *
 * Wichura 1988, Algorithm AS 241 (PPND16), Appl. Stat. 37: rational functions, relative error about 1e-16. The
 * coefficients stand as the doubles that they are.
 */

/** Numerator and denominator, constant first. */
type Rational = readonly [readonly number[], readonly number[]]

const CENTRE: Rational = [
  [
    3.3871328727963665, 133.14166789178438, 1971.5909503065513, 13731.69376550946, 45921.95393154987,
    67265.7709270087, 33430.57558358813, 2509.0809287301227,
  ],
  [
    1, 42.31333070160091, 687.1870074920579, 5394.196021424751, 21213.794301586597, 39307.89580009271,
    28729.085735721943, 5226.495278852854,
  ],
]
const NEAR_TAIL: Rational = [
  [
    1.4234371107496835, 4.630337846156546, 5.769497221460691, 3.6478483247632045, 1.2704582524523684,
    0.2417807251774506, 0.022723844989269184, 0.0007745450142783414,
  ],
  [
    1, 2.053191626637759, 1.6763848301838038, 0.6897673349851, 0.14810397642748008, 0.015198666563616457,
    0.0005475938084995345, 1.0507500716444169e-9,
  ],
]
const FAR_TAIL: Rational = [
  [
    6.657904643501103, 5.463784911164114, 1.7848265399172913, 0.29656057182850487, 0.026532189526576124,
    0.0012426609473880784, 2.7115555687434876e-5, 2.0103343992922881e-7,
  ],
  [
    1, 0.599832206555888, 0.1369298809227358, 0.014875361290850615, 0.0007868691311456133,
    1.8463183175100548e-5, 1.421511758316446e-7, 2.0442631033899397e-15,
  ],
]

/**
 * The z that a standard normal variable stays below with chance p.
 * @param p between 0 and 1.
 * @throws RangeError for anything else.
 */
export function normalQuantile(p: number): number {
  if (!(p > 0 && p < 1)) throw new RangeError(`a quantile needs p between 0 and 1, got ${p}`)
  const fromHalf = p - 0.5
  if (Math.abs(fromHalf) <= 0.425) return fromHalf * evaluate(CENTRE, 0.180625 - fromHalf * fromHalf)
  const r = Math.sqrt(-Math.log(Math.min(p, 1 - p)))
  const tail = r <= 5 ? evaluate(NEAR_TAIL, r - 1.6) : evaluate(FAR_TAIL, r - 5)
  return fromHalf < 0 ? -tail : tail
}

/**
 * The z of a two-sided interval: a standard normal variable is farther from 0 with chance alpha.
 * @param alpha between 0 and 1; not rounded away near 0, as 1 - alpha/2 would be.
 * @throws RangeError for anything else.
 */
export function twoSidedZ(alpha: number): number {
  if (!(alpha > 0 && alpha < 1)) throw new RangeError(`alpha must lie between 0 and 1, got ${alpha}`)
  return -normalQuantile(alpha / 2)
}

function evaluate([numerator, denominator]: Rational, x: number): number {
  return horner(numerator, x) / horner(denominator, x)
}

function horner(coefficients: readonly number[], x: number): number {
  let sum = 0
  for (let index = coefficients.length - 1; index >= 0; index--) sum = sum * x + coefficients[index]!
  return sum
}
