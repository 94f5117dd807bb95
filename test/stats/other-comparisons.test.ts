/** Comparisons that reports show or that were rejected, and the threshold: symmetry, extremes, agreement. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { asymptoticDifference } from '../../src/stats/asymptotic-difference.ts'
import { bonferroniDifference } from '../../src/stats/bonferroni-difference.ts'
import { fisherP, fixedSizeTest, newcombeInterval } from '../../src/stats/fixed-size-test.ts'
import { positivesOnlyLogE } from '../../src/stats/positives-only.ts'
import { chanceTreatmentHigher } from '../../src/stats/posterior-comparison.ts'
import { sampleRatioChiSquare } from '../../src/stats/sample-ratio.ts'
import { thresholdLogE } from '../../src/stats/threshold.ts'
import { universalInferenceLogE } from '../../src/stats/universal-inference.ts'
import { alphas, counts } from './verdicts.ts'

const arm = counts.map(([positives, total]) => ({ positives, total }))
const NONE = { positives: 0, total: 0 }
const rate = ({ positives, total }: { positives: number; total: number }) => positives / total

describe('intervals of a difference', () => {
  it.each([
    ['newcombeInterval', newcombeInterval],
    ['bonferroniDifference', bonferroniDifference],
    [
      'asymptoticDifference',
      (...[x, y, alpha]: Parameters<typeof newcombeInterval>) =>
        asymptoticDifference(x, y, { alpha: alpha ?? 0.05 })!,
    ],
  ])('%s has the difference inside, mirrors when arms are swapped, and widens as alpha falls', (_, make) => {
    fc.assert(
      fc.property(arm, arm, alphas, alphas, (x, y, one, other) => {
        const [narrow, wide] = [make(x, y, Math.max(one, other)), make(x, y, Math.min(one, other))]
        const difference = rate(y) - rate(x)
        expect(narrow.lower).toBeLessThanOrEqual(difference + 1e-9)
        expect(narrow.upper).toBeGreaterThanOrEqual(difference - 1e-9)
        expect(wide.lower).toBeLessThanOrEqual(narrow.lower + 1e-9)
        expect(wide.upper).toBeGreaterThanOrEqual(narrow.upper - 1e-9)
        expect(make(y, x, one).lower).toBeCloseTo(-make(x, y, one).upper, 9)
      }),
    )
  })

  it('know nothing of an arm without verdicts', () => {
    const some = { positives: 1, total: 10 }
    expect(newcombeInterval(some, NONE)).toEqual({ lower: -1, upper: 1 })
    expect(asymptoticDifference(some, NONE)).toBeNull()
    expect(bonferroniDifference(NONE, NONE)).toEqual({ lower: -1, upper: 1 })
    expect(fixedSizeTest(some, NONE)).toMatchObject({
      difference: null,
      standardError: null,
      z: 0,
      pZ: 1,
      pFisher: 1,
    })
  })
})

describe('fisherP', () => {
  /** The definition, table by table. */
  function byDefinition(
    x: { positives: number; total: number },
    y: { positives: number; total: number },
  ): number {
    const drawn = x.positives + y.positives
    const choose = (n: number, k: number): number => {
      let value = 1
      for (let i = 1; i <= k; i++) value = (value * (n - k + i)) / i
      return value
    }
    const chances = Array.from({ length: drawn + 1 }, (_, k) =>
      k <= x.total && drawn - k <= y.total ? choose(x.total, k) * choose(y.total, drawn - k) : 0,
    )
    const limit = chances[x.positives]! * (1 + 1e-7)
    const sum = (all: number[]) => all.reduce((total, chance) => total + chance, 0)
    return sum(chances.filter((chance) => chance <= limit)) / sum(chances)
  }

  it('adds up the tables no likelier than the one seen', () => {
    const small = fc
      .integer({ min: 1, max: 40 })
      .chain((total) => fc.nat(total).map((positives) => ({ positives, total })))
    fc.assert(
      fc.property(small, small, (x, y) => {
        const expected = byDefinition(x, y)
        expect(Math.abs(fisherP(x, y) - expected)).toBeLessThanOrEqual(1e-11 * expected + 1e-300)
        expect(fisherP(y, x)).toBeCloseTo(fisherP(x, y), 11)
      }),
      { numRuns: 500 },
    )
  })

  it('counts the mirrored table of equal arms as equally likely', () => {
    for (let total = 1; total <= 60; total++)
      for (let positives = 0; positives <= total; positives++) {
        const [x, y] = [
          { positives, total },
          { positives: total - positives, total },
        ]
        const expected = byDefinition(x, y)
        expect(Math.abs(fisherP(x, y) / expected - 1), `${positives} of ${total}`).toBeLessThan(1e-11)
      }
  })

  it('takes a billion verdicts in its stride and agrees with the z-test there', () => {
    const started = performance.now()
    const [x, y] = [
      { positives: 20_000_000, total: 1e9 },
      { positives: 20_010_000, total: 1e9 },
    ]
    const { pFisher, pZ } = fixedSizeTest(x, y)
    expect(pFisher).toBeCloseTo(pZ, 3)
    expect(performance.now() - started).toBeLessThan(10_000)
  })
})

describe('evidence from counts alone', () => {
  it('does not mind which arm is which', () => {
    fc.assert(
      fc.property(arm, arm, (x, y) => {
        expect(universalInferenceLogE(y, x)).toBeCloseTo(universalInferenceLogE(x, y), 8)
        expect(positivesOnlyLogE(y.positives, x.positives, 0.3)).toBeCloseTo(
          positivesOnlyLogE(x.positives, y.positives, 0.7),
          8,
        )
      }),
    )
  })

  it('is none without verdicts, and refuses what is no count, share or prior', () => {
    expect(universalInferenceLogE(NONE, NONE)).toBe(0)
    expect(positivesOnlyLogE(0, 0, 0.5)).toBe(0)
    expect(() => universalInferenceLogE({ positives: 2, total: 1 }, NONE)).toThrow(RangeError)
    expect(() => universalInferenceLogE(NONE, NONE, 0)).toThrow(RangeError)
    for (const share of [0, 1, Number.NaN]) expect(() => positivesOnlyLogE(1, 1, share)).toThrow(/share/)
    expect(() => positivesOnlyLogE(-1, 1, 0.5)).toThrow(RangeError)
    expect(() => asymptoticDifference(NONE, NONE, { tightestAt: 0 })).toThrow(/tightestAt/)
  })
})

describe('thresholdLogE', () => {
  const thresholds = fc.double({ min: 0.001, max: 0.999, noNaN: true })

  it('mirrors when positives and negatives change places', () => {
    fc.assert(
      fc.property(counts, fc.integer({ min: 1, max: 1023 }), ([k, n], i) => {
        const [one, other] = [thresholdLogE(k, n, i / 1024), thresholdLogE(n - k, n, 1 - i / 1024)]
        expect(other.above).toBeCloseTo(one.below, 6)
      }),
    )
  })

  it('falls as positives speak against "below", and is never but a number', () => {
    fc.assert(
      fc.property(counts, thresholds, ([k, n], threshold) => {
        const [more, less] = [thresholdLogE(k, n, threshold), thresholdLogE(Math.max(0, k - 1), n, threshold)]
        expect(more.below).toBeLessThanOrEqual(less.below + 1e-6)
        expect(Number.isFinite(more.below) && Number.isFinite(more.above)).toBe(true)
      }),
    )
    expect(thresholdLogE(0, 0, 0.05)).toEqual({ below: 0, above: 0 })
    expect(Number.isFinite(thresholdLogE(5e8, 1e9, 0.01).below)).toBe(true)
  })

  it('refuses thresholds that are none', () => {
    for (const threshold of [0, 1, Number.NaN])
      expect(() => thresholdLogE(1, 2, threshold)).toThrow(/threshold/)
  })
})

describe('chanceTreatmentHigher', () => {
  it('adds up to 1 with its mirror', () => {
    const parameter = fc.integer({ min: 1, max: 500 })
    fc.assert(
      fc.property(parameter, parameter, parameter, parameter, (a, b, c, d) => {
        const [one, other] = [
          { a, b },
          { a: c, b: d },
        ]
        expect(chanceTreatmentHigher(one, other) + chanceTreatmentHigher(other, one)).toBeCloseTo(1, 9)
      }),
    )
  })

  it('refuses parameters it has no formula for', () => {
    for (const a of [0, 1.5, 1e9])
      expect(() => chanceTreatmentHigher({ a: 1, b: 1 }, { a, b: 1 })).toThrow(/whole/)
    expect(() => chanceTreatmentHigher({ a: 0, b: 1 }, { a: 1, b: 1 })).toThrow(RangeError)
  })
})

describe('sampleRatioChiSquare', () => {
  it('is sure of a unit in an arm of weight 0 and unsure without units', () => {
    expect(sampleRatioChiSquare([5, 1], [1, 0])).toEqual({ chiSquare: Infinity, df: 0, p: 0 })
    expect(sampleRatioChiSquare([0, 0], [1, 1])).toEqual({ chiSquare: 0, df: 1, p: 1 })
    expect(sampleRatioChiSquare([7], [3])).toEqual({ chiSquare: 0, df: 0, p: 1 })
    expect(() => sampleRatioChiSquare([1], [1, 1])).toThrow(RangeError)
  })

  it('does not mind the scale of the weights', () => {
    expect(sampleRatioChiSquare([60, 40], [3, 3]).p).toBeCloseTo(
      sampleRatioChiSquare([60, 40], [0.5, 0.5]).p,
      12,
    )
  })
})
