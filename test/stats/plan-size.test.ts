/** Sizes of experiments: what must hold of them, and what small cases come to. */
import { describe, expect, it } from 'vitest'
import { planSize } from '../../src/stats/plan-size.ts'
import { sampleSize } from '../../src/stats/sample-size.ts'

const rates = { from: 0.05, to: 0.02 }
const control = { arm: 'control', weight: 1 }
const usual = { alpha: 0.05, power: 0.8 }

describe('planSize', () => {
  it('is the size of a test of one look for two arms of equal weight, and 1.8 times that', () => {
    const { pooled } = sampleSize(0.05, 0.02, 0.8, 0.05)
    for (const needs of planSize(control, [{ arm: 'a', weight: 1 }], rates, usual)) {
      expect(needs.fixed).toBe(Math.ceil(pooled))
      expect(needs.cap).toBe(Math.ceil(1.8 * pooled))
      expect(needs.typical).toBeLessThan(needs.fixed)
    }
  })

  it('keeps the variance of the difference whatever the weights, and is least when they are equal', () => {
    const even = planSize(control, [{ arm: 'a', weight: 1 }], rates, usual)[0]!
    for (const weight of [0.1, 0.5, 3]) {
      const [a, b] = planSize(control, [{ arm: 'a', weight }], rates, usual).map(({ fixed }) => fixed)
      expect(2 / (1 / a! + 1 / b!)).toBeCloseTo(even.fixed, -1)
      expect(a! + b!).toBeGreaterThan(2 * even.fixed)
    }
  })

  it('takes more with several treatments, and as long as the smallest of them', () => {
    const one = planSize(control, [{ arm: 'a', weight: 1 }], rates, usual)
    const two = planSize(
      control,
      [
        { arm: 'a', weight: 1 },
        { arm: 'b', weight: 0.5 },
      ],
      rates,
      usual,
    )
    expect(two[0]!.fixed).toBeGreaterThan(one[0]!.fixed)
    expect(two[1]!.fixed).toBeCloseTo(2 * two[2]!.fixed, -1)
  })

  it('knows that sequential runs end no later because more power is asked for', () => {
    const [less] = planSize(control, [{ arm: 'a', weight: 1 }], rates, usual)
    const [more] = planSize(control, [{ arm: 'a', weight: 1 }], rates, { alpha: 0.05, power: 0.95 })
    expect(more!.typical).toBe(less!.typical)
    expect(more!.cap).toBeGreaterThan(less!.cap)
  })

  it.each([
    [{ from: 0.05, to: 0.05 }, control, usual],
    [{ from: 0, to: 0.05 }, control, usual],
    [rates, { arm: 'control', weight: 0 }, usual],
    [rates, control, { alpha: 1, power: 0.8 }],
    [rates, control, { alpha: 0.05, power: 1 }],
  ])('refuses what is none: %j %j %j', (given, first, options) => {
    expect(() => planSize(first, [{ arm: 'a', weight: 1 }], given, options)).toThrow(RangeError)
  })
})
