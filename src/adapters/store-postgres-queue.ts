/**
 * The jobs of `store-postgres.ts`, on pg-boss: which samples wait, in which order, from when on, who holds which attempt.
 * Every call runs in the caller's transaction. How long a sample is held is in `samples`, since pg-boss has one length
 * for all jobs of a queue and looks for expired ones once a minute.
 */
import { hash } from 'node:crypto'
import type { Transaction } from 'kysely'
import { fromKysely, PgBoss } from 'pg-boss'
import type { LeasedSample, Log } from '../domain/ports.ts'
import type { Sample } from '../domain/sample.ts'
import type { PostgresPlace } from './store-postgres-connection.ts'
import type { Tables } from './store-tables.ts'
import { restoredText, storableText } from './store-text.ts'

const QUEUE = 'samples'
/** For its upkeep alone; jobs are written through the store's own connections. */
const CONNECTIONS = 2
const DAY_S = 86_400
/** As far as the columns reach: how often a sample is tried and how long it is kept is the judge's to say. */
const NO_LIMIT = 2_147_483_647
const KEPT_WAITING_S = 10 * 365 * DAY_S
const KEPT_DONE_S = 3_600

/** What pg-boss hands out. */
export interface SampleJob {
  readonly id: string
  readonly sampleId: string
  /** This taking included. */
  readonly attempts: number
}

export type Held = Pick<LeasedSample, 'attempts'> & { readonly sampleId: string }

export class SampleJobs {
  private readonly boss: PgBoss

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
    const options = {
      retryLimit: NO_LIMIT,
      retentionSeconds: KEPT_WAITING_S,
      deleteAfterSeconds: KEPT_DONE_S,
      // The most it allows. A sample that is held for longer may be taken again.
      expireInSeconds: DAY_S,
    }
    if ((await this.boss.getQueue(QUEUE)) === null) await this.boss.createQueue(QUEUE, options)
  }

  async stop(): Promise<void> {
    await this.boss.stop({ graceful: false })
  }

  async add(transaction: Transaction<Tables>, { id, requestedAt }: Sample): Promise<void> {
    const job = { id: jobId(id), data: { sample: storableText(id) }, priority: priorityOf(requestedAt) }
    await this.boss.insert(QUEUE, [job], { db: fromKysely(transaction) })
  }

  /** Takes up to `max`, oldest first to the second; no other taker has the same ones. */
  async fetch(transaction: Transaction<Tables>, max: number): Promise<SampleJob[]> {
    const options = { batchSize: max, db: fromKysely(transaction) }
    const jobs = await this.boss.fetch<{ sample: string }>(QUEUE, options)
    return jobs.map(({ id, data, retryCount }) => ({
      id,
      sampleId: restoredText(data.sample),
      attempts: retryCount + 1,
    }))
  }

  /** Locks the jobs that are still held as given. */
  async lock(transaction: Transaction<Tables>, held: readonly Held[]): Promise<void> {
    await this.boss.touch(QUEUE, held.map(attemptOf), { db: fromKysely(transaction) })
  }

  /** Puts those that are still held as given back, to be taken at once. */
  async putBack(transaction: Transaction<Tables>, held: readonly Held[]): Promise<void> {
    await this.boss.fail(QUEUE, held.map(attemptOf), undefined, { db: fromKysely(transaction) })
  }

  /** Lets one that waits wait for so long from now on. */
  async delay(transaction: Transaction<Tables>, sampleId: string, delayMs: number): Promise<void> {
    const options = { id: jobId(sampleId), startAfter: delayMs / 1_000, db: fromKysely(transaction) }
    await this.boss.update(QUEUE, undefined, options)
  }

  /** Ends them, held or not. */
  async complete(transaction: Transaction<Tables>, sampleIds: readonly string[]): Promise<void> {
    const options = { includeQueued: true, db: fromKysely(transaction) }
    await this.boss.complete(QUEUE, sampleIds.map(jobId), undefined, options)
  }
}

function attemptOf({ sampleId, attempts }: Held) {
  return { id: jobId(sampleId), retryCount: attempts - 1 }
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
