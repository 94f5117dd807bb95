/** Tallies counted from the samples' rows, one by one: what the stores' own counts are held against. */
import type { ScoreTally, StoredSample, Tally } from '../../src/domain/store.ts'
import type { Score } from '../../src/domain/verdict.ts'
import { HOUR_MS } from '../support/store-samples.ts'

/** Sums of fractions depend on their order in the last bits. */
const round = (sum: number) => Number(sum.toPrecision(10))

export function recount(rows: readonly StoredSample[]): Tally[] {
  const tallies = new Map<string, Tally>()
  const add = ({ sample }: StoredSample, checkVersion: string, kind: Tally['kind']) => {
    const { arm, policyHash, requestedAt, probability } = sample
    const key = {
      arm,
      checkVersion,
      policyHash,
      hour: requestedAt - (requestedAt % HOUR_MS),
      kind,
      extra: sample.extra === 'trigger',
    }
    const name = JSON.stringify(key)
    const { count, weights, squaredWeights } = tallies.get(name) ?? {
      count: 0,
      weights: 0,
      squaredWeights: 0,
    }
    tallies.set(name, {
      ...key,
      count: count + 1,
      weights: weights + 1 / probability,
      squaredWeights: squaredWeights + 1 / probability ** 2,
    })
  }
  for (const row of rows) {
    add(row, row.sample.checkVersion, 'sample')
    if (row.verdict !== null) add(row, row.verdict.checkVersion, row.verdict.verdict)
  }
  return [...tallies.values()]
}

export function recountScores(rows: readonly StoredSample[]): ScoreTally[] {
  const tallies = new Map<string, ScoreTally>()
  for (const { sample, verdict } of rows) {
    if (verdict === null || sample.extra === 'trigger') continue
    for (const [rubric, score] of Object.entries(verdict.scores)) {
      const { arm, policyHash } = sample
      const key = { arm, checkVersion: verdict.checkVersion, policyHash, rubric, score: counted(score) }
      const name = JSON.stringify(key)
      tallies.set(name, { ...key, count: (tallies.get(name)?.count ?? 0) + 1 })
    }
  }
  return [...tallies.values()]
}

function counted(score: Score): ScoreTally['score'] {
  if (score.kind === 'number') return Math.round(score.value * 10) / 10
  return score.kind === 'label' ? score.value : null
}

/** In an order of their own, so that two lists can be compared. */
export function sorted<T extends Tally | ScoreTally>(tallies: readonly T[]): T[] {
  return tallies
    .map((tally) =>
      'weights' in tally
        ? { ...tally, weights: round(tally.weights), squaredWeights: round(tally.squaredWeights) }
        : tally,
    )
    .sort((a, b) => (textOf(a) < textOf(b) ? -1 : 1))
}

const textOf = (tally: Tally | ScoreTally) => JSON.stringify(Object.entries(tally).sort())
