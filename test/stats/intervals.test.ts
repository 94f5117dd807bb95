/** What must hold of every interval of a rate, whatever the counts; and how often each covers the rate. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { betaBinomialInterval } from '../../src/stats/beta-binomial.ts'
import {
  clopperPearsonInterval,
  jeffreysInterval,
  wilsonInterval,
} from '../../src/stats/binomial-intervals.ts'
import type { Interval } from '../../src/stats/counts.ts'
import { logBinomialChance } from '../../src/stats/special/binomial-chance.ts'
import { alphas, counts } from './verdicts.ts'

type Make = (k: number, n: number, alpha?: number) => Interval

const INTERVALS: [string, Make][] = [
  ['wilsonInterval', wilsonInterval],
  ['clopperPearsonInterval', clopperPearsonInterval],
  ['jeffreysInterval', jeffreysInterval],
  ['betaBinomialInterval', betaBinomialInterval],
]
/** Bounds are found to about this. */
const SLACK = 1e-9
const ALPHA = 0.05

function contains(outer: Interval, inner: Interval): void {
  expect(inner.lower).toBeGreaterThanOrEqual(outer.lower - SLACK)
  expect(inner.upper).toBeLessThanOrEqual(outer.upper + SLACK)
}

/** The chance that the interval of n verdicts covers p. */
function coverage(make: Make, n: number, p: number): number {
  let sum = 0
  for (let k = 0; k <= n; k++) {
    const { lower, upper } = make(k, n, ALPHA)
    if (lower <= p && p <= upper) sum += Math.exp(logBinomialChance(k, n, p))
  }
  return sum
}

describe.each(INTERVALS)('%s', (name, make) => {
  it('stays within 0 to 1, ordered, and has the observed rate inside', () => {
    fc.assert(
      fc.property(counts, alphas, ([k, n], alpha) => {
        const { lower, upper } = make(k, n, alpha)
        expect(lower).toBeGreaterThanOrEqual(0)
        expect(upper).toBeLessThanOrEqual(1)
        expect(lower).toBeLessThanOrEqual(upper)
        // Jeffreys' and Clopper-Pearson's are made of quantiles, which pass the rate as alpha nears 1.
        if (name === 'wilsonInterval' || name === 'betaBinomialInterval' || alpha < 0.5) {
          expect(lower).toBeLessThanOrEqual(k / n + SLACK)
          expect(upper).toBeGreaterThanOrEqual(k / n - SLACK)
        }
      }),
    )
  })

  it('moves up with the positives', () => {
    fc.assert(
      fc.property(counts, alphas, ([k, n], alpha) => {
        const [less, more] = [make(Math.max(0, k - 1), n, alpha), make(k, n, alpha)]
        expect(more.lower).toBeGreaterThanOrEqual(less.lower - SLACK)
        expect(more.upper).toBeGreaterThanOrEqual(less.upper - SLACK)
      }),
    )
  })

  it('mirrors when positives and negatives change places', () => {
    fc.assert(
      fc.property(counts, alphas, ([k, n], alpha) => {
        const [one, other] = [make(k, n, alpha), make(n - k, n, alpha)]
        expect(other.lower).toBeCloseTo(1 - one.upper, 9)
        expect(other.upper).toBeCloseTo(1 - one.lower, 9)
      }),
    )
  })

  it('contains the interval of a larger alpha', () => {
    fc.assert(
      fc.property(counts, alphas, alphas, ([k, n], one, other) => {
        contains(make(k, n, Math.min(one, other)), make(k, n, Math.max(one, other)))
      }),
    )
  })

  it('contains the interval of ten times as many verdicts with the same rate', () => {
    fc.assert(
      fc.property(counts, ([k, n]) => {
        contains(make(k, n), make(10 * k, 10 * n))
      }),
    )
  })

  it('knows nothing without verdicts', () => {
    expect(make(0, 0)).toEqual({ lower: 0, upper: 1 })
  })

  it('reaches the end when no verdict, or every verdict, is positive', () => {
    for (const n of [1, 2, 10, 1300, 1e6, 1e9]) {
      const [none, all] = [make(0, n), make(n, n)]
      expect([none.lower, all.upper]).toEqual([0, 1])
      expect(none.upper).toBeGreaterThan(0)
      expect(none.upper).toBeLessThan(Math.min(1, 20 / n))
      expect(all.lower).toBeCloseTo(1 - none.upper, 12)
    }
  })

  it.each([1e6, 1e8, 1e9])('has sensible bounds at %d verdicts', (n) => {
    for (const rate of [1e-8, 1e-3, 0.02, 0.5, 0.98, 1 - 1e-8]) {
      const k = Math.round(rate * n)
      for (const alpha of [1e-12, 0.05, 0.5]) {
        const { lower, upper } = make(k, n, alpha)
        const spread = Math.sqrt(Math.max(1, n * rate * (1 - rate))) / n
        expect(upper - lower, `${k} of ${n} at ${alpha}`).toBeGreaterThan(0.2 * spread)
        expect(upper - lower, `${k} of ${n} at ${alpha}`).toBeLessThan(100 * spread)
        expect(lower).toBeLessThanOrEqual(k / n)
        expect(upper).toBeGreaterThanOrEqual(k / n)
      }
    }
  })

  it.each([
    [-1, 10],
    [11, 10],
    [0.5, 10],
    [0, Number.NaN],
    [0, Infinity],
  ])('refuses %d of %d', (k, n) => {
    expect(() => make(k, n)).toThrow(RangeError)
  })

  it('refuses what is no alpha', () => {
    for (const alpha of [0, 1, -0.05, 1.05, Number.NaN]) expect(() => make(1, 2, alpha)).toThrow(RangeError)
  })
})

describe('coverage at one look', () => {
  const rates = Array.from({ length: 99 }, (_, i) => (i + 1) / 100)
  const sizes = [10, 50, 200]
  const average = (make: Make, n: number) =>
    rates.reduce((sum, p) => sum + coverage(make, n, p), 0) / rates.length

  it("is never below 1 - alpha with Clopper and Pearson's, nor with the sequence", () => {
    for (const n of sizes)
      for (const p of rates) {
        expect(coverage(clopperPearsonInterval, n, p)).toBeGreaterThanOrEqual(1 - ALPHA - 1e-12)
        expect(coverage(betaBinomialInterval, n, p)).toBeGreaterThanOrEqual(1 - ALPHA - 1e-12)
      }
  })

  it("is 1 - alpha on average with Wilson's and Jeffreys', and sometimes below", () => {
    for (const make of [wilsonInterval, jeffreysInterval])
      for (const n of sizes) {
        expect(Math.abs(average(make, n) - (1 - ALPHA))).toBeLessThan(0.01)
        expect(Math.min(...rates.map((p) => coverage(make, n, p)))).toBeLessThan(1 - ALPHA)
      }
  })
})
