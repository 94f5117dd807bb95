/**
 * The `Store` and `Queue` ports on SQLite (`node:sqlite`, WAL), with Kysely for queries and migrations. Several
 * processes may share one file. `:memory:` is the store of the demo and of tests. Composed by `node.ts`.
 */
import { closeSync, openSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { Kysely, type SqliteDatabase, SqliteDialect, type SqliteStatement } from 'kysely'
import { Migrator } from 'kysely/migration'
import type { Sample } from '../domain/sample.ts'
import type { LeasedSample } from '../domain/store.ts'
import { QueuedStore } from './store-queue.ts'
import {
  delaySample,
  extendLeases,
  firstVisible,
  releaseSamples,
  takeSamples,
} from './store-sqlite-leases.ts'
import { migrations } from './store-sqlite-schema.ts'
import type { Tables } from './store-tables.ts'
import { restoredRow, storable } from './store-text.ts'

export interface SqliteStoreOptions {
  /** A file, made if it is missing, or `:memory:`. */
  readonly path: string
  /** Samples that may wait for a verdict; more are refused. */
  readonly queueLimit: number
  /** Nothing is written or made; a file that is missing or of an earlier version is an error. */
  readonly readOnly?: boolean
}

/** How long a write waits, asynchronously, for another process's; SQLite's own waiting would hold up the event loop. */
const BUSY_MS = 10_000
const BUSY_POLL_MS = 25
const SQLITE_BUSY = 5
const MIGRATION_ATTEMPTS = 5
const MIGRATION_WAIT_MS = 200

/**
 * Opens the store and brings its tables up to date.
 * @throws Error naming the file when it cannot be opened or migrated.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<SqliteStore> {
  const { path, readOnly = false } = options
  try {
    if (readOnly) return await openForReading(options)
    if (path !== ':memory:') {
      // Conversations are nobody else's: the file is made readable for its owner alone.
      closeSync(openSync(path, 'a', 0o600))
    }
    const database = new DatabaseSync(path, { timeout: BUSY_MS })
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON')
    // Texts that are erased are gone from the file, too.
    database.exec('PRAGMA secure_delete = ON')
    const db = new Kysely<Tables>({ dialect: new SqliteDialect({ database: kyselyDatabase(database) }) })
    await migrate(db)
    database.exec('PRAGMA busy_timeout = 0')
    return new SqliteStore(db, options.queueLimit)
  } catch (error) {
    const missing = (error as { code?: unknown }).code === 'ENOENT'
    const reason = missing
      ? readOnly
        ? 'there is no such file'
        : 'its folder does not exist'
      : error instanceof Error
        ? error.message
        : String(error)
    throw new Error(`the store sqlite:${path} cannot be opened: ${reason}`, { cause: error })
  }
}

async function openForReading({ path, queueLimit }: SqliteStoreOptions): Promise<SqliteStore> {
  // SQLite's own words for a missing file do not say so.
  closeSync(openSync(path, 'r'))
  const database = new DatabaseSync(path, { readOnly: true, timeout: BUSY_MS })
  const db = new Kysely<Tables>({ dialect: new SqliteDialect({ database: kyselyDatabase(database) }) })
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } })
  const pending = (await migrator.getMigrations()).filter(({ executedAt }) => executedAt === undefined)
  if (pending.length === 0) return new SqliteStore(db, queueLimit)
  await db.destroy()
  throw new Error('it is of an earlier version, or no store: `ballast serve` brings it up to date')
}

/** Processes that start together on a new file may get in each other's way once; then the tables are there. */
async function migrate(db: Kysely<Tables>): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } })
  for (let attempt = 1; ; attempt++) {
    const { error } = await migrator.migrateToLatest()
    if (error === undefined) return
    if (attempt === MIGRATION_ATTEMPTS) throw error
    await sleep(Math.random() * MIGRATION_WAIT_MS)
  }
}

/** Runs it again while another process writes. */
async function patiently<T>(run: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + BUSY_MS
  for (;;) {
    try {
      return await run()
    } catch (error) {
      if (!isBusy(error) || performance.now() > deadline) throw error
      await sleep(BUSY_POLL_MS)
    }
  }
}

/** The low byte is the kind: a transaction whose reading is out of date by the time it writes is busy, too. */
function isBusy(error: unknown): boolean {
  const { errcode } = error as { errcode?: unknown }
  return typeof errcode === 'number' && (errcode & 0xff) === SQLITE_BUSY
}

export class SqliteStore extends QueuedStore {
  take(max: number, leaseMs: number, checks?: readonly string[]): Promise<LeasedSample[]> {
    return patiently(() => takeSamples(this.db, max, leaseMs, checks))
  }

  extend(leased: readonly LeasedSample[], leaseMs: number): Promise<LeasedSample[]> {
    return patiently(() => extendLeases(this.db, leased, leaseMs))
  }

  retry(leased: LeasedSample, delayMs: number): Promise<void> {
    return patiently(() => delaySample(this.db, leased, delayMs))
  }

  release(leased: readonly LeasedSample[], delayMs = 0): Promise<void> {
    return releaseSamples(this.db, leased, delayMs, patiently)
  }

  protected writing<T>(run: () => Promise<T>): Promise<T> {
    return patiently(run)
  }

  protected firstVisible(sample: Sample): number {
    return firstVisible(sample)
  }

  /** `done` says it all. */
  protected async judged(): Promise<void> {}
  protected async enqueued(): Promise<void> {}
  /** There is one writer at a time anyway. */
  protected async ordered(): Promise<void> {}
}

/** What Kysely's SQLite dialect needs, on `node:sqlite`; statements are prepared once. */
function kyselyDatabase(database: DatabaseSync): SqliteDatabase {
  const statements = new Map<string, SqliteStatement>()
  return {
    close: () => database.close(),
    prepare(text) {
      let statement = statements.get(text)
      if (statement === undefined) {
        statement = kyselyStatement(database.prepare(text))
        statements.set(text, statement)
      }
      return statement
    },
  }
}

function kyselyStatement(statement: StatementSync): SqliteStatement {
  const values = (parameters: readonly unknown[]) => parameters.map(storable) as SQLInputValue[]
  return {
    reader: statement.columns().length > 0,
    all: (parameters) => statement.all(...values(parameters)).map(restoredRow),
    run: (parameters) => statement.run(...values(parameters)),
    iterate: (parameters) => statement.iterate(...values(parameters)),
  }
}
