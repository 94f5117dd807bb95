/**
 * The `Store`, `Queue` and `Archive` ports on Cloudflare's D1, for Workers: the tables and queries of `store-sqlite.ts`, with
 * batches in place of transactions. Composed by `worker/`, anew wherever it is used: it keeps nothing.
 */
import type { D1Database } from '@cloudflare/workers-types'
import type { Sample } from '../domain/sample.ts'
import type {
  Archive,
  ArmEvent,
  ExposureBatch,
  LeasedSample,
  Queue,
  QueueFill,
  QueueStatus,
  SampleFilter,
  Store,
} from '../domain/store.ts'
import { type Scores, type Verdict, withoutTexts } from '../domain/verdict.ts'
import { judgedRows } from './store-archive.ts'
import { armEventRows } from './store-arm-events.ts'
import { openD1, patiently, runTogether } from './store-d1-connection.ts'
import {
  erasureStatements,
  exposureStatements,
  sampleStatements,
  verdictStatements,
} from './store-d1-writes.ts'
import { mergeExposures } from './store-exposures.ts'
import { delaySample, extendLeases, releaseSamples, takeSamples } from './store-sqlite-leases.ts'
import { StatementStore } from './store-statements.ts'
import { nextDue, queueStatus } from './store-waiting.ts'

export interface D1StoreOptions {
  readonly d1: D1Database
  /** Samples that may wait for a verdict; more are refused. */
  readonly queueLimit: number
}

/** D1 stores rows of up to 2,000,000 bytes; this much of one is for texts. */
const LARGEST_TEXTS = 1_900_000
/** Each is two statements of a batch. */
const ERASED_TOGETHER = 20
/** Others may be faster so often when an event is stored. */
const EVENT_ATTEMPTS = 50
const TAKEN = /UNIQUE constraint failed: arm_events/

/** Such a sample cannot be stored; its `code` is `ERR_SAMPLE_TOO_LARGE`. */
class SampleTooLarge extends Error {
  readonly code = 'ERR_SAMPLE_TOO_LARGE'
}

export class D1Store extends StatementStore implements Store, Queue, Omit<Archive, 'rejudge'> {
  private readonly d1: D1Database
  private queueLimit: number
  protected override readonly erasedAtATime = ERASED_TOGETHER

  constructor({ d1, queueLimit }: D1StoreOptions) {
    super(openD1(d1))
    this.d1 = d1
    this.queueLimit = queueLimit
  }

  /** Takes no more than this many waiting samples from now on. */
  limitQueue(limit: number): void {
    this.queueLimit = limit
  }

  /** The limit holds however many offer at the same time. Rejects with `ERR_SAMPLE_TOO_LARGE` what D1 cannot hold. */
  async offer(sample: Sample): Promise<boolean> {
    const { messages, question, answer, model } = sample
    const bytes = Buffer.byteLength([JSON.stringify(messages), question, answer, model].join(''))
    if (bytes > LARGEST_TEXTS)
      throw new SampleTooLarge(`a sample has ${bytes} bytes; D1 holds ${LARGEST_TEXTS}`)
    const statements = sampleStatements(this.db, sample, this.queueLimit)
    const rows = await patiently(() => runTogether(this.d1, statements))
    return rows.at(-1)!.length > 0
  }

  take(max: number, leaseMs: number, checks?: readonly string[]): Promise<LeasedSample[]> {
    // Not tried again: what was taken unheard of would wait for its lease to end, and this would take more.
    return takeSamples(this.db, max, leaseMs, checks)
  }

  extend(leased: readonly LeasedSample[], leaseMs: number): Promise<LeasedSample[]> {
    return patiently(() => extendLeases(this.db, leased, leaseMs))
  }

  retry(leased: LeasedSample, delayMs: number): Promise<void> {
    return patiently(() => delaySample(this.db, leased, delayMs))
  }

  release(leased: readonly LeasedSample[], delayMs = 0): Promise<void> {
    // Not tried again: an attempt would be taken back twice.
    return releaseSamples(this.db, leased, delayMs, (run) => run())
  }

  status(): Promise<QueueStatus> {
    return queueStatus(this.db)
  }

  async fill(): Promise<QueueFill> {
    const limit = this.queueLimit
    // Nobody counts what may be any number.
    return { waiting: Number.isFinite(limit) ? (await this.status()).depth : 0, limit }
  }

  /** When the first of those that wait may be taken, milliseconds since the epoch; null: none waits. */
  nextDue(): Promise<number | null> {
    return nextDue(this.db)
  }

  async addVerdict(verdict: Verdict, eraseText = false): Promise<boolean> {
    const scores = eraseText ? withoutTexts(verdict.scores) : verdict.scores
    const { statements, first } = verdictStatements(this.db, { ...verdict, scores }, eraseText)
    const rows = await patiently(() => runTogether(this.d1, statements))
    const added = rows[first]!.length > 0
    // Somebody was first, and may have kept what the judge wrote.
    if (!added && eraseText) await this.eraseJudged({ ids: [verdict.sampleId] }, 1)
    return added
  }

  async addExposures(batches: readonly ExposureBatch[]): Promise<void> {
    const merged = mergeExposures(batches)
    if (merged.length > 0) await runTogether(this.d1, exposureStatements(this.db, merged))
  }

  async addArmEvent(event: ArmEvent): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const all = await this.db.selectFrom('arm_events').selectAll().orderBy('seq').execute()
      const added = armEventRows(event, all)
      if (added.length === 0) return
      try {
        await this.db.insertInto('arm_events').values(added).execute()
        return
      } catch (error) {
        // Somebody else has that number, or stored the same event.
        if (attempt === EVENT_ATTEMPTS || !TAKEN.test((error as Error).message)) throw error
      }
    }
  }

  protected async eraseJudged(filter: SampleFilter, most: number): Promise<number> {
    const found = await judgedRows(this.db, filter, most).where('samples.erased', '=', 0).execute()
    const each = found.map(({ id, scores: given }) => {
      const left = JSON.stringify(withoutTexts(JSON.parse(given) as Scores))
      return erasureStatements(this.db, id, { given, left })
    })
    if (each.length === 0) return 0
    const rows = await patiently(() => runTogether(this.d1, each.flat()))
    return rows.filter((it, index) => index % 2 === 1 && it.length > 0).length
  }

  protected writing<T>(run: () => Promise<T>): Promise<T> {
    return patiently(run)
  }
}
