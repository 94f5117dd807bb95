/** Counts and sums that replicas keep apart and put together, and what several arms do to evidence. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Counts, countVerdict, mergeCounts, NO_COUNTS } from '../../src/stats/counts.ts'
import { benjaminiHochberg, eBenjaminiHochberg, holm } from '../../src/stats/multiple-testing.ts'
import { sampleSize } from '../../src/stats/sample-size.ts'
import { WeightedSums } from '../../src/stats/weighted-means.ts'

const counted = fc
  .tuple(fc.nat(1e12), fc.nat(1e12))
  .map(([positives, negatives]): Counts => ({ positives, total: positives + negatives }))

describe('counts', () => {
  it('merge in any order and any grouping', () => {
    fc.assert(
      fc.property(counted, counted, counted, (x, y, z) => {
        expect(mergeCounts(mergeCounts(x, y), z)).toEqual(mergeCounts(x, mergeCounts(y, z)))
        expect(mergeCounts(x, y)).toEqual(mergeCounts(y, x))
        expect(mergeCounts(x, NO_COUNTS)).toEqual(x)
      }),
    )
  })

  it('are the same whether verdicts are counted together or apart', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean()), fc.array(fc.boolean()), (one, other) => {
        const count = (all: boolean[]) => all.reduce(countVerdict, NO_COUNTS)
        expect(mergeCounts(count(one), count(other))).toEqual(count([...one, ...other]))
      }),
    )
  })

  it('refuse what is no count, and sums that a double cannot hold', () => {
    const most = { positives: 0, total: Number.MAX_SAFE_INTEGER }
    expect(() => mergeCounts(most, { positives: 0, total: 1 })).toThrow(RangeError)
    expect(() => mergeCounts({ positives: 2, total: 1 }, NO_COUNTS)).toThrow(RangeError)
    expect(() => mergeCounts(NO_COUNTS, { positives: Number.NaN, total: 1 })).toThrow(RangeError)
  })
})

describe('weighted sums', () => {
  const answers = fc.array(
    fc.record({
      y: fc.double({ min: 0, max: 1, noNaN: true }),
      pi: fc.double({ min: 0.001, max: 1, noNaN: true }),
    }),
    { minLength: 2 },
  )
  const of = (all: readonly { y: number; pi: number }[]) => {
    const sums = new WeightedSums()
    for (const { y, pi } of all) sums.add(y, pi)
    return sums
  }
  const close = (one: WeightedSums, other: WeightedSums) => {
    const [x, y] = [one.hajek()!, other.hajek()!]
    expect(x.estimate).toBeCloseTo(y.estimate, 10)
    expect(x.standardErrorHc0).toBeCloseTo(y.standardErrorHc0, 6)
    expect(x.standardError).toBeCloseTo(y.standardError!, 6)
  }

  it('merge in any order and any grouping, up to rounding', () => {
    fc.assert(
      fc.property(answers, answers, answers, (x, y, z) => {
        close(of(x).merge(of(y)).merge(of(z)), of(x).merge(of(y).merge(of(z))))
        close(of(x).merge(of(y)), of([...y, ...x]))
      }),
    )
  })

  it('continue identically after they were written to JSON and read back', () => {
    fc.assert(
      fc.property(answers, answers, (before, after) => {
        const sums = of(before)
        const restored = WeightedSums.restore(JSON.parse(JSON.stringify(sums.serialise())))
        for (const { y, pi } of after) {
          sums.add(y, pi)
          restored.add(y, pi)
        }
        expect(restored.serialise()).toEqual(sums.serialise())
      }),
    )
    expect(() => WeightedSums.restore({ version: 1, n: 1, sums: [1] })).toThrow(/weighted sums.*at sums/)
  })

  it('are the plain mean where all were sampled alike, with the same error', () => {
    fc.assert(
      fc.property(
        fc.array(fc.boolean(), { minLength: 2 }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        (all, pi) => {
          const { estimate, standardError, effectiveAnswers, population } = of(
            all.map((y) => ({ y: y ? 1 : 0, pi })),
          ).hajek()!
          const mean = all.filter(Boolean).length / all.length
          expect(estimate).toBeCloseTo(mean, 10)
          expect(standardError).toBeCloseTo(Math.sqrt((mean * (1 - mean)) / (all.length - 1)), 6)
          expect(effectiveAnswers).toBeCloseTo(all.length, 6)
          expect(population).toBeCloseTo(all.length / pi, 5)
        },
      ),
    )
  })

  it('say nothing without answers, give no error of one, and refuse what is no probability', () => {
    expect(new WeightedSums().hajek()).toBeNull()
    expect(of([{ y: 1, pi: 0.5 }]).hajek()).toMatchObject({
      estimate: 1,
      standardError: null,
      interval: null,
    })
    for (const pi of [0, -1, 1.1, Number.NaN]) expect(() => new WeightedSums().add(1, pi)).toThrow(RangeError)
    expect(() => new WeightedSums().add(Number.NaN, 1)).toThrow(RangeError)
    expect(() => new WeightedSums().horvitzThompson(0)).toThrow(RangeError)
    expect(() => new WeightedSums().hajek(1)).toThrow(RangeError)
  })
})

describe('several arms', () => {
  const pValues = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 20 })

  it.each([
    ['holm', holm],
    ['benjaminiHochberg', benjaminiHochberg],
  ])('%s keeps the order, never lowers a p-value, and does not mind how arms are sorted', (_, adjust) => {
    fc.assert(
      fc.property(pValues, (all) => {
        const adjusted = adjust(all)
        for (const [i, p] of all.entries()) {
          expect(adjusted[i]).toBeGreaterThanOrEqual(p - 1e-15)
          expect(adjusted[i]).toBeLessThanOrEqual(1)
          for (const [j, other] of all.entries())
            if (p < other) expect(adjusted[i]).toBeLessThanOrEqual(adjusted[j]!)
        }
        expect(adjust(all.toReversed())).toEqual(adjusted.toReversed())
      }),
    )
  })

  it('rejects by e-BH what Benjamini and Hochberg reject on 1/E', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1e4, noNaN: true }), { maxLength: 20 }), (all) => {
        const { rejected, rejections } = eBenjaminiHochberg(all, 0.05)
        const adjusted = benjaminiHochberg(all.map((e) => Math.min(1, 1 / e)))
        for (const [i, p] of adjusted.entries())
          if (Math.abs(p - 0.05) > 1e-12) expect(rejected[i]).toBe(p < 0.05)
        expect(rejected.filter(Boolean)).toHaveLength(rejections)
      }),
    )
    expect(eBenjaminiHochberg([Infinity]).rejected).toEqual([true])
  })

  it('refuse what is none', () => {
    for (const p of [-0.1, 1.1, Number.NaN]) expect(() => holm([p])).toThrow(RangeError)
    for (const e of [-1, Number.NaN]) expect(() => eBenjaminiHochberg([e])).toThrow(RangeError)
    expect([holm([]), benjaminiHochberg([]), eBenjaminiHochberg([]).rejected]).toEqual([[], [], []])
  })
})

describe('sampleSize', () => {
  it('is the same whichever rate comes first, and more for closer rates, power and certainty', () => {
    expect(sampleSize(0.05, 0.02)).toEqual(sampleSize(0.02, 0.05))
    const { pooled } = sampleSize(0.05, 0.02)
    expect(sampleSize(0.05, 0.03).pooled).toBeGreaterThan(pooled)
    expect(sampleSize(0.05, 0.02, 0.9).pooled).toBeGreaterThan(pooled)
    expect(sampleSize(0.05, 0.02, 0.8, 0.01).pooled).toBeGreaterThan(pooled)
  })

  it('refuses rates that are the same or none', () => {
    expect(() => sampleSize(0.1, 0.1)).toThrow('no number of verdicts tells 0.1 from 0.1')
    for (const bad of [0, 1, Number.NaN]) {
      expect(() => sampleSize(bad, 0.1)).toThrow(RangeError)
      expect(() => sampleSize(0.1, 0.2, bad)).toThrow(RangeError)
      expect(() => sampleSize(0.1, 0.2, 0.8, bad)).toThrow(RangeError)
    }
  })
})
