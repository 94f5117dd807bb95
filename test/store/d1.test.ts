/** What is D1's own: its tables are SQLite's, its bounds are said, and what it exports is a store. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { D1Store } from '../../src/adapters/store-d1.ts'
import { openSqliteStore } from '../../src/adapters/store-sqlite.ts'
import { emptyD1 } from '../support/d1.ts'
import { migrationStatements } from '../support/d1-migrations.ts'
import { makeSample, verdictOn } from '../support/store-samples.ts'

function tempFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ballast-d1-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'ballast.db')
}

/** Tables and indexes, and which migrations made them. */
function schemaOf(path: string) {
  const database = new DatabaseSync(path)
  try {
    const made = database.prepare('select type, name, sql from sqlite_master where sql is not null').all()
    const migrations = database.prepare('select name from kysely_migration order by name').all()
    return { made: made.map((it) => ({ ...it })), migrations: migrations.map(({ name }) => name) }
  } finally {
    database.close()
  }
}

test('the migrations of D1 make the tables of SQLite, to the letter', async () => {
  const [ours, theirs] = [tempFile(), tempFile()]
  await (await openSqliteStore({ path: ours, queueLimit: 1 })).close()
  const database = new DatabaseSync(theirs)
  for (const statement of migrationStatements()) database.exec(statement)
  database.close()
  // Where SQLite has a migration more, `migrations/` needs a file more that does the same.
  expect(schemaOf(theirs)).toEqual(schemaOf(ours))
})

test('what D1 holds is a store that commands read', async () => {
  const d1 = await emptyD1()
  const store = new D1Store({ d1, queueLimit: 10 })
  const sample = makeSample({ answer: 'x\0\ud83d' })
  await store.offer(sample)
  await store.addVerdict(verdictOn(sample, 'positive'))
  // As `wrangler d1 export` writes it and `sqlite3` reads it.
  const path = tempFile()
  const database = new DatabaseSync(path)
  for (const statement of migrationStatements()) database.exec(statement)
  for (const table of ['samples', 'verdicts', 'tallies']) {
    const { results } = await d1.prepare(`select * from ${table}`).all<Record<string, string>>()
    for (const row of results) {
      const places = Object.keys(row).map(() => '?')
      database
        .prepare(`insert into ${table} (${Object.keys(row).map((it) => `"${it}"`)}) values (${places})`)
        .run(...Object.values(row))
    }
  }
  database.close()
  const read = await openSqliteStore({ path, queueLimit: 1, readOnly: true })
  onTestFinished(() => read.close())
  expect(await read.find({}, 10)).toEqual(await store.find({}, 10))
  expect(await read.tallies('birds', 'archaic')).toEqual(await store.tallies('birds', 'archaic'))
})

test('a sample that D1 cannot hold is refused by name, and one just within it is stored', async () => {
  const store = new D1Store({ d1: await emptyD1(), queueLimit: 10 })
  await expect(store.offer(makeSample({ answer: 'é'.repeat(1_000_000) }))).rejects.toMatchObject({
    code: 'ERR_SAMPLE_TOO_LARGE',
  })
  const largest = makeSample({ answer: 'é'.repeat(949_000) })
  expect(await store.offer(largest)).toBe(true)
  expect((await store.take(1, 1_000))[0]!.sample.answer).toBe(largest.answer)
})

test('the limit of the queue holds for all who offer at the same time', async () => {
  const d1 = await emptyD1()
  const stores = [1, 2, 3].map(() => new D1Store({ d1, queueLimit: 5 }))
  const offered = await Promise.all(Array.from({ length: 24 }, (_, n) => stores[n % 3]!.offer(makeSample())))
  expect(offered.filter(Boolean)).toHaveLength(5)
  expect(await stores[0]!.status()).toMatchObject({ depth: 5 })
  expect(await stores[0]!.fill()).toEqual({ waiting: 5, limit: 5 })
  // What was refused is not counted either.
  const tallies = await stores[0]!.tallies('birds', 'archaic')
  expect(tallies.reduce((sum, { count }) => sum + count, 0)).toBe(5)
})

test('samples of more checks than D1 joins queries are taken, those of others left', async () => {
  const store = new D1Store({ d1: await emptyD1(), queueLimit: 100 })
  for (let n = 0; n < 12; n++) await store.offer(makeSample({ check: `check-${n}` }))
  const wanted = Array.from({ length: 9 }, (_, n) => `check-${n}`)
  const few = await store.take(100, 60_000, wanted.slice(0, 5))
  expect(few.map(({ sample }) => sample.check)).toEqual(wanted.slice(0, 5))
  await store.release(few)
  const taken = await store.take(100, 60_000, wanted)
  expect(taken.map(({ sample }) => sample.check)).toEqual(wanted)
  await store.release(taken)
  expect(await store.take(100, 60_000)).toHaveLength(12)
})

test('a D1 without its tables says what to do', async () => {
  const d1 = await emptyD1()
  const renamed = await d1.prepare('alter table notes rename to elsewhere').run()
  expect(renamed.success).toBe(true)
  const store = new D1Store({ d1, queueLimit: 1 })
  await expect(store.readNote('x')).rejects.toThrow('wrangler d1 migrations apply')
  await d1.prepare('alter table elsewhere rename to notes').run()
})

test('samples are taken of more checks than a statement of D1 may have values', async () => {
  const store = new D1Store({ d1: await emptyD1(), queueLimit: 10 })
  const sample = makeSample()
  await store.offer(sample)
  const others = Array.from({ length: 150 }, (_, index) => `check-${index}`)
  expect(await store.take(10, 1_000, others)).toEqual([])
  expect(await store.take(10, 1_000, [...others, sample.check])).toMatchObject([
    { sample: { id: sample.id } },
  ])
})
