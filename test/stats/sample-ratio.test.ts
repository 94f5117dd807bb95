/** Tests of the sample ratio whatever the units: scale, extremes, error rate. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seeded } from '../../bench/random.ts'
import { sampleRatioLogE, sampleRatioP } from '../../src/stats/sample-ratio.ts'

const ALPHA = 0.05

describe('sampleRatioLogE', () => {
  const arms = fc.array(fc.tuple(fc.integer({ min: 0, max: 5000 }), fc.integer({ min: 1, max: 100 })), {
    minLength: 1,
    maxLength: 5,
  })

  it('does not mind the scale of the weights or an arm that gets nothing', () => {
    fc.assert(
      fc.property(arms, fc.integer({ min: 1, max: 1000 }), (all, scale) => {
        const [units, weights] = [all.map(([count]) => count), all.map(([, weight]) => weight)]
        const logE = sampleRatioLogE(units, weights)
        const scaled = weights.map((weight) => weight * scale)
        expect(sampleRatioLogE([...units, 0], [...scaled, 0])).toBeCloseTo(logE, 6)
      }),
    )
  })

  it('has least evidence where the shares are as promised', () => {
    const total = 2000
    const evidence = [1000, 1010, 1050, 1100, 1500, 2000].map((units) =>
      sampleRatioLogE([units, total - units], [1, 1]),
    )
    expect(evidence).toEqual(evidence.toSorted((x, y) => x - y))
    expect(evidence[0]).toBeLessThan(0)
  })

  it('expects shares as close as 100 units would bring them unless told otherwise', () => {
    const byDefault = sampleRatioLogE([60, 40], [1, 1])
    expect(byDefault).toBe(sampleRatioLogE([60, 40], [1, 1], 100))
    expect(byDefault).not.toBe(sampleRatioLogE([60, 40], [1, 1], 10))
  })

  it('has no evidence without units, or with one arm', () => {
    expect(sampleRatioLogE([0, 0], [1, 1])).toBe(0)
    expect(sampleRatioLogE([123], [7])).toBeCloseTo(0, 10)
  })

  it('is certain when an arm of weight 0 has a unit', () => {
    expect(sampleRatioLogE([5, 5, 1], [1, 1, 0])).toBe(Infinity)
    expect(sampleRatioP(Infinity)).toBe(0)
    expect(sampleRatioP(-3)).toBe(1)
  })

  it('alarms at any look in no more than alpha of the runs', () => {
    const next = seeded(6)
    const alarmed = Array.from({ length: 300 }, () => {
      const units: [number, number] = [0, 0]
      for (let i = 0; i < 400; i++) {
        units[next() < 0.9 ? 0 : 1]++
        if (sampleRatioP(sampleRatioLogE(units, [9, 1])) <= ALPHA) return true
      }
      return false
    })
    expect(alarmed.filter(Boolean).length / alarmed.length).toBeLessThanOrEqual(ALPHA)
  })

  it('refuses counts and weights that are none', () => {
    const refused: [number[], number[], number?][] = [
      [[1, 2], [1]],
      [
        [-1, 2],
        [1, 1],
      ],
      [
        [0.5, 2],
        [1, 1],
      ],
      [
        [1, 2],
        [0, 0],
      ],
      [
        [1, 2],
        [2, -1],
      ],
      [
        [1, 0],
        [2, -1],
      ],
      [
        [1, 2],
        [1, Number.NaN],
      ],
      [[], []],
      [[1, 2], [1, 1], 0],
    ]
    for (const [units, weights, concentration] of refused)
      expect(() => sampleRatioLogE(units, weights, concentration)).toThrow(RangeError)
  })
})
