/**
 * Keeps what outlives a request: counts exposures, and hands sampled exchanges over to be stored elsewhere. Nothing here is
 * awaited by a request; memory is bounded, and what does not fit is counted.
 */
import type { Unit } from '../domain/experiment.ts'
import type { Log, Metrics } from '../domain/ports.ts'
import type { DrawnOutcome, Sample, SampleOutcome } from '../domain/sample.ts'
import type { SurfaceName } from '../policy/surface.ts'
import { type CountedExposures, type Exposed, ExposureCounts } from './exposure-counts.ts'
import { TAP_LIMIT, type Tap } from './tap.ts'

/** What is known of a finished exchange. */
export interface ExchangeFacts {
  /** Its `unit` is the hash that assignment uses. */
  readonly sample: Omit<Sample, 'messages' | 'question' | 'answer'>
  readonly surface: SurfaceName
  /** The answer's `content-encoding`. */
  readonly encoding: string | null
  readonly streamed: boolean
}

/** A finished exchange that was drawn for judging. */
export interface SampledExchange extends ExchangeFacts {
  /** As the client sent it. */
  readonly body: Uint8Array
  readonly tap: Tap
}

/** Where it is kept, out of the requests' way. What is given first is stored first. */
export interface Keeper {
  /** Rejects when they were not stored. */
  expose(exposures: readonly CountedExposures[]): Promise<void>
  /** Resolves with what became of it. */
  keep(exchange: SampledExchange): Promise<DrawnOutcome>
}

/** Finished exchanges that may wait to be stored, and their bytes; each holds its bodies in memory. */
const MAX_WAITING = 512
const MAX_WAITING_BYTES = 64 * 1024 * 1024
const FLUSH_INTERVAL_MS = 1_000
/** Finished exchanges are handed over together: after so many milliseconds, or as soon as there are so many. */
const TOGETHER_MS = 250
const TOGETHER = 64
/** Units remembered as stored, so that a unit is not written again with each request. */
const KNOWN_UNITS = 100_000

function sizeOf({ body, tap }: SampledExchange): number {
  return body.length + tap.size
}

/** Where requests are recorded; nothing of it is awaited by a request. */
export interface Recording {
  /** Whether so many exchanges wait that another would be refused: its answer need not be kept. */
  readonly full: boolean
  /** Counts one request served under an arm. @param unitHash the hash that assignment uses. */
  expose(experiment: Exposed, arm: string, source: Unit['source'], unitHash: string): void
  /** Takes a finished exchange to be stored later. */
  keep(exchange: SampledExchange): void
  /** Counts an exchange that was drawn but cannot be judged. */
  lose(experiment: string, arm: string, outcome: SampleOutcome): void
}

export interface RecorderDeps {
  readonly keeper: Keeper
  readonly metrics: Metrics
  readonly log: Log
  /** Processes that hand over to one keeper: each may let such a part of it all wait. Default 1. */
  readonly processes?: number
}

export class Recorder implements Recording {
  private readonly deps: RecorderDeps
  private readonly exposures = new ExposureCounts(KNOWN_UNITS)
  /** Handed over and not acknowledged. */
  private storing = 0
  /** Resolves when there are none any more. */
  private stored: PromiseWithResolvers<void> | null = null
  /** To be handed over together. */
  private finished: SampledExchange[] = []
  private handingOver: NodeJS.Timeout | null = null
  private readonly flushing = new Set<Promise<void>>()
  private waitingBytes = 0
  private readonly timer: NodeJS.Timeout
  private readonly mostWaiting: number
  private readonly mostBytes: number

  constructor(deps: RecorderDeps) {
    this.deps = deps
    const { processes = 1 } = deps
    this.mostWaiting = Math.max(1, Math.floor(MAX_WAITING / processes))
    // One exchange of the largest fits, always.
    this.mostBytes = Math.max(2 * TAP_LIMIT, Math.floor(MAX_WAITING_BYTES / processes))
    this.timer = setInterval(() => {
      // While the keeper is busy they add up here.
      if (this.flushing.size === 0) this.flush()
    }, FLUSH_INTERVAL_MS).unref()
  }

  expose(experiment: Exposed, arm: string, source: Unit['source'], unitHash: string): void {
    this.deps.metrics.exposure(experiment.name, arm)
    this.exposures.count(experiment, arm, source, unitHash)
  }

  get full(): boolean {
    return this.storing + this.finished.length >= this.mostWaiting || this.waitingBytes >= this.mostBytes
  }

  keep(exchange: SampledExchange): void {
    if (exchange.body.length > TAP_LIMIT) return this.count(exchange, 'too_large')
    const bytes = sizeOf(exchange)
    if (this.full || this.waitingBytes + bytes > this.mostBytes) return this.count(exchange, 'overload')
    this.waitingBytes += bytes
    this.finished.push(exchange)
    if (this.finished.length >= TOGETHER) this.handOver()
    else this.handingOver ??= setTimeout(() => this.handOver(), TOGETHER_MS)
  }

  private handOver(): void {
    if (this.handingOver !== null) clearTimeout(this.handingOver)
    this.handingOver = null
    if (this.finished.length === 0) return
    const exchanges = this.finished
    this.finished = []
    // A sample must not be known of an arm whose exposure is not.
    this.flush()
    this.storing += exchanges.length
    for (const exchange of exchanges) {
      void this.deps.keeper.keep(exchange).then((outcome) => {
        this.waitingBytes -= sizeOf(exchange)
        this.count(exchange, outcome)
        if (--this.storing > 0) return
        this.stored?.resolve()
        this.stored = null
      })
    }
  }

  lose(experiment: string, arm: string, outcome: SampleOutcome): void {
    this.deps.metrics.sample(experiment, arm, outcome)
  }

  /** Hands the exposures counted so far over; they are kept for the next time when they cannot be stored. */
  private flush(): void {
    if (this.exposures.empty) return
    const counted = this.exposures.take()
    const flush = this.deps.keeper
      .expose(counted)
      .catch((error: unknown) => {
        this.deps.log.error({ err: error }, 'exposures could not be stored; they will be tried again')
        this.exposures.putBack(counted)
      })
      .finally(() => this.flushing.delete(flush))
    this.flushing.add(flush)
  }

  /** Resolves when everything taken so far is stored or counted as lost. */
  async settle(): Promise<void> {
    while (this.storing + this.finished.length > 0) {
      this.handOver()
      this.stored ??= Promise.withResolvers()
      await this.stored.promise
    }
    this.flush()
    await Promise.all(this.flushing)
  }

  async close(): Promise<void> {
    clearInterval(this.timer)
    await this.settle()
  }

  private count({ sample }: SampledExchange, outcome: DrawnOutcome): void {
    const { experiment, arm, extra } = sample
    this.deps.metrics.sample(experiment, arm, (extra ?? null) === null ? outcome : `extra_${outcome}`)
  }
}
