/**
 * Makes samples of finished exchanges and stores them, and exposures with them: reads bodies and answers, hashes units.
 * Run by the back office (`node/back-office.ts`), away from requests; on Workers behind the answer (`worker/hand-over.ts`).
 */
import { createHmac } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import type { Log, Redactor } from '../domain/ports.ts'
import { RepeatedWarning } from '../domain/repeated-warning.ts'
import { type DrawnOutcome, questionOf, type Sample } from '../domain/sample.ts'
import type { ExposureBatch, Queue, Store } from '../domain/store.ts'
import { surfaceNamed } from '../policy/surfaces.ts'
import { admission, isAdmitted } from '../policy/thinning.ts'
import { readAnswer } from './answer.ts'
import type { CountedExposures } from './exposure-counts.ts'
import type { ExchangeFacts } from './record.ts'
import { redactSample } from './redact.ts'
import { decompress } from './tap.ts'

/** A finished exchange, each body in one piece. */
export interface FiledExchange extends ExchangeFacts {
  /** As the client sent it. */
  readonly body: Uint8Array
  /** The answer as the upstream sent it. */
  readonly answer: Uint8Array
}

export interface FilingDeps {
  /** What units are hashed with before they are stored. */
  readonly unitKey: () => string
  /** What samples go through before they are stored, if anything. */
  readonly redactor: () => Redactor | null
  readonly store: Store
  readonly queue: Queue
  readonly log: Log
}

const QUEUE_FULL = "the judge's queue is full: what is drawn is dropped until it has room"
const WARN_EVERY_MS = 60_000

export class Filing {
  private readonly deps: FilingDeps
  private batches: ExposureBatch[] = []
  private writing: Promise<void> = Promise.resolve()
  /** Of what came since `writing` began. */
  private next: Promise<void> | null = null
  private readonly full: RepeatedWarning

  constructor(deps: FilingDeps) {
    this.deps = deps
    this.full = new RepeatedWarning(deps.log, QUEUE_FULL, WARN_EVERY_MS)
  }

  /** Stores exposures, with all that come in while the store is busy. Rejects when they were not stored. */
  expose(exposures: readonly CountedExposures[]): Promise<void> {
    for (const { unitHashes, ...counts } of exposures)
      this.batches.push({ ...counts, units: unitHashes.map((it) => this.keyed(it)) })
    this.next ??= this.writing
      .catch(() => {})
      .then(() => {
        const batches = this.batches
        this.batches = []
        this.next = null
        this.writing = this.deps.store.addExposures(batches)
        return this.writing
      })
    return this.next
  }

  /** Stores a sample, behind the exposures given before. Never rejects. */
  async file(exchange: FiledExchange): Promise<DrawnOutcome> {
    const exposed = this.next ?? this.writing
    try {
      await setImmediate()
      return await this.store(exchange, exposed)
    } catch (error) {
      if ((error as { code?: unknown }).code === 'ERR_SAMPLE_TOO_LARGE') return 'too_large'
      this.deps.log.error({ err: error, sample: exchange.sample.id }, 'a sample could not be stored')
      return 'store_error'
    }
  }

  private async store(exchange: FiledExchange, exposed: Promise<void>): Promise<DrawnOutcome> {
    const { sample, surface } = exchange
    const answer = this.readAnswer(exchange)
    if (typeof answer !== 'object') return answer
    const { buffer, byteOffset, length } = exchange.body
    const decoded = surfaceNamed(surface).decode(Buffer.from(buffer, byteOffset, length))
    const messages = decoded.messages()
    if (messages === null) return 'unreadable'
    // Whether they could be stored is told to whoever gave them.
    await exposed.catch(() => {})
    const probability = await this.admit(sample)
    if (probability === null) return 'thinned'
    const question = questionOf(messages)
    const whole: Sample = {
      ...sample,
      probability,
      unit: this.keyed(sample.unit),
      messages,
      question,
      questionHash: this.keyed(question),
      answer: answer.text,
    }
    const redactor = this.deps.redactor()
    const offered = await this.deps.queue.offer(
      redactor === null ? whole : await redactSample(whole, redactor),
    )
    if (offered) return 'stored'
    this.full.happened((samples) => ({ samples }))
    return 'queue_full'
  }

  /**
   * Thins what was drawn while the queue is more than half full.
   * @returns with what probability the sample is here, all in all; null: it is not.
   */
  private async admit({ id, check, probability, extra }: ExchangeFacts['sample']): Promise<number | null> {
    if ((extra ?? null) !== null) return probability
    const { waiting, limit } = await this.deps.queue.fill()
    const share = waiting >= limit ? 1 : admission(waiting, limit)
    return isAdmitted(check, id, share) ? probability * share : null
  }

  private readAnswer({ surface, answer, encoding, streamed, sample }: FiledExchange) {
    try {
      return readAnswer(surface, decompress(answer, encoding), streamed)
    } catch (error) {
      this.deps.log.warn({ err: error, sample: sample.id }, 'a sampled answer could not be read')
      return (error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE' ? 'too_large' : 'unreadable'
    }
  }

  /**
   * A unit or question as it is stored. Whoever has the store and guesses a user's name could confirm it by the hash that
   * assignment uses, and a question by any hash of it; not by this one, without the key.
   */
  private keyed(text: string): string {
    return createHmac('sha256', this.deps.unitKey()).update(text).digest('hex').slice(0, 32)
  }
}
