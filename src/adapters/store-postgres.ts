/**
 * The `Store`, `Queue` and `Archive` ports on Postgres, for several machines: queries on Kysely, jobs on pg-boss, samples
 * and jobs in the same transactions. Opened by `store.ts`.
 *
 * Locks are taken in this order, so that no two transactions wait for each other: jobs, samples by id, tallies, score
 * tallies by rubric.
 */
import { Kysely, PostgresDialect, sql, type Transaction } from 'kysely'
import { Migrator } from 'kysely/migration'
import type { Log } from '../domain/ports.ts'
import type { Sample } from '../domain/sample.ts'
import type { LeasedSample } from '../domain/store.ts'
import { shownStore } from '../domain/store-address.ts'
import type { Verdict } from '../domain/verdict.ts'
import { kyselyPool, openPool, postgresPlace, reasonOf } from './store-postgres-connection.ts'
import { type Held, SampleJobs } from './store-postgres-queue.ts'
import { migrations } from './store-postgres-schema.ts'
import { QueuedStore } from './store-queue.ts'
import { leasedSamples } from './store-rows.ts'
import type { Tables } from './store-tables.ts'

export interface PostgresStoreOptions {
  /** `postgres://…`, one that `storeProblem` finds nothing wrong with. */
  readonly url: string
  /** Samples that may wait for a verdict; more are refused. */
  readonly queueLimit: number
  readonly log: Log
}

/** Keys of advisory locks; the first number keeps them apart from those of others on the server. */
const OURS = 0x62_61_6c
const LOCKS = { opening: 1, leases: 2, events: 3 } as const
/** Leases that ended and are looked after by one taking. */
const LEASES_AT_A_TIME = 100
const DEADLOCK_DETECTED = '40P01'
const SERIALIZATION_FAILURE = '40001'
const ATTEMPTS = 5

/**
 * Connects and brings the tables up to date; processes that start together wait for each other.
 * @throws Error naming server and database, not the password, when it cannot be used.
 */
export async function openPostgresStore(options: PostgresStoreOptions): Promise<PostgresStore> {
  const { url, queueLimit, log } = options
  const place = postgresPlace(url)
  const pool = openPool(place, log)
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: kyselyPool(pool) }) })
  const jobs = new SampleJobs(place, log)
  try {
    await db.transaction().execute(async (transaction) => {
      await lock(transaction, 'opening')
      await migrate(db, place.schema)
      await jobs.start()
    })
    return new PostgresStore(db.withSchema(place.schema), jobs, queueLimit)
  } catch (error) {
    await jobs.stop().catch(() => {})
    await db.destroy()
    throw new Error(`the store ${shownStore(url)} cannot be opened: ${reasonOf(error)}`, { cause: error })
  }
}

/** Makes the schema, too. The caller holds the lock for it. */
async function migrate(db: Kysely<Tables>, schema: string): Promise<void> {
  const migrator = new Migrator({
    db,
    migrationTableSchema: schema,
    provider: { getMigrations: async () => migrations(schema) },
  })
  const { error } = await migrator.migrateToLatest()
  if (error !== undefined) throw error
}

/** Waits for a lock that is held until the transaction ends. */
async function lock(transaction: Transaction<Tables>, name: keyof typeof LOCKS): Promise<void> {
  await sql`select pg_advisory_xact_lock(${sql.lit(OURS)}, ${sql.lit(LOCKS[name])})`.execute(transaction)
}

/** The server's clock, in milliseconds since the epoch: processes on several machines need not agree on the time. */
const NOW = sql<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint`
/** When the transaction began: the same in all of a statement, so that an index can be looked up with it. */
const BEGUN = sql<number>`(extract(epoch from now()) * 1000)::bigint`

export class PostgresStore extends QueuedStore {
  private readonly jobs: SampleJobs

  constructor(db: Kysely<Tables>, jobs: SampleJobs, queueLimit: number) {
    super(db, queueLimit)
    this.jobs = jobs
  }

  async take(max: number, leaseMs: number, checks?: readonly string[]): Promise<LeasedSample[]> {
    if (checks?.length === 0) return []
    return await this.transact(async (transaction) => {
      await this.endLeases(transaction)
      const jobs = await this.jobs.fetch(transaction, max, checks)
      if (jobs.length === 0) return []
      const ids = jobs.map(({ sampleId }) => sampleId)
      const takings = jobs.map(({ taking }) => taking)
      await lockSamples(transaction, ids)
      const rows = await transaction
        .updateTable('samples')
        .set((eb) => ({
          visible_at: sql<number>`${NOW} + ${leaseMs}::bigint`,
          attempts: eb('attempts', '+', 1),
          takings: sql<number>`(select job.n from unnest(${ids}::text[], ${takings}::int[]) job(id, n) where job.id = samples.id)`,
        }))
        .where('id', 'in', ids)
        .where('done', '=', sql.lit(0))
        .returningAll()
        .execute()
      const taken = new Set(rows.map(({ id }) => id))
      // Their sample is gone or judged: somebody deleted rows by hand.
      await this.jobs.forget(
        transaction,
        jobs.filter(({ sampleId }) => !taken.has(sampleId)),
      )
      return leasedSamples(rows)
    })
  }

  async extend(leased: readonly LeasedSample[], leaseMs: number): Promise<LeasedSample[]> {
    if (leased.length === 0) return []
    return await this.transact(async (transaction) => {
      await lockSamples(
        transaction,
        leased.map(({ sample }) => sample.id),
      )
      const kept: LeasedSample[] = []
      for (const it of leased) {
        const { numUpdatedRows } = await transaction
          .updateTable('samples')
          .set({ visible_at: sql<number>`${NOW} + ${leaseMs}::bigint` })
          .where('id', '=', it.sample.id)
          .where('takings', '=', it.taking)
          .where('done', '=', sql.lit(0))
          .where('visible_at', '>', 0)
          .executeTakeFirst()
        if (numUpdatedRows > 0n) kept.push(it)
      }
      return kept
    })
  }

  async retry(leased: LeasedSample, delayMs: number): Promise<void> {
    await this.transact((transaction) => this.putBack(transaction, leased, delayMs, 0))
  }

  async release(leased: readonly LeasedSample[], delayMs = 0): Promise<void> {
    if (leased.length === 0) return
    const inOrder = leased.toSorted((a, b) => (a.sample.id < b.sample.id ? -1 : 1))
    await this.transact(async (transaction) => {
      await this.jobs.lock(transaction, inOrder.map(heldAs))
      for (const it of inOrder) await this.putBack(transaction, it, delayMs, 1)
    })
  }

  /** Whoever's lease ended may still say how long to wait, until somebody else has it. @param uncounted attempts. */
  private async putBack(
    transaction: Transaction<Tables>,
    leased: LeasedSample,
    delayMs: number,
    uncounted: number,
  ): Promise<void> {
    const held = heldAs(leased)
    await this.jobs.putBack(transaction, [held])
    const { numUpdatedRows } = await transaction
      .updateTable('samples')
      .set((eb) => ({ visible_at: 0, attempts: eb('attempts', '-', uncounted) }))
      .where('id', '=', held.sampleId)
      .where('takings', '=', held.taking)
      .where('done', '=', sql.lit(0))
      .executeTakeFirst()
    if (numUpdatedRows > 0n && delayMs > 0) await this.jobs.delay(transaction, held, delayMs)
  }

  override async close(): Promise<void> {
    await this.jobs.stop()
    await super.close()
  }

  protected async writing<T>(run: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await run()
      } catch (error) {
        const { code } = error as { code?: unknown }
        if ((code !== DEADLOCK_DETECTED && code !== SERIALIZATION_FAILURE) || attempt === ATTEMPTS)
          throw error
      }
    }
  }

  override async offer(sample: Sample): Promise<boolean> {
    await this.jobs.prepare(sample.check)
    return await super.offer(sample)
  }

  /** It is nobody's. */
  protected firstVisible(): number {
    return 0
  }

  protected async enqueued(transaction: Transaction<Tables>, samples: readonly Sample[]): Promise<void> {
    await this.jobs.add(transaction, samples)
  }

  protected async judged(
    transaction: Transaction<Tables>,
    verdicts: readonly Pick<Verdict, 'sampleId' | 'check'>[],
  ): Promise<void> {
    await this.jobs.complete(transaction, verdicts)
  }

  protected override async waitingAgain(
    transaction: Transaction<Tables>,
    ids: readonly string[],
  ): Promise<void> {
    if (ids.length === 0) return
    const rows = await transaction
      .selectFrom('samples')
      .select(['id', 'check_id as check', 'requested_at as requestedAt'])
      .where('id', 'in', ids)
      .execute()
    for (const row of rows) await this.jobs.addAgain(transaction, row)
    await transaction.updateTable('samples').set({ takings: 0 }).where('id', 'in', ids).execute()
  }

  protected async ordered(transaction: Transaction<Tables>): Promise<void> {
    await lock(transaction, 'events')
  }

  /** Puts back what was held for longer than its lease. One taker at a time does. */
  private async endLeases(transaction: Transaction<Tables>): Promise<void> {
    const ended = () =>
      transaction
        .selectFrom('samples')
        .select(['id as sampleId', 'check_id as check', 'takings as taking'])
        .where('done', '=', sql.lit(0))
        .where('visible_at', '>', sql.lit(0))
        .where('visible_at', '<=', BEGUN)
    const found = await ended().orderBy('visible_at').limit(LEASES_AT_A_TIME).execute()
    if (found.length === 0) return
    const { rows } = await sql<{ mine: boolean }>`
      select pg_try_advisory_xact_lock(${sql.lit(OURS)}, ${sql.lit(LOCKS.leases)}) as mine`.execute(
      transaction,
    )
    if (rows[0]?.mine !== true) return
    await this.jobs.lock(transaction, found)
    // Those that were prolonged or judged until here are left alone.
    const ids = found.map(({ sampleId }) => sampleId)
    const still = await ended().where('id', 'in', ids).orderBy('id').forNoKeyUpdate().execute()
    if (still.length === 0) return
    await this.jobs.putBack(transaction, still)
    await transaction
      .updateTable('samples')
      .set({ visible_at: 0 })
      .where(
        'id',
        'in',
        still.map(({ sampleId }) => sampleId),
      )
      .execute()
  }
}

function heldAs({ sample, taking }: LeasedSample): Held {
  return { sampleId: sample.id, check: sample.check, taking }
}

/** In a fixed order. Not against verdicts that refer to them, which take the job before the sample, too. */
async function lockSamples(transaction: Transaction<Tables>, ids: readonly string[]): Promise<void> {
  await transaction
    .selectFrom('samples')
    .select('id')
    .where('id', 'in', ids)
    .orderBy('id')
    .forNoKeyUpdate()
    .execute()
}
