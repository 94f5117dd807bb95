/** The bounded side of the `Queue` port, the same on every SQL engine. Completed by `store-sqlite.ts` and `store-postgres.ts`. */
import DataLoader from 'dataloader'
import type { Kysely, Transaction } from 'kysely'
import type { Sample } from '../domain/sample.ts'
import type { LeasedSample, Queue, QueueFill, QueueStatus } from '../domain/store.ts'
import type { Verdict } from '../domain/verdict.ts'
import { type Judged, SqlStore } from './store-queries.ts'
import type { Tables } from './store-tables.ts'
import { queueStatus } from './store-waiting.ts'

/** The number of waiting samples is counted anew this often and kept up in between. */
const RECOUNT_MS = 1_000
/** Samples or verdicts that one transaction stores. */
const STORED_TOGETHER = 64
const TOGETHER = { cache: false, maxBatchSize: STORED_TOGETHER, batchScheduleFn: setImmediate }

export abstract class QueuedStore extends SqlStore implements Queue {
  private queueLimit: number
  private waiting = 0
  /** Being stored, and so not counted yet. */
  private offered = 0
  private countedAt = Number.NEGATIVE_INFINITY
  private counting: Promise<unknown> | null = null
  /** Stores what is offered in one turn of the event loop in one transaction; tells of each sample whether it was new. */
  private readonly storing = new DataLoader<Sample, boolean>(
    (samples) => togetherOrAlone(samples, (some) => this.store(some)),
    TOGETHER,
  )
  /** The same of verdicts: tells of each whether it was its sample's first. */
  private readonly judging = new DataLoader<Judged, boolean>(
    (judged) =>
      togetherOrAlone(judged, (some) =>
        this.transact((transaction) => this.insertVerdicts(transaction, some)),
      ),
    TOGETHER,
  )

  constructor(db: Kysely<Tables>, queueLimit: number) {
    super(db)
    this.queueLimit = queueLimit
  }

  abstract take(max: number, leaseMs: number, checks?: readonly string[]): Promise<LeasedSample[]>
  abstract extend(leased: readonly LeasedSample[], leaseMs: number): Promise<LeasedSample[]>
  abstract retry(leased: LeasedSample, delayMs: number): Promise<void>
  abstract release(leased: readonly LeasedSample[], delayMs?: number): Promise<void>
  /** Called when samples were stored, within their transaction. */
  protected abstract enqueued(transaction: Transaction<Tables>, samples: readonly Sample[]): Promise<void>

  /** Takes no more than this many waiting samples from now on. */
  limitQueue(limit: number): void {
    this.queueLimit = limit
  }

  async offer(sample: Sample): Promise<boolean> {
    await this.fill()
    // One that is offered again, because nobody knew whether it was stored, is not refused.
    if (this.waiting + this.offered >= this.queueLimit) return await this.has(sample.id)
    this.offered++
    try {
      if (await this.storing.load(sample)) this.waiting++
      return true
    } finally {
      this.offered--
    }
  }

  private async store(samples: readonly Sample[]): Promise<boolean[]> {
    return await this.transact(async (transaction) => {
      const added = await this.insertSamples(transaction, samples)
      if (added.length > 0) await this.enqueued(transaction, added)
      return samples.map((sample) => added.includes(sample))
    })
  }

  async fill(): Promise<QueueFill> {
    if (performance.now() - this.countedAt > RECOUNT_MS) {
      this.counting ??= this.status().finally(() => {
        this.counting = null
      })
      await this.counting
    }
    return { waiting: this.waiting + this.offered, limit: this.queueLimit }
  }

  async status(): Promise<QueueStatus> {
    const status = await queueStatus(this.db)
    this.waiting = status.depth
    this.countedAt = performance.now()
    return status
  }

  async addVerdict(verdict: Verdict, eraseText = false): Promise<boolean> {
    const added = await this.judging.load({ verdict, eraseText })
    if (added) this.waiting--
    return added
  }

  private async has(sampleId: string): Promise<boolean> {
    const row = await this.db.selectFrom('samples').select('id').where('id', '=', sampleId).executeTakeFirst()
    return row !== undefined
  }
}

/** Where they cannot be stored together, each is tried alone: one may be what the others failed of. */
async function togetherOrAlone<T>(
  all: readonly T[],
  store: (some: readonly T[]) => Promise<boolean[]>,
): Promise<(boolean | Error)[]> {
  try {
    return await store(all)
  } catch (error) {
    if (all.length === 1) return [error as Error]
    // At once: where it is the store, each waits for it for as long as one does.
    return (await Promise.all(all.map((it) => togetherOrAlone([it], store)))).flat()
  }
}
