/** The rate of an arm whose answers were sampled with different probabilities, from tallies as a store keeps them. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Tally } from '../../src/domain/store.ts'
import { WeightedSums } from '../../src/stats/weighted-means.ts'
import { weightedRate } from '../../src/stats/weighted-rate.ts'

interface Answer {
  readonly kind: Tally['kind']
  readonly pi: number
}

/** Counted one by one, by hour. */
function tallied(answers: readonly Answer[]): Tally[] {
  return answers.map(({ kind, pi }, index) => ({
    arm: 'a',
    checkVersion: 'v',
    policyHash: null,
    hour: index % 3,
    kind,
    extra: false,
    count: 1,
    weights: 1 / pi,
    squaredWeights: 1 / pi ** 2,
  }))
}

describe('a weighted rate', () => {
  it('is that of Hájek over the answers themselves', () => {
    const answer = fc.record({
      kind: fc.constantFrom<Tally['kind'][]>('positive', 'negative', 'excluded', 'sample', 'error'),
      pi: fc.double({ min: 0.001, max: 1, noNaN: true }),
    })
    fc.assert(
      fc.property(fc.array(answer, { minLength: 2, maxLength: 40 }), (answers): void => {
        const decisive = answers.filter(({ kind }) => kind === 'positive' || kind === 'negative')
        const sums = new WeightedSums()
        for (const { kind, pi } of decisive) sums.add(kind === 'positive' ? 1 : 0, pi)
        const found = weightedRate(tallied(answers), 0.05)
        if (new Set(decisive.map(({ pi }) => pi)).size <= 1) {
          expect(found).toBeNull()
          return
        }
        // Weights nearly alike may pass for alike.
        if (found === null) return
        const hajek = sums.hajek()!
        expect(found.estimate).toBeCloseTo(hajek.estimate, 10)
        if (hajek.estimate > 0 && hajek.estimate < 1) {
          expect(found.lower).toBeCloseTo(Math.max(0, hajek.interval!.lower), 6)
          expect(found.upper).toBeCloseTo(Math.min(1, hajek.interval!.upper), 6)
        }
        expect(found.lower).toBeLessThanOrEqual(found.estimate! + 1e-9)
        expect(found.upper).toBeGreaterThanOrEqual(found.estimate! - 1e-9)
      }),
    )
  })

  it('is not there where all probabilities are the same, however many answers', () => {
    const all = Array.from(
      { length: 10_000 },
      (_, index): Answer => ({
        kind: index % 7 === 0 ? 'positive' : 'negative',
        pi: 0.1,
      }),
    )
    expect(weightedRate(tallied(all), 0.05)).toBeNull()
    expect(weightedRate([], 0.05)).toBeNull()
    expect(weightedRate(tallied([...all, { kind: 'negative', pi: 0.05 }]), 0.05)).not.toBeNull()
  })

  it('has bounds that are no point where all outcomes are alike', () => {
    const negatives: Answer[] = [0.1, 0.2, 0.5, 1].map((pi) => ({ kind: 'negative', pi }))
    expect(weightedRate(tallied(negatives), 0.05)).toMatchObject({ estimate: 0, lower: 0 })
    expect(weightedRate(tallied(negatives), 0.05)!.upper).toBeGreaterThan(0.5)
    const positives = negatives.map(({ pi }): Answer => ({ kind: 'positive', pi }))
    expect(weightedRate(tallied(positives), 0.05)).toMatchObject({ estimate: 1, upper: 1 })
    expect(weightedRate(tallied(positives), 0.05)!.lower).toBeLessThan(0.5)
  })
})
