/** The queue of samples: in which order they are taken, what a giving back counts, and what a taking costs. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { openTestStore, sampleOf } from '../support/judging.ts'

const LEASE_MS = 60_000

describe('taking samples', () => {
  test('begins with those that wait longest; one given back stands behind them', async () => {
    const store = await openTestStore()
    for (const [id, requestedAt] of [
      ['late', 3],
      ['early', 1],
      ['middle', 2],
    ] as const)
      await store.offer(sampleOf({ id, requestedAt }))
    const [first] = await store.take(1, LEASE_MS)
    expect(first!.sample.id).toBe('early')
    await store.retry(first!, 0)
    const rest: string[] = []
    for (let round = 0; round < 3; round++) rest.push((await store.take(1, LEASE_MS))[0]!.sample.id)
    expect(rest).toEqual(['middle', 'late', 'early'])
  })

  test('can be of certain checks only, of which those that wait longest come first', async () => {
    const store = await openTestStore()
    for (const [check, requestedAt] of [
      ['b', 1],
      ['a', 2],
      ['c', 3],
      ['a', 4],
    ] as const)
      await store.offer(sampleOf({ id: `${check}${requestedAt}`, check, requestedAt }))
    const ids = async (checks: string[], max = 10) =>
      (await store.take(max, LEASE_MS, checks)).map(({ sample }) => sample.id)
    expect(await ids([])).toEqual([])
    expect(await ids(['x'])).toEqual([])
    expect(await ids(['a', 'c'], 2)).toEqual(['a2', 'c3'])
    expect(await ids(['c', 'a', 'b'])).toEqual(['b1', 'a4'])
  })

  test('counts as an attempt unless it is given back as not counted', async () => {
    const store = await openTestStore()
    await store.offer(sampleOf())
    const take = async () => (await store.take(1, LEASE_MS))[0]!
    let leased = await take()
    expect(leased.attempts).toBe(1)
    for (let round = 0; round < 50; round++) {
      await store.release([leased])
      leased = await take()
    }
    expect(leased.attempts).toBe(1)
    await store.retry(leased, 0)
    expect((await take()).attempts).toBe(2)
  })

  test('is not undone by a worker whose lease ran out', async () => {
    const store = await openTestStore()
    await store.offer(sampleOf())
    const [stale] = await store.take(1, 0)
    const [holder] = await store.take(1, LEASE_MS)
    expect([stale!.attempts, holder!.attempts]).toEqual([1, 2])
    await store.retry(stale!, 0)
    expect(await store.take(1, LEASE_MS)).toEqual([])
  })

  test('costs the same however many wait that are not due or of other checks', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'ballast-')), 'ballast.db')
    const store = await openTestStore(path)
    await store.offer(sampleOf({ id: 'one', check: 'c' }))
    const other = new DatabaseSync(path)
    // 50,000 that are not due, and 50,000 of another check that are.
    for (const [from, check, visibleAt] of [
      [0, 'c', Date.now() + 3_600_000],
      [50_000, 'blocked', 1],
    ] as const) {
      other.exec(`
        with recursive n(i) as (select ${from} union all select i + 1 from n where i < ${from + 49_999})
        insert into samples
          (id, experiment, arm, check_id, check_version, probability, model, unit, question_hash, assignment,
           requested_at, messages, question, answer, done, visible_at, attempts)
        select 'n' || i, 'e', 'a', '${check}', '1', 1, 'm', 'u' || i, 'h' || i, 'w',
          i, '[]', 'q', 'a', 0, ${visibleAt}, 1 from n`)
    }
    other.close()
    const [leased] = await store.take(8, LEASE_MS, ['c', 'd'])
    expect(leased!.sample.id).toBe('one')
    const times: number[] = []
    for (let round = 0; round < 100; round++) {
      const begun = performance.now()
      expect(await store.take(8, LEASE_MS, ['c', 'd'])).toEqual([])
      times.push(performance.now() - begun)
    }
    // A walk over them takes some ten milliseconds.
    expect(times.sort((a, b) => a - b)[50]).toBeLessThan(2)
  })
})

describe('counters', () => {
  test('are shared by stores of one file, and swept once they may be forgotten', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'ballast-')), 'ballast.db')
    const [one, other] = [await openTestStore(path), await openTestStore(path)]
    await one.count('old', 1, Date.now() - 1)
    expect(await one.count('n', 2, Date.now() + 60_000)).toBe(2)
    expect(await other.count('n', 3, Date.now() + 60_000)).toBe(5)
    const names = new DatabaseSync(path, { readOnly: true }).prepare('select name from counters').all()
    expect(names).toEqual([{ name: 'n' }])
  })
})
