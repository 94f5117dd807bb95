/** Several treatment arms at once: what remains proven when every arm had its chance. Called by `arm-comparisons.ts`. */
import { requireAlpha } from './preconditions.ts'

/**
 * Holm 1979 (Scand. J. Stat. 6): adjusted p-values; rejecting those of at most alpha makes one false rejection or more
 * with chance alpha at most, however the p-values depend on each other. On anytime p-values, 1 / max E, that holds at
 * every look.
 * @returns in the order given; none for none.
 * @throws RangeError when one is no p-value.
 */
export function holm(pValues: readonly number[]): number[] {
  const count = pValues.length
  return adjust(pValues, (p, rank) => p * (count - rank), 'rising')
}

/**
 * Benjamini and Hochberg 1995 (J. R. Stat. Soc. B 57): adjusted p-values; rejecting those of at most q makes a share of
 * at most q of the rejections false on average, if the p-values are independent. Not used in the product, whose arms
 * share a control and depend on each other; it is there so that reports can show it.
 * @returns in the order given; none for none.
 * @throws RangeError when one is no p-value.
 */
export function benjaminiHochberg(pValues: readonly number[]): number[] {
  const count = pValues.length
  return adjust(pValues, (p, rank) => (p * count) / (rank + 1), 'falling')
}

/** What e-BH rejects. */
export interface EBenjaminiHochberg {
  readonly rejections: number
  /** In the order given. */
  readonly rejected: readonly boolean[]
}

/**
 * Wang and Ramdas 2022 (J. R. Stat. Soc. B 84): rejects the k largest e-values, the largest k of which each is at least
 * m / (alpha k). Bounds the average share of false rejections by alpha whatever the dependence. Only for current
 * e-values: the largest ones so far, max E, are none.
 * @param eValues from 0, Infinity included.
 * @throws RangeError when one is no e-value or alpha is not between 0 and 1.
 */
export function eBenjaminiHochberg(eValues: readonly number[], alpha = 0.05): EBenjaminiHochberg {
  requireAlpha(alpha)
  for (const e of eValues) if (!(e >= 0)) throw new RangeError(`${e} is not an e-value`)
  const count = eValues.length
  const falling = eValues.toSorted((x, y) => y - x)
  let rejections = 0
  for (const [index, e] of falling.entries()) if (e * alpha * (index + 1) >= count) rejections = index + 1
  const least = rejections === 0 ? Infinity : falling[rejections - 1]!
  return { rejections, rejected: eValues.map((e) => rejections > 0 && e >= least) }
}

/** Multiplies p-values, smallest first from rank 0, and makes them monotone: by those before, or by those after. */
function adjust(
  pValues: readonly number[],
  multiply: (p: number, rank: number) => number,
  monotone: 'rising' | 'falling',
): number[] {
  for (const p of pValues) if (!(p >= 0 && p <= 1)) throw new RangeError(`${p} is not a p-value`)
  const ranked = pValues.map((p, index) => ({ p, index })).sort((x, y) => x.p - y.p)
  const multiplied = ranked.map(({ p, index }, rank) => ({ value: multiply(p, rank), index }))
  if (monotone === 'falling') multiplied.reverse()
  const adjusted = new Array<number>(pValues.length)
  let bound = monotone === 'rising' ? 0 : 1
  for (const { value, index } of multiplied) {
    bound = monotone === 'rising' ? Math.max(bound, Math.min(1, value)) : Math.min(bound, value)
    adjusted[index] = bound
  }
  return adjusted
}
