/** Samples beside the draw in the store: a store from before they existed, and what counts them. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openSqliteStore } from '../../src/adapters/store-sqlite.ts'
import type { Sample } from '../../src/domain/sample.ts'

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
    expect((await store.verdicts('e', 'c')).map((row) => row.verdict)).toEqual(['negative'])
    expect((await store.samples('e', 'c')).map((row) => row.samples)).toEqual([1])
    const extras = await store.extras('e', 'c')
    const of = { arm: 'a', policyHash: null }
    expect(extras).toHaveLength(2)
    expect(extras).toContainEqual({ ...of, checkVersion: 'v2', verdict: 'positive', samples: 2 })
    expect(extras).toContainEqual({ ...of, checkVersion: 'v1', verdict: null, samples: 1 })
  })

  test('do not exist in a store from before them, whose samples were all drawn', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'ballast-')), 'old.db')
    const first = await openSqliteStore({ path, queueLimit: 100 })
    await first.offer(SAMPLE)
    await first.close()
    // As the release before left it.
    const database = new DatabaseSync(path)
    database.exec(
      "alter table samples drop column extra; delete from kysely_migration where name = '0003-extra-samples'",
    )
    database.close()
    const store = await open(path)
    expect(await store.samples('e', 'c')).toEqual([
      { arm: 'a', checkVersion: 'v1', policyHash: null, samples: 1 },
    ])
    expect(await store.extras('e', 'c')).toEqual([])
    expect((await store.take(1, 1_000))[0]?.sample.extra).toBeNull()
  })
})
