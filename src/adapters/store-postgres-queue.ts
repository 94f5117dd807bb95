/**
 * The jobs of `store-postgres.ts`, on pg-boss: which samples wait, in which order, from when on, who has taken which.
 * Every call runs in the caller's transaction. How long a sample is held is in `samples`, since pg-boss has one length
 * for all jobs of a queue and looks for expired ones once a minute.
 */
import { hash } from 'node:crypto'
import type { Transaction } from 'kysely'
import { fromKysely, PgBoss } from 'pg-boss'
import type { Log } from '../domain/ports.ts'
import type { Sample } from '../domain/sample.ts'
import type { PostgresPlace } from './store-postgres-connection.ts'
import type { Tables } from './store-tables.ts'
import { restoredText, storableText } from './store-text.ts'

/** A queue for each check: samples of some checks can be taken while those of others wait. */
const PREFIX = 'samples'
/** For its upkeep alone; jobs are written through the store's own connections. */
const CONNECTIONS = 2
const DAY_S = 86_400
/** As far as the columns reach: how often a sample is tried and how long it is kept is the judge's to say. */
const NO_LIMIT = 2_147_483_647
const KEPT_WAITING_S = 10 * 365 * DAY_S
const KEPT_DONE_S = 3_600
const QUEUE_OPTIONS = {
  retryLimit: NO_LIMIT,
  retentionSeconds: KEPT_WAITING_S,
  deleteAfterSeconds: KEPT_DONE_S,
  // The most it allows. A sample that is held for longer may be taken again.
  expireInSeconds: DAY_S,
}

/** What pg-boss hands out. */
export interface SampleJob {
  readonly sampleId: string
  readonly queue: string
  /** How often it was taken, this time included. */
  readonly taking: number
}

export interface Held {
  readonly sampleId: string
  readonly check: string
  readonly taking: number
}

export class SampleJobs {
  private readonly boss: PgBoss
  private queues: ReadonlySet<string> = new Set()
  /** Where to begin, so that no queue always comes first. */
  private turn = 0

  constructor({ schema, connection }: PostgresPlace, log: Log) {
    this.boss = new PgBoss({
      ...connection,
      max: CONNECTIONS,
      // In a schema of their own, so that neither's upgrade meets the other's tables.
      schema: `${schema}_jobs`,
      schedule: false,
      registerInstance: false,
    })
    this.boss.on('error', (error) => log.warn({ err: error }, "the queue's upkeep failed; it is tried again"))
  }

  /** Brings its tables up to date. Rejects when the server cannot be used. */
  async start(): Promise<void> {
    await this.boss.start()
    await this.look()
  }

  async stop(): Promise<void> {
    await this.boss.stop({ graceful: false })
  }

  /** Makes a check's queue, if it is not there. Before the transaction that adds to it. */
  async prepare(check: string): Promise<void> {
    const queue = queueOf(check)
    if (this.queues.has(queue)) return
    if ((await this.boss.getQueue(queue)) === null) await this.boss.createQueue(queue, QUEUE_OPTIONS)
    this.queues = new Set([...this.queues, queue])
  }

  async add(
    transaction: Transaction<Tables>,
    samples: readonly Pick<Sample, 'id' | 'check' | 'requestedAt'>[],
  ): Promise<void> {
    for (const [check, its] of Map.groupBy(samples, ({ check }) => check)) {
      const jobs = its.map(({ id, requestedAt }) => ({
        id: jobId(id),
        data: { sample: storableText(id) },
        priority: priorityOf(requestedAt),
      }))
      await this.boss.insert(queueOf(check), jobs, { db: fromKysely(transaction) })
    }
  }

  /** For one whose job has ended. */
  async addAgain(
    transaction: Transaction<Tables>,
    sample: Pick<Sample, 'id' | 'check' | 'requestedAt'>,
  ): Promise<void> {
    await this.boss.deleteJob(queueOf(sample.check), jobId(sample.id), { db: fromKysely(transaction) })
    await this.add(transaction, [sample])
  }

  /** Takes up to `max`, of each check the oldest first to the second; no other taker has the same ones. */
  async fetch(
    transaction: Transaction<Tables>,
    max: number,
    checks?: readonly string[],
  ): Promise<SampleJob[]> {
    const taken: SampleJob[] = []
    for (const queue of await this.queuesOf(checks)) {
      const options = { batchSize: max - taken.length, db: fromKysely(transaction) }
      for (const { data, retryCount } of await this.boss.fetch<{ sample: string }>(queue, options))
        taken.push({ sampleId: restoredText(data.sample), queue, taking: retryCount + 1 })
      if (taken.length >= max) break
    }
    return taken
  }

  /** Locks the jobs that are still held as given. */
  async lock(transaction: Transaction<Tables>, held: readonly Held[]): Promise<void> {
    for (const [queue, jobs] of byQueue(held))
      await this.boss.touch(queue, jobs.map(takingOf), { db: fromKysely(transaction) })
  }

  /** Puts those that are still held as given back, to be taken at once. */
  async putBack(transaction: Transaction<Tables>, held: readonly Held[]): Promise<void> {
    for (const [queue, jobs] of byQueue(held))
      await this.boss.fail(queue, jobs.map(takingOf), undefined, { db: fromKysely(transaction) })
  }

  /** Lets one that waits wait for so long from now on. */
  async delay(transaction: Transaction<Tables>, { sampleId, check }: Held, delayMs: number): Promise<void> {
    const options = { id: jobId(sampleId), startAfter: delayMs / 1_000, db: fromKysely(transaction) }
    await this.boss.update(queueOf(check), undefined, options)
  }

  /** Ends samples' jobs, held or not. */
  async complete(
    transaction: Transaction<Tables>,
    samples: readonly Pick<Held, 'sampleId' | 'check'>[],
  ): Promise<void> {
    for (const [queue, its] of byQueue(samples))
      await this.end(
        transaction,
        queue,
        its.map(({ sampleId }) => sampleId),
      )
  }

  /** Ends jobs that were fetched. */
  async forget(transaction: Transaction<Tables>, jobs: readonly SampleJob[]): Promise<void> {
    for (const [queue, of] of Map.groupBy(jobs, (job) => job.queue))
      await this.end(
        transaction,
        queue,
        of.map(({ sampleId }) => sampleId),
      )
  }

  private async end(
    transaction: Transaction<Tables>,
    queue: string,
    sampleIds: readonly string[],
  ): Promise<void> {
    const options = { includeQueued: true, db: fromKysely(transaction) }
    await this.boss.complete(queue, sampleIds.map(jobId), undefined, options)
  }

  private async queuesOf(checks?: readonly string[]): Promise<string[]> {
    await this.look()
    const wanted = checks?.map(queueOf).filter((queue) => this.queues.has(queue)) ?? [...this.queues]
    const first = wanted.length === 0 ? 0 : this.turn++ % wanted.length
    return [...wanted.slice(first), ...wanted.slice(0, first)]
  }

  /** Others may have made some. */
  private async look(): Promise<void> {
    const queues = await this.boss.getQueues()
    const ours = queues.map(({ name }) => name).filter((name) => name.startsWith(`${PREFIX}/`))
    this.queues = new Set(ours)
  }
}

function takingOf({ sampleId, taking }: Held) {
  return { id: jobId(sampleId), retryCount: taking - 1 }
}

/** Always in the same order: two transactions then cannot wait for each other. */
function byQueue<H extends Pick<Held, 'check'>>(held: readonly H[]): [string, H[]][] {
  return [...Map.groupBy(held, ({ check }) => queueOf(check))].sort(([a], [b]) => (a < b ? -1 : 1))
}

/** pg-boss allows fewer characters than a check's id may have. */
function queueOf(check: string): string {
  return `${PREFIX}/${hash('sha256', check, 'hex').slice(0, 16)}`
}

/** pg-boss wants a UUID: the hash of the sample's id as one of version 8 (RFC 9562), so that it needs no column. */
function jobId(sampleId: string): string {
  const hex = hash('sha256', sampleId, 'hex')
  const variant = ((Number.parseInt(hex[16]!, 16) & 0x3) | 0x8).toString(16)
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-')
}

/** pg-boss takes the highest first, and of equals the first stored. A column of 32 bits: seconds, until the year 2106. */
function priorityOf(requestedAt: number): number {
  return Math.max(-NO_LIMIT, Math.min(NO_LIMIT, NO_LIMIT - Math.floor(requestedAt / 1_000)))
}
