/**
 * Keeps what outlives a request: exposures, and the sampled exchanges on their way to the queue. Nothing here is
 * awaited by a request; memory is bounded, and what does not fit is counted.
 */
import { createHmac } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import type { Unit } from '../domain/experiment.ts'
import type { ExposureBatch, Log, Metrics, Queue, Redactor, Store } from '../domain/ports.ts'
import { type DrawnOutcome, questionOf, type Sample, type SampleOutcome } from '../domain/sample.ts'
import type { DecodedRequest, SurfaceName } from '../policy/surface.ts'
import { type ReadAnswer, readAnswer } from './answer.ts'
import { redactSample } from './redact.ts'
import { TAP_LIMIT, type Tap } from './tap.ts'

/** A finished exchange that was drawn for judging. Its `unit` is the hash that assignment uses. */
export interface SampledExchange {
  readonly sample: Omit<Sample, 'messages' | 'question' | 'answer'>
  readonly surface: SurfaceName
  readonly decoded: DecodedRequest
  readonly tap: Tap
  readonly encoding: string | null
  readonly streamed: boolean
}

/** Finished exchanges that may wait to be stored; each holds its bodies in memory. */
const MAX_WAITING = 256
const FLUSH_INTERVAL_MS = 1_000
/** Units remembered as stored, so that a unit is not written again with each request. */
const KNOWN_UNITS = 100_000

interface PendingExposures {
  experiment: string
  arm: string
  assignment: string
  exposures: number
  anonymousUnits: number
  units: Set<string>
}

/** An experiment as far as its exposures go. */
interface Exposed {
  readonly name: string
  readonly assignment: string
}

function keyOf({
  experiment,
  arm,
  assignment,
}: Pick<PendingExposures, 'experiment' | 'arm' | 'assignment'>): string {
  return `${experiment}\0${arm}\0${assignment}`
}

export interface RecorderDeps {
  /** What units are hashed with before they are stored. */
  readonly unitKey: () => string
  /** What samples go through before they are stored, if anything. */
  readonly redactor?: () => Redactor | null
  readonly store: Store
  readonly queue: Queue
  readonly metrics: Metrics
  readonly log: Log
}

export class Recorder {
  private readonly deps: RecorderDeps
  private readonly exposures = new Map<string, PendingExposures>()
  private readonly knownUnits = new LRUCache<string, true>({ max: KNOWN_UNITS })
  private readonly storing = new Set<Promise<void>>()
  private readonly timer: NodeJS.Timeout

  constructor(deps: RecorderDeps) {
    this.deps = deps
    this.timer = setInterval(() => void this.flush(), FLUSH_INTERVAL_MS).unref()
  }

  /** Counts one request served under an arm. @param unitHash the hash that assignment uses. */
  expose(experiment: Exposed, arm: string, source: Unit['source'], unitHash: string): void {
    const { name, assignment } = experiment
    this.deps.metrics.exposure(name, arm)
    const key = keyOf({ experiment: name, arm, assignment })
    let pending = this.exposures.get(key)
    if (pending === undefined) {
      pending = { experiment: name, arm, assignment, exposures: 0, anonymousUnits: 0, units: new Set() }
      this.exposures.set(key, pending)
    }
    pending.exposures++
    if (source === 'request') pending.anonymousUnits++
    else {
      const known = assignment + unitHash
      if (this.knownUnits.has(known)) return
      this.knownUnits.set(known, true)
      pending.units.add(this.keyed(unitHash))
    }
  }

  /**
   * A unit or question as it is stored. Whoever has the store and guesses a user's name could confirm it by the hash that
   * assignment uses, and a question by any hash of it; not by this one, without the key.
   */
  private keyed(text: string): string {
    return createHmac('sha256', this.deps.unitKey()).update(text).digest('hex').slice(0, 32)
  }

  /** Takes a finished exchange to be stored later. */
  keep(exchange: SampledExchange): void {
    if (this.storing.size >= MAX_WAITING) return this.count(exchange, 'overload')
    const task = this.store(exchange)
      .catch((error: unknown): DrawnOutcome => {
        this.deps.log.error({ err: error, sample: exchange.sample.id }, 'a sample could not be stored')
        return 'store_error'
      })
      .then((outcome) => {
        this.storing.delete(task)
        this.count(exchange, outcome)
      })
    this.storing.add(task)
  }

  /** Counts an exchange that was drawn but cannot be judged. */
  lose(experiment: string, arm: string, outcome: SampleOutcome): void {
    this.deps.metrics.sample(experiment, arm, outcome)
  }

  /** Writes the exposures counted so far; they are kept for the next time when the store fails. */
  async flush(): Promise<void> {
    if (this.exposures.size === 0) return
    const pending = [...this.exposures.values()]
    this.exposures.clear()
    const batches: ExposureBatch[] = pending.map((it) => ({ ...it, units: [...it.units] }))
    try {
      await this.deps.store.addExposures(batches)
    } catch (error) {
      this.deps.log.error({ err: error }, 'exposures could not be stored; they will be tried again')
      for (const it of pending) this.putBack(it)
    }
  }

  private putBack(pending: PendingExposures): void {
    const key = keyOf(pending)
    const newer = this.exposures.get(key)
    if (newer === undefined) {
      this.exposures.set(key, pending)
      return
    }
    newer.exposures += pending.exposures
    newer.anonymousUnits += pending.anonymousUnits
    for (const unit of pending.units) newer.units.add(unit)
  }

  /** Resolves when everything taken so far is stored or counted as lost. */
  async settle(): Promise<void> {
    while (this.storing.size > 0) await Promise.all(this.storing)
    await this.flush()
  }

  async close(): Promise<void> {
    clearInterval(this.timer)
    await this.settle()
  }

  private async store(exchange: SampledExchange): Promise<DrawnOutcome> {
    await setImmediate()
    const { tap, surface, decoded } = exchange
    let answer: ReadAnswer
    try {
      answer = readAnswer(surface, await tap.read(exchange.encoding), exchange.streamed)
    } catch (error) {
      this.deps.log.warn({ err: error, sample: exchange.sample.id }, 'a sampled answer could not be read')
      return (error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE' ? 'too_large' : 'unreadable'
    }
    if (typeof answer !== 'object') return answer
    if (decoded.size > TAP_LIMIT) return 'too_large'
    const messages = decoded.messages()
    if (messages === null) return 'unreadable'
    const question = questionOf(messages)
    const whole: Sample = {
      ...exchange.sample,
      unit: this.keyed(exchange.sample.unit),
      messages,
      question,
      questionHash: this.keyed(question),
      answer: answer.text,
    }
    const redactor = this.deps.redactor?.() ?? null
    const sample = redactor === null ? whole : await redactSample(whole, redactor)
    // A sample must not be known of an arm whose exposure is not.
    await this.flush()
    return (await this.deps.queue.offer(sample)) ? 'stored' : 'queue_full'
  }

  private count({ sample }: SampledExchange, outcome: DrawnOutcome): void {
    const { experiment, arm, extra } = sample
    this.deps.metrics.sample(experiment, arm, (extra ?? null) === null ? outcome : `extra_${outcome}`)
  }
}
