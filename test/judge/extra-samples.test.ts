/** Samples beside the draw in the store: a store from before they existed, and what counts them. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openSqliteStore } from '../../src/adapters/store-sqlite.ts'
import type { Sample } from '../../src/domain/sample.ts'
import { BEFORE_EXTRAS } from '../support/old-store.ts'

const SAMPLE: Sample = {
  id: 's',
  experiment: 'e',
  arm: 'a',
  policy: null,
  policyHash: null,
  check: 'c',
  checkVersion: 'v1',
  probability: 0.5,
  model: 'm',
  unit: 'u',
  assignment: 'w',
  requestedAt: 1,
  messages: [{ role: 'user', content: 'q' }],
  question: 'q',
  answer: 'a',
}

async function open(path = ':memory:') {
  const store = await openSqliteStore({ path, queueLimit: 100 })
  onTestFinished(() => store.close())
  return store
}

const verdict = (sampleId: string, kind: 'positive' | 'negative') =>
  ({ sampleId, check: 'c', checkVersion: 'v2', verdict: kind, scores: {}, judgedAt: 2 }) as const

describe('extra samples', () => {
  test('are judged, and counted by themselves', async () => {
    const store = await open()
    await store.offer({ ...SAMPLE, id: 'drawn' })
    for (const id of ['x', 'y', 'z']) await store.offer({ ...SAMPLE, id, probability: 1, extra: 'trigger' })
    const taken = await store.take(10, 1_000)
    expect(taken.map(({ sample }) => [sample.id, sample.extra])).toEqual([
      ['drawn', null],
      ['x', 'trigger'],
      ['y', 'trigger'],
      ['z', 'trigger'],
    ])
    await store.addVerdict(verdict('drawn', 'negative'))
    await store.addVerdict(verdict('x', 'positive'))
    await store.addVerdict(verdict('y', 'positive'))
    const counts = (await store.tallies('e', 'c')).map(({ extra, kind, checkVersion, count }) =>
      [extra ? 'extra' : 'drawn', kind, checkVersion, count].join(' '),
    )
    expect(counts.sort()).toEqual([
      'drawn negative v2 1',
      'drawn sample v1 1',
      'extra positive v2 2',
      'extra sample v1 3',
    ])
    const query = { experiment: 'e', check: 'c', checkVersion: 'v2', arms: [{ arm: 'a', policyHash: null }] }
    const decisive = await store.decisiveVerdicts(query, null, null, 10)
    expect(decisive.map(({ sampleId, positive }) => [sampleId, positive])).toEqual([['drawn', false]])
  })

  test('do not exist in a store from before them, whose samples were all drawn', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'ballast-')), 'old.db')
    const first = await openSqliteStore({ path, queueLimit: 100 })
    await first.offer(SAMPLE)
    await first.close()
    // As the release before left it.
    const database = new DatabaseSync(path)
    database.exec(BEFORE_EXTRAS)
    database.close()
    const store = await open(path)
    expect(await store.tallies('e', 'c')).toEqual([
      {
        arm: 'a',
        checkVersion: 'v1',
        policyHash: null,
        hour: 0,
        kind: 'sample',
        extra: false,
        count: 1,
        weights: 2,
        squaredWeights: 4,
      },
    ])
    expect((await store.take(1, 1_000))[0]?.sample.extra).toBeNull()
  })
})
