/** Estimates that correct for judge, labels and units, and the mean of scores: what must hold whatever the data. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seeded } from '../../bench/random.ts'
import { clusterRobustRate } from '../../src/stats/cluster-robust.ts'
import { ScoreMean } from '../../src/stats/empirical-bernstein.ts'
import { trueRate } from '../../src/stats/judge-error.ts'
import { predictionPoweredMean } from '../../src/stats/prediction-powered.ts'
import { counts } from './verdicts.ts'

const judge = (sensitivity: number, specificity: number, of = 200) => ({
  sensitivity: { share: sensitivity, of },
  specificity: { share: specificity, of },
})

describe('trueRate', () => {
  const shares = fc.double({ min: 0.7, max: 1, noNaN: true })

  it('is ordered, within 0 to 1, and wider than if the judge were known exactly but for rounding', () => {
    fc.assert(
      fc.property(counts, shares, shares, ([k, n], sensitivity, specificity) => {
        const { estimate, interval, known } = trueRate(k, n, judge(sensitivity, specificity))
        for (const it of [estimate, interval.lower, interval.upper, known.lower, known.upper]) {
          expect(it).toBeGreaterThanOrEqual(0)
          expect(it).toBeLessThanOrEqual(1)
        }
        expect(interval.lower).toBeLessThanOrEqual(interval.upper)
        expect(known.lower).toBeLessThanOrEqual(known.upper)
      }),
    )
  })

  it('mirrors when positives and negatives change places', () => {
    fc.assert(
      fc.property(counts, shares, shares, ([k, n], sensitivity, specificity) => {
        const one = trueRate(k, n, judge(sensitivity, specificity))
        const other = trueRate(n - k, n, judge(specificity, sensitivity))
        expect(other.estimateRaw).toBeCloseTo(1 - one.estimateRaw, 9)
        expect(other.intervalRaw.lower).toBeCloseTo(1 - one.intervalRaw.upper, 9)
      }),
    )
  })

  it('is the observed rate for a judge that never errs', () => {
    const { estimate, known } = trueRate(30, 200, judge(1, 1))
    expect(estimate).toBeCloseTo(0.15, 14)
    expect(known.lower).toBeLessThan(0.15)
  })

  it('covers the rate in about 1 - alpha of the runs though the judge was measured on 200 answers', () => {
    const next = seeded(31)
    const draw = (n: number, p: number) => {
      let k = 0
      for (let i = 0; i < n; i++) if (next() < p) k++
      return k
    }
    const [rate, sensitivity, specificity] = [0.1, 0.85, 0.95]
    const covered = Array.from({ length: 500 }, () => {
      const errors = {
        sensitivity: { share: draw(200, sensitivity) / 200, of: 200 },
        specificity: { share: draw(200, specificity) / 200, of: 200 },
      }
      const seen = draw(500, rate * sensitivity + (1 - rate) * (1 - specificity))
      const { lower, upper } = trueRate(seen, 500, errors).interval
      return lower <= rate && rate <= upper
    })
    expect(covered.filter(Boolean).length / covered.length).toBeGreaterThan(0.93)
  })

  it('refuses a judge no better than chance, and what is no share', () => {
    expect(() => trueRate(1, 10, judge(0.5, 0.5))).toThrow('no better than chance')
    const oneLabel = { sensitivity: { share: 0.99, of: 1 }, specificity: { share: 0.02, of: 10_000 } }
    expect(() => trueRate(1, 10, oneLabel)).toThrow(/label more/)
    expect(() => trueRate(0, 0, judge(0.9, 0.9))).toThrow('needs a verdict')
    for (const share of [-0.1, 1.1, Number.NaN])
      expect(() => trueRate(1, 10, judge(share, 0.9))).toThrow(RangeError)
    expect(() => trueRate(1, 10, judge(0.9, 0.9, 0))).toThrow(/labelled answer/)
    expect(() => trueRate(1, 10, judge(0.9, 0.9), 1)).toThrow(RangeError)
  })
})

describe('predictionPoweredMean', () => {
  const numbers = (n: number, next: () => number): number[] =>
    Array.from({ length: n }, () => (next() < 0.2 ? 1 : 0))

  it('is sharper than the labels alone with a judge that agrees, and as sharp with one that does not', () => {
    const next = seeded(32)
    const labels = numbers(300, next)
    const others = numbers(3000, next)
    const agreeing = labels.map((label) => ({ label, judged: next() < 0.95 ? label : 1 - label }))
    const guessing = labels.map((label) => ({ label, judged: next() < 0.2 ? 1 : 0 }))
    const alone = predictionPoweredMean(agreeing, others, { trust: 0 })
    expect(predictionPoweredMean(agreeing, others).standardError).toBeLessThan(0.8 * alone.standardError)
    expect(predictionPoweredMean(guessing, others).standardError).toBeLessThan(1.01 * alone.standardError)
    expect(alone.estimate).toBeCloseTo(labels.reduce((sum, label) => sum + label, 0) / 300, 12)
  })

  it('does not trust a judge that always says the same', () => {
    const { trust, estimate } = predictionPoweredMean(
      [
        { label: 1, judged: 0 },
        { label: 0, judged: 0 },
      ],
      [0, 0],
    )
    expect([trust, estimate]).toEqual([0, 0.5])
  })

  it('refuses too little data and what is no number', () => {
    const two = [
      { label: 1, judged: 1 },
      { label: 0, judged: 0 },
    ]
    expect(() => predictionPoweredMean(two.slice(1), [1])).toThrow(/2 labelled answers/)
    expect(() => predictionPoweredMean(two, [])).toThrow(RangeError)
    expect(() => predictionPoweredMean(two, [Number.NaN])).toThrow('finite')
    expect(() => predictionPoweredMean(two, [1], { trust: 2 })).toThrow(/trust/)
    expect(() => predictionPoweredMean(two, [1], { alpha: 0 })).toThrow(RangeError)
  })
})

describe('clusterRobustRate', () => {
  it('is wider the more the verdicts of a unit agree', () => {
    const alike = Array.from({ length: 40 }, (_, i) => ({ positives: i % 4 === 0 ? 5 : 0, total: 5 }))
    const mixed = Array.from({ length: 40 }, (_, i) => ({ positives: i % 4 === 0 ? 2 : 1, total: 5 }))
    expect(clusterRobustRate(alike)!.designEffect).toBeGreaterThan(4)
    expect(clusterRobustRate(mixed)!.designEffect).toBeLessThan(1)
  })

  it('has no bounds of one unit, no design effect without variance, and refuses what is no count', () => {
    expect(clusterRobustRate([{ positives: 1, total: 2 }])).toBeNull()
    expect(clusterRobustRate([])).toBeNull()
    const none = Array.from({ length: 3 }, () => ({ positives: 0, total: 2 }))
    expect(clusterRobustRate(none)).toMatchObject({ estimate: 0, designEffect: null })
    expect(() => clusterRobustRate([{ positives: 3, total: 2 }])).toThrow(RangeError)
    expect(() => clusterRobustRate(none, 2)).toThrow(RangeError)
  })
})

describe('ScoreMean', () => {
  const scores = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 300, size: 'max' })
  const of = (all: readonly number[], alpha = 0.05) => {
    const mean = new ScoreMean({ alpha })
    for (const score of all) mean.add(score)
    return mean
  }

  it('mirrors when scores do, and stays within 0 to 1', () => {
    fc.assert(
      fc.property(scores, (all) => {
        const [one, other] = [of(all).interval, of(all.map((score) => 1 - score)).interval]
        expect(other.lower).toBeCloseTo(1 - one.upper, 8)
        expect(other.upper).toBeCloseTo(1 - one.lower, 8)
        expect(one.lower).toBeGreaterThanOrEqual(0)
        expect(one.upper).toBeLessThanOrEqual(1)
      }),
    )
  })

  it('ever misses the mean in no more than alpha of the runs', () => {
    const next = seeded(33)
    const missed = Array.from({ length: 300 }, () => {
      const mean = new ScoreMean()
      for (let i = 0; i < 500; i++) {
        mean.add(next() < 0.1 ? next() : 0.9 + 0.1 * next())
        // 0.1 of mean 0.5, 0.9 of mean 0.95
        const { lower, upper } = mean.interval
        if (lower > 0.905 || upper < 0.905) return true
      }
      return false
    })
    expect(missed.filter(Boolean).length / missed.length).toBeLessThanOrEqual(0.05)
  })

  it('contains the interval of a larger alpha', () => {
    fc.assert(
      fc.property(scores, (all) => {
        const [narrow, wide] = [of(all, 0.2).interval, of(all, 0.001).interval]
        expect(wide.lower).toBeLessThanOrEqual(narrow.lower)
        expect(wide.upper).toBeGreaterThanOrEqual(narrow.upper)
        if (all.length > 100) expect(wide.upper - wide.lower).toBeGreaterThan(narrow.upper - narrow.lower)
      }),
    )
  })

  it('narrows with the scores and copes with scores that are all alike', () => {
    for (const score of [0, 0.5, 1]) {
      const [few, many] = [of(new Array(100).fill(score)), of(new Array(10_000).fill(score))]
      expect(many.interval.upper - many.interval.lower).toBeLessThan(few.interval.upper - few.interval.lower)
      expect(many.interval.lower).toBeLessThanOrEqual(score)
      expect(many.interval.upper).toBeGreaterThanOrEqual(score)
      expect(many.mean).toBeCloseTo(score, 10)
    }
  })

  it('continues identically after it was written to JSON and read back', () => {
    fc.assert(
      fc.property(scores, scores, (before, after) => {
        const mean = of(before, 0.01)
        const restored = ScoreMean.restore(JSON.parse(JSON.stringify(mean.serialise())))
        for (const score of after) {
          mean.add(score)
          restored.add(score)
        }
        expect(restored.serialise()).toEqual(mean.serialise())
        expect(restored.interval).toEqual(mean.interval)
      }),
    )
  })

  it('knows nothing without scores, and refuses what is none', () => {
    expect([of([]).interval, of([]).mean, of([]).count]).toEqual([{ lower: 0, upper: 1 }, null, 0])
    for (const score of [-0.01, 1.01, Number.NaN]) expect(() => of([score])).toThrow(RangeError)
    for (const alpha of [0, 1]) expect(() => new ScoreMean({ alpha })).toThrow(RangeError)
    expect(() => new ScoreMean({ truncation: 1 })).toThrow(/truncation/)
    expect(() => ScoreMean.restore({ ...of([]).serialise(), version: 3 })).toThrow(/at version/)
  })
})
