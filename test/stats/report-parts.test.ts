/** What a detailed report is made of: rates over time, distributions, what is left out, verdicts to go. */
import { describe, expect, it } from 'vitest'
import type { ScoreTally, Tally } from '../../src/domain/store.ts'
import { noVerdicts } from '../../src/domain/verdict.ts'
import { betaBinomialInterval } from '../../src/stats/beta-binomial.ts'
import { rateOverTime } from '../../src/stats/rate-over-time.ts'
import { scoreDistributions } from '../../src/stats/score-distribution.ts'
import { uncountedVerdicts } from '../../src/stats/uncounted.ts'
import { verdictsToGo } from '../../src/stats/verdicts-to-go.ts'

const HOUR = 3_600_000
const WORDING = { arm: 'a', checkVersion: 'v', policyHash: null, extra: false }
const tally = (hour: number, kind: Tally['kind'], count: number, probability = 1): Tally => ({
  ...WORDING,
  hour: hour * HOUR,
  kind,
  count,
  weights: count / probability,
  squaredWeights: count / probability ** 2,
})

describe('rateOverTime', () => {
  it('adds hours up, in order, and leaves out what counts neither way', () => {
    const points = rateOverTime(
      [tally(7, 'negative', 4), tally(2, 'positive', 1), tally(2, 'negative', 2), tally(3, 'excluded', 9)],
      0.05,
    )
    expect(points.map(({ at, positives, total }) => [at / HOUR, positives, total])).toEqual([
      [3, 1, 3],
      [8, 1, 7],
    ])
    expect(points[1]).toMatchObject(betaBinomialInterval(1, 7, 0.05))
  })

  it('keeps a bounded number of points, the last one always', () => {
    const points = rateOverTime(
      Array.from({ length: 1_001 }, (_, hour) => tally(hour, 'negative', 1)),
      0.05,
    )
    expect(points.length).toBeLessThanOrEqual(120)
    expect(points.at(-1)).toMatchObject({ at: 1_001 * HOUR, total: 1_001 })
  })
})

describe('scoreDistributions', () => {
  it('puts every score somewhere: numbers into bins, the top into the last, labels and what is none apart', () => {
    const score = (value: ScoreTally['score'], count: number): ScoreTally => ({
      ...WORDING,
      rubric: 'r',
      score: value,
      count,
    })
    const [found] = scoreDistributions(
      [score(0, 2), score(4.9, 1), score(5, 1), score(100, 3), score('REFUSAL', 4), score(null, 5)],
      [{ id: 'r', scale: [0, 100], labels: ['CODE', 'REFUSAL'] }],
      ['a', 'b'],
    )
    const [a, b] = found!.arms
    expect(a!.bins.map(({ count }) => count)).toEqual([3, 1, ...new Array(17).fill(0), 3])
    expect(a!.labels).toEqual([
      { label: 'CODE', count: 0 },
      { label: 'REFUSAL', count: 4 },
    ])
    expect(a!.unreadable).toBe(5)
    expect(a!.mean).toBeCloseTo((4.9 + 5 + 300) / 7, 12)
    expect(b).toMatchObject({ mean: null, unreadable: 0 })
  })
})

describe('uncountedVerdicts', () => {
  const arm = (positive: number, negative: number, excluded: number, error = 0) => ({
    ...noVerdicts(),
    positive,
    negative,
    excluded,
    error,
  })

  it('finds an arm that is excluded more than the control, and leaves one alone that is not', () => {
    const [control, more, same] = uncountedVerdicts([arm(50, 430, 20), arm(5, 395, 100), arm(48, 430, 22)], 0)
    expect(control!.excluded).toMatchObject({ share: 0.04, p: null, differs: false })
    expect(more!.excluded).toMatchObject({ share: 0.2, differs: true })
    expect(same!.excluded.differs).toBe(false)
  })

  it('tests errors apart from exclusions', () => {
    const [, failing] = uncountedVerdicts([arm(50, 430, 20, 2), arm(40, 350, 16, 90)], 0)
    expect([failing!.excluded.differs, failing!.unreadable.differs]).toEqual([false, true])
  })

  it('tests nothing where arms are not compared', () => {
    expect(uncountedVerdicts([arm(1, 9, 0), arm(1, 9, 900)], null)[1]!.excluded).toMatchObject({
      p: null,
      differs: false,
    })
  })
})

describe('verdictsToGo', () => {
  it('counts down to what a test of one look needs for a halving', () => {
    const found = verdictsToGo({ positives: 10, total: 100 }, { positives: 5, total: 100 }, 0.5, 0.05)!
    expect(found).toMatchObject({ from: 0.1, to: 0.05, have: 200, more: found.need - 200 })
    expect(found.cap).toBe(Math.ceil(1.8 * found.need))
    expect(
      verdictsToGo({ positives: 100, total: 1000 }, { positives: 5, total: 1000 }, 0.5, 0.05)!.more,
    ).toBe(0)
  })

  it('asks for more where the arms are unequal, as far as they are so', () => {
    const even = verdictsToGo({ positives: 10, total: 100 }, { positives: 0, total: 100 }, 0.5, 0.05)!
    const uneven = verdictsToGo({ positives: 18, total: 180 }, { positives: 0, total: 20 }, 0.5, 0.05)!
    expect(uneven.need / even.need).toBeCloseTo(1 / (4 * 0.9 * 0.1), 2)
  })

  it('is none before the control has verdicts of both kinds', () => {
    for (const positives of [0, 10])
      expect(verdictsToGo({ positives, total: 10 }, { positives: 1, total: 10 }, 0.5, 0.05)).toBeNull()
  })
})
