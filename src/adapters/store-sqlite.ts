/**
 * The `Store` and `Queue` ports on SQLite (`node:sqlite`, WAL), with Kysely for queries and migrations. Several
 * processes may share one file. `:memory:` is the store of the demo and of tests. Composed by `node.ts`.
 */
import { hash, randomBytes } from 'node:crypto'
import { closeSync, openSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type ExpressionBuilder,
  Kysely,
  type SqliteDatabase,
  SqliteDialect,
  type SqliteStatement,
  sql,
} from 'kysely'
import { Migrator } from 'kysely/migration'
import type {
  ArmTally,
  ExposureBatch,
  ExtraTally,
  LeasedSample,
  Queue,
  QueueStatus,
  SampleTally,
  Store,
  VerdictRow,
} from '../domain/ports.ts'
import type { ChatMessage, Sample } from '../domain/sample.ts'
import type { Verdict, VerdictKind } from '../domain/verdict.ts'
import { migrations, type Tables } from './store-sqlite-schema.ts'

export interface SqliteStoreOptions {
  /** A file, made if it is missing, or `:memory:`. */
  readonly path: string
  /** Samples that may wait for a verdict; more are refused. */
  readonly queueLimit: number
}

/** How long a write waits, asynchronously, for another process's; SQLite's own waiting would hold up the event loop. */
const BUSY_MS = 10_000
const BUSY_POLL_MS = 25
const SQLITE_BUSY = 5
const MIGRATION_ATTEMPTS = 5
const MIGRATION_WAIT_MS = 200
const UNIT_KEY = 'unit_key'
/** The number of waiting samples is counted anew this often and kept up in between. */
const RECOUNT_MS = 1_000

/**
 * Opens the store and brings its tables up to date.
 * @throws Error naming the file when it cannot be opened or migrated.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<SqliteStore> {
  const { path } = options
  try {
    if (path !== ':memory:') {
      // Conversations are nobody else's: the file is made readable for its owner alone.
      closeSync(openSync(path, 'a', 0o600))
    }
    const database = new DatabaseSync(path, { timeout: BUSY_MS })
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON')
    const db = new Kysely<Tables>({ dialect: new SqliteDialect({ database: kyselyDatabase(database) }) })
    await migrate(db)
    database.exec('PRAGMA busy_timeout = 0')
    return new SqliteStore(db, options.queueLimit)
  } catch (error) {
    const missing = (error as { code?: unknown }).code === 'ENOENT'
    const reason = missing
      ? 'its folder does not exist'
      : error instanceof Error
        ? error.message
        : String(error)
    throw new Error(`the store sqlite:${path} cannot be opened: ${reason}`, { cause: error })
  }
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
      if ((error as { errcode?: unknown }).errcode !== SQLITE_BUSY || performance.now() > deadline)
        throw error
      await sleep(BUSY_POLL_MS)
    }
  }
}

export class SqliteStore implements Store, Queue {
  private readonly db: Kysely<Tables>
  private queueLimit: number
  private waiting = 0
  private countedAt = Number.NEGATIVE_INFINITY

  constructor(db: Kysely<Tables>, queueLimit: number) {
    this.db = db
    this.queueLimit = queueLimit
  }

  /** Takes no more than this many waiting samples from now on. */
  limitQueue(limit: number): void {
    this.queueLimit = limit
  }

  async offer(sample: Sample): Promise<boolean> {
    if (performance.now() - this.countedAt > RECOUNT_MS) this.waiting = (await this.status()).depth
    // One that is offered again, because nobody knew whether it was stored, is not refused.
    if (this.waiting >= this.queueLimit) return await this.has(sample.id)
    await patiently(() =>
      this.db
        .insertInto('samples')
        .values({
          id: sample.id,
          experiment: sample.experiment,
          arm: sample.arm,
          policy: sample.policy,
          policy_hash: sample.policyHash,
          check_id: sample.check,
          check_version: sample.checkVersion,
          probability: sample.probability,
          model: sample.model,
          unit: sample.unit,
          question_hash: hash('sha256', sample.question, 'hex').slice(0, 32),
          requested_at: sample.requestedAt,
          messages: JSON.stringify(sample.messages),
          question: sample.question,
          answer: sample.answer,
          done: 0,
          visible_at: 0,
          attempts: 0,
          extra: sample.extra ?? null,
        })
        .onConflict((conflict) => conflict.doNothing())
        .execute(),
    )
    this.waiting++
    return true
  }

  async take(max: number, leaseMs: number): Promise<LeasedSample[]> {
    const now = Date.now()
    const rows = await patiently(() =>
      this.db
        .updateTable('samples')
        .set((eb) => ({ visible_at: now + leaseMs, attempts: eb('attempts', '+', 1) }))
        .where('id', 'in', (eb) =>
          eb
            .selectFrom('samples')
            .select('id')
            .where('done', '=', 0)
            .where('visible_at', '<=', now)
            .orderBy('requested_at')
            .limit(max),
        )
        .returningAll()
        .execute(),
    )
    return rows
      .sort((a, b) => a.requested_at - b.requested_at)
      .map((row) => ({ attempts: row.attempts, sample: toSample(row) }))
  }

  async extend(leased: readonly LeasedSample[], leaseMs: number): Promise<LeasedSample[]> {
    if (leased.length === 0) return []
    const rows = await patiently(() =>
      this.db
        .updateTable('samples')
        .set({ visible_at: Date.now() + leaseMs })
        .where('done', '=', 0)
        .where(heldAs(leased))
        .returning(['id', 'attempts'])
        .execute(),
    )
    const held = new Map(rows.map(({ id, attempts }) => [id, attempts]))
    return leased.filter(({ sample, attempts }) => held.get(sample.id) === attempts)
  }

  async retry(leased: LeasedSample, delayMs: number): Promise<void> {
    await patiently(() =>
      this.db
        .updateTable('samples')
        .set({ visible_at: Date.now() + delayMs })
        .where(heldAs([leased]))
        .execute(),
    )
  }

  async release(leased: readonly LeasedSample[]): Promise<void> {
    if (leased.length === 0) return
    await patiently(() =>
      this.db
        .updateTable('samples')
        .set((eb) => ({ visible_at: 0, attempts: eb('attempts', '-', 1) }))
        .where(heldAs(leased))
        .execute(),
    )
  }

  private async has(sampleId: string): Promise<boolean> {
    const row = await this.db.selectFrom('samples').select('id').where('id', '=', sampleId).executeTakeFirst()
    return row !== undefined
  }

  async status(): Promise<QueueStatus> {
    const row = await this.db
      .selectFrom('samples')
      .select((eb) => [eb.fn.countAll<number>().as('depth'), eb.fn.min('requested_at').as('oldest')])
      .where('done', '=', 0)
      .executeTakeFirstOrThrow()
    this.waiting = row.depth
    this.countedAt = performance.now()
    return { depth: row.depth, oldestAt: row.oldest }
  }

  async addVerdict(verdict: Verdict): Promise<boolean> {
    const added = await patiently(() =>
      this.db.transaction().execute(async (transaction) => {
        const result = await transaction
          .insertInto('verdicts')
          .values({
            sample_id: verdict.sampleId,
            check_id: verdict.check,
            check_version: verdict.checkVersion,
            verdict: verdict.verdict,
            scores: JSON.stringify(verdict.scores),
            judged_at: verdict.judgedAt,
          })
          .onConflict((conflict) => conflict.doNothing())
          .executeTakeFirst()
        await transaction.updateTable('samples').set({ done: 1 }).where('id', '=', verdict.sampleId).execute()
        return (result.numInsertedOrUpdatedRows ?? 0n) > 0n
      }),
    )
    if (added) this.waiting--
    return added
  }

  async addExposures(batches: readonly ExposureBatch[]): Promise<void> {
    await patiently(() =>
      this.db.transaction().execute(async (transaction) => {
        for (const { experiment, arm, assignment, exposures, anonymousUnits, units } of batches) {
          await transaction
            .insertInto('exposures')
            .values({ experiment, arm, assignment, exposures, anonymous_units: anonymousUnits })
            .onConflict((conflict) =>
              conflict.columns(['experiment', 'arm', 'assignment']).doUpdateSet((eb) => ({
                exposures: eb('exposures.exposures', '+', exposures),
                anonymous_units: eb('exposures.anonymous_units', '+', anonymousUnits),
              })),
            )
            .execute()
          for (const unit of units) {
            await transaction
              .insertInto('units')
              .values({ experiment, arm, assignment, unit })
              .onConflict((conflict) => conflict.doNothing())
              .execute()
          }
        }
      }),
    )
  }

  async unitKey(): Promise<string> {
    // Of processes that start together the first one's stays.
    await patiently(() =>
      this.db
        .insertInto('settings')
        .values({ name: UNIT_KEY, value: randomBytes(32).toString('base64url') })
        .onConflict((conflict) => conflict.doNothing())
        .execute(),
    )
    const { value } = await this.db
      .selectFrom('settings')
      .select('value')
      .where('name', '=', UNIT_KEY)
      .executeTakeFirstOrThrow()
    return value
  }

  async exposures(experiment: string): Promise<ArmTally[]> {
    return await this.db
      .selectFrom('exposures')
      .select((eb) => [
        'experiment',
        'arm',
        'assignment',
        'exposures',
        sql<number>`anonymous_units + ${eb
          .selectFrom('units')
          .select((count) => count.fn.countAll().as('n'))
          .whereRef('units.experiment', '=', 'exposures.experiment')
          .whereRef('units.arm', '=', 'exposures.arm')
          .whereRef('units.assignment', '=', 'exposures.assignment')}`.as('units'),
      ])
      .where('experiment', '=', experiment)
      .execute()
  }

  async verdicts(experiment: string, check: string): Promise<VerdictRow[]> {
    const rows = await this.db
      .selectFrom('verdicts')
      .innerJoin('samples', 'samples.id', 'verdicts.sample_id')
      .select([
        'samples.arm',
        'samples.unit',
        'samples.question_hash as question',
        'verdicts.verdict',
        'verdicts.check_version as checkVersion',
        'samples.policy_hash as policyHash',
      ])
      .where('samples.experiment', '=', experiment)
      .where('verdicts.check_id', '=', check)
      .where('samples.extra', 'is', null)
      .orderBy('samples.requested_at')
      .orderBy('samples.id')
      .execute()
    return rows.map((row) => ({ ...row, verdict: row.verdict as VerdictKind }))
  }

  async samples(experiment: string, check: string): Promise<SampleTally[]> {
    return await this.db
      .selectFrom('samples')
      .select((eb) => [
        'arm',
        'check_version as checkVersion',
        'policy_hash as policyHash',
        eb.fn.countAll<number>().as('samples'),
      ])
      .where('experiment', '=', experiment)
      .where('check_id', '=', check)
      .where('extra', 'is', null)
      .groupBy(['arm', 'check_version', 'policy_hash'])
      .execute()
  }

  async extras(experiment: string, check: string): Promise<ExtraTally[]> {
    const rows = await this.db
      .selectFrom('samples')
      .leftJoin('verdicts', (join) =>
        join
          .onRef('verdicts.sample_id', '=', 'samples.id')
          .onRef('verdicts.check_id', '=', 'samples.check_id'),
      )
      .select((eb) => [
        'samples.arm',
        // A verdict may be on a newer wording than the sample was taken under.
        eb.fn.coalesce('verdicts.check_version', 'samples.check_version').as('checkVersion'),
        'samples.policy_hash as policyHash',
        'verdicts.verdict',
        eb.fn.countAll<number>().as('samples'),
      ])
      .where('samples.experiment', '=', experiment)
      .where('samples.check_id', '=', check)
      .where('samples.extra', 'is not', null)
      .groupBy(['samples.arm', 'checkVersion', 'policyHash', 'verdicts.verdict'])
      .execute()
    return rows.map((row) => ({ ...row, verdict: row.verdict as VerdictKind | null }))
  }

  async close(): Promise<void> {
    await this.db.destroy()
  }
}

/** Samples that were not taken again since. */
function heldAs(leased: readonly LeasedSample[]) {
  return (eb: ExpressionBuilder<Tables, 'samples'>) =>
    eb.or(
      leased.map(({ sample, attempts }) => eb.and([eb('id', '=', sample.id), eb('attempts', '=', attempts)])),
    )
}

function toSample(row: Tables['samples']): Sample {
  return {
    id: row.id,
    experiment: row.experiment,
    arm: row.arm,
    policy: row.policy,
    policyHash: row.policy_hash,
    check: row.check_id,
    checkVersion: row.check_version,
    probability: row.probability,
    model: row.model,
    unit: row.unit,
    requestedAt: row.requested_at,
    messages: JSON.parse(row.messages) as ChatMessage[],
    question: row.question,
    answer: row.answer,
    extra: row.extra === 'trigger' ? row.extra : null,
  }
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
  const values = (parameters: readonly unknown[]) => parameters as SQLInputValue[]
  return {
    reader: statement.columns().length > 0,
    all: (parameters) => statement.all(...values(parameters)),
    run: (parameters) => statement.run(...values(parameters)),
    iterate: (parameters) => statement.iterate(...values(parameters)),
  }
}
