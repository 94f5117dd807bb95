/** The special functions against identities, against each other and at their extremes. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { logBinomialChance } from '../../src/stats/special/binomial-chance.ts'
import {
  incompleteBeta,
  inverseIncompleteBeta,
  inverseUpperIncompleteBeta,
  logIncompleteBeta,
  logUpperIncompleteBeta,
} from '../../src/stats/special/incomplete-beta.ts'
import {
  chiSquareSurvival,
  normalSurvival,
  upperIncompleteGamma,
} from '../../src/stats/special/incomplete-gamma.ts'
import { deviance, logBeta, logGamma, stirlingError } from '../../src/stats/special/log-gamma.ts'
import { normalQuantile, twoSidedZ } from '../../src/stats/special/normal-quantile.ts'

/** From a millionth to a billion, each order of magnitude as often. */
const parameters = fc.double({ min: -6, max: 9, noNaN: true }).map((exponent) => 10 ** exponent)
const inside = fc.double({ min: 1e-12, max: 1 - 1e-12, noNaN: true })

function expectRelative(actual: number, expected: number, tolerance: number, message?: string): void {
  expect(Math.abs(actual - expected), message ?? `${actual} against ${expected}`).toBeLessThanOrEqual(
    tolerance * Math.abs(expected),
  )
}

describe('logGamma and logBeta', () => {
  it('follow the recurrence of the gamma function', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-9, max: 1e6, noNaN: true }), (x) => {
        const next = logGamma(x + 1)
        expect(Math.abs(next - logGamma(x) - Math.log(x))).toBeLessThan(1e-12 * Math.max(10, Math.abs(next)))
      }),
    )
  })

  it('are exact where the values are whole', () => {
    expect([logGamma(1), logGamma(2), logBeta(1, 1)]).toEqual([0, 0, 0])
    expect(logGamma(1.5)).toBeCloseTo(Math.log(Math.PI) / 2 - Math.LN2, 14)
    expect(logBeta(2, 3)).toBeCloseTo(-Math.log(12), 14)
  })

  it('know what Stirling leaves out', () => {
    expect(stirlingError(1e9)).toBeCloseTo(1 / 12e9, 20)
    expect(stirlingError(1)).toBeCloseTo(1 - Math.log(2 * Math.PI) / 2, 14)
    expect(stirlingError(9.999999)).toBeCloseTo(stirlingError(10.000001), 8)
  })

  it.each([0, -1, Number.NaN, Infinity])('refuse %d', (x) => {
    expect(() => logGamma(x)).toThrow(RangeError)
    expect(() => logBeta(1, x)).toThrow(RangeError)
  })
})

describe('deviance', () => {
  it('is the same by series and by formula where they meet, and never negative', () => {
    fc.assert(
      fc.property(parameters, fc.double({ min: 0.7, max: 1.4, noNaN: true }), (m, ratio) => {
        const x = m * ratio
        const value = deviance(x, m)
        expect(value).toBeGreaterThanOrEqual(0)
        expect(Math.abs(value - (x * Math.log(x / m) + m - x))).toBeLessThanOrEqual(4e-16 * m * 4)
      }),
    )
    expect(deviance(0, 3)).toBe(3)
    expectRelative(deviance(1e9 + 1, 1e9), 5e-10, 1e-8)
  })
})

describe('the incomplete beta function', () => {
  it('gives both tails, which add up to 1', () => {
    fc.assert(
      fc.property(inside, parameters, parameters, (x, a, b) => {
        const [lower, upper] = [logIncompleteBeta(x, a, b), logUpperIncompleteBeta(x, a, b)]
        expect(lower).toBeLessThanOrEqual(0)
        expect(upper).toBeLessThanOrEqual(0)
        expect(Math.exp(lower) + Math.exp(upper)).toBeCloseTo(1, 12)
      }),
    )
  })

  it('mirrors when its parameters change places', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1023 }), parameters, parameters, (i, a, b) => {
        const x = i / 1024
        expect(logIncompleteBeta(x, a, b)).toBe(logUpperIncompleteBeta(1 - x, b, a))
      }),
    )
  })

  it('is what is known for whole parameters', () => {
    for (const x of [0, 0.001, 0.3, 0.999, 1]) {
      expectRelative(incompleteBeta(x, 1, 1), x, 1e-14)
      expectRelative(incompleteBeta(x, 7, 1), x ** 7, 1e-13)
      expectRelative(incompleteBeta(x, 1, 7), -Math.expm1(7 * Math.log1p(-x)), 1e-13)
      expectRelative(incompleteBeta(x, 2, 2), x * x * (3 - 2 * x), 1e-13)
    }
  })

  it('is the sum of a binomial tail', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 300 }),
        fc.nat(299),
        fc.double({ min: 0.001, max: 0.999, noNaN: true }),
        (n, from, p) => {
          const k = (from % n) + 1
          let tail = 0
          for (let i = k; i <= n; i++) tail += Math.exp(logBinomialChance(i, n, p))
          expect(Math.abs(incompleteBeta(p, k, n - k + 1) - tail)).toBeLessThan(1e-12 * Math.max(tail, 1e-3))
        },
      ),
    )
  })

  it('tells apart chances too small for a double', () => {
    const logs = [1e-5, 1e-4, 1e-3].map((x) => logIncompleteBeta(x, 1e5, 1e5))
    expect(logs).toEqual(logs.toSorted((x, y) => x - y))
    expect(logs.every(Number.isFinite)).toBe(true)
    expect(incompleteBeta(1e-3, 1e5, 1e5)).toBe(0)
  })

  it('is inverted by its inverses', () => {
    fc.assert(
      fc.property(
        inside,
        fc.double({ min: -3, max: 7, noNaN: true }),
        fc.double({ min: -3, max: 7, noNaN: true }),
        (p, i, j) => {
          const [a, b] = [10 ** i, 10 ** j]
          const x = inverseIncompleteBeta(p, a, b)
          // Where x is next to 0 or 1 its own rounding moves the tail by more than this.
          if (x > 1e-300 && x < 1 - 1e-4)
            expectRelative(incompleteBeta(x, a, b), p, 1e-8, `p ${p}, a ${a}, b ${b}`)
          const upper = inverseUpperIncompleteBeta(p, a, b)
          if (upper > 1e-300 && upper < 1 - 1e-4)
            expectRelative(Math.exp(logUpperIncompleteBeta(upper, a, b)), p, 1e-8, `p ${p}, a ${a}, b ${b}`)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('is inverted by closed forms', () => {
    for (const p of [1e-300, 1e-12, 0.025, 0.5, 0.975]) {
      expectRelative(inverseIncompleteBeta(p, 1, 9), -Math.expm1(Math.log1p(-p) / 9), 1e-12)
      expectRelative(inverseIncompleteBeta(p, 9, 1), p ** (1 / 9), 1e-12)
      expectRelative(inverseUpperIncompleteBeta(p, 1, 1e9), -Math.expm1(Math.log(p) / 1e9), 1e-12)
    }
    expect([inverseIncompleteBeta(0, 2, 3), inverseIncompleteBeta(1, 2, 3)]).toEqual([0, 1])
    expect([inverseUpperIncompleteBeta(0, 2, 3), inverseUpperIncompleteBeta(1, 2, 3)]).toEqual([1, 0])
  })

  it('refuses what lies outside', () => {
    for (const x of [-0.1, 1.1, Number.NaN]) {
      expect(() => incompleteBeta(x, 1, 1)).toThrow(RangeError)
      expect(() => logUpperIncompleteBeta(x, 1, 1)).toThrow(RangeError)
      expect(() => inverseIncompleteBeta(x, 1, 1)).toThrow(RangeError)
      expect(() => inverseUpperIncompleteBeta(x, 1, 1)).toThrow(RangeError)
    }
    for (const a of [0, -1, Infinity, Number.NaN]) expect(() => incompleteBeta(0.5, a, 1)).toThrow(RangeError)
  })
})

describe('the tails of chi-square and normal', () => {
  it('are what is known for two degrees of freedom', () => {
    for (const x of [0, 0.01, 1, 3, 50, 1400])
      expectRelative(chiSquareSurvival(x, 2), Math.exp(-x / 2), 1e-13)
  })

  it('follow the recurrence of the gamma function', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.1, max: 500, noNaN: true }),
        fc.double({ min: 0.01, max: 600, noNaN: true }),
        (s, x) => {
          const step = Math.exp(s * Math.log(x) - x - logGamma(s + 1))
          const next = upperIncompleteGamma(s + 1, x)
          expect(Math.abs(next - upperIncompleteGamma(s, x) - step)).toBeLessThan(
            1e-11 * Math.max(next, 1e-3),
          )
        },
      ),
    )
  })

  it('cope with a billion degrees of freedom', () => {
    expect(chiSquareSurvival(1e9, 1e9)).toBeCloseTo(0.5, 4)
    expect(chiSquareSurvival(Infinity, 3)).toBe(0)
  })

  it('are inverted by the quantile', () => {
    fc.assert(
      fc.property(fc.double({ min: -300, max: -0.302, noNaN: true }), (exponent) => {
        const p = 10 ** exponent
        const z = -normalQuantile(p)
        expectRelative(normalSurvival(z), p, 1e-12)
        expectRelative(chiSquareSurvival(twoSidedZ(p) ** 2, 1), p, 1e-12)
      }),
    )
    expect(normalSurvival(-1)).toBeCloseTo(1 - normalSurvival(1), 15)
    expect(normalQuantile(0.5)).toBe(0)
  })

  it('refuse what lies outside', () => {
    for (const p of [0, 1, -1, Number.NaN]) {
      expect(() => normalQuantile(p)).toThrow(RangeError)
      expect(() => twoSidedZ(p)).toThrow(RangeError)
    }
    for (const [s, x] of [
      [0, 1],
      [-1, 1],
      [1, -1],
      [1, Number.NaN],
    ] as const)
      expect(() => upperIncompleteGamma(s, x)).toThrow(RangeError)
  })
})

describe('logBinomialChance', () => {
  it('adds up to 1, at ten verdicts and at a billion', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 400 }),
        fc.double({ min: 1e-6, max: 0.999, noNaN: true }),
        (n, p) => {
          let sum = 0
          for (let k = 0; k <= n; k++) sum += Math.exp(logBinomialChance(k, n, p))
          expect(sum).toBeCloseTo(1, 12)
        },
      ),
    )
    const [n, p] = [1e9, 0.02]
    let sum = 0
    for (let k = 2e7 - 40_000; k <= 2e7 + 40_000; k++) sum += Math.exp(logBinomialChance(k, n, p))
    expect(sum).toBeCloseTo(1, 9)
  })
})
