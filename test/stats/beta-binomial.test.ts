/** The confidence sequence of a rate whatever the counts: evidence, extremes, coverage at every look. What
 * it shares with the other intervals is in `intervals.test.ts`. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seeded } from '../../bench/random.ts'
import { betaBinomialInterval, betaBinomialLogE } from '../../src/stats/beta-binomial.ts'
import { counts } from './verdicts.ts'

const ALPHA = 0.05
const alphas = fc.double({ min: 1e-6, max: 0.5, noNaN: true })

describe('betaBinomialInterval', () => {
  it('ends where the evidence reaches 1/alpha', () => {
    fc.assert(
      fc.property(counts, alphas, ([k, n], alpha) => {
        const { lower, upper } = betaBinomialInterval(k, n, alpha)
        const threshold = -Math.log(alpha)
        if (k > 0) expect(betaBinomialLogE(k, n, lower)).toBeCloseTo(threshold, 3)
        if (k < n) expect(betaBinomialLogE(k, n, upper)).toBeCloseTo(threshold, 3)
        if (k === 0 || k === n) return
        expect(betaBinomialLogE(k, n, lower), 'not inside').toBeGreaterThanOrEqual(threshold)
        expect(betaBinomialLogE(k, n, upper), 'not inside').toBeGreaterThanOrEqual(threshold)
      }),
    )
  })

  it('knows nothing without verdicts', () => {
    expect(betaBinomialInterval(0, 0)).toEqual({ lower: 0, upper: 1 })
    expect(betaBinomialLogE(0, 0, 0.3)).toBe(0)
  })

  it('is sure that what was seen can happen', () => {
    expect(betaBinomialLogE(1, 10, 0)).toBe(Infinity)
    expect(betaBinomialLogE(9, 10, 1)).toBe(Infinity)
    expect(betaBinomialLogE(0, 10, 0)).toBeLessThan(0)
  })

  it('misses the rate at any look in no more than alpha of the runs', () => {
    const next = seeded(1)
    const missed = Array.from({ length: 500 }, () => {
      let k = 0
      for (let n = 1; n <= 400; n++) {
        if (next() < 0.05) k++
        if (betaBinomialLogE(k, n, 0.05) >= Math.log(1 / ALPHA)) return true
      }
      return false
    })
    expect(missed.filter(Boolean).length / missed.length).toBeLessThanOrEqual(ALPHA)
  })

  it.each([
    [-1, 10],
    [11, 10],
    [0.5, 10],
    [0, Number.NaN],
    [0, Infinity],
  ])('refuses %d of %d', (k, n) => {
    expect(() => betaBinomialInterval(k, n)).toThrow(RangeError)
    expect(() => betaBinomialLogE(k, n, 0.5)).toThrow(RangeError)
  })

  it('refuses what is no alpha, no prior and no rate', () => {
    for (const alpha of [0, 1, Number.NaN])
      expect(() => betaBinomialInterval(1, 2, alpha)).toThrow(RangeError)
    for (const a of [0, Infinity]) expect(() => betaBinomialInterval(1, 2, ALPHA, a)).toThrow(RangeError)
    for (const p of [-0.1, 1.1, Number.NaN]) expect(() => betaBinomialLogE(1, 2, p)).toThrow(RangeError)
  })
})
