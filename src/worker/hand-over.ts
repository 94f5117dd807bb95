/**
 * What an isolate has to store: exposures that add up, and sampled exchanges, each at the end of its request. Both go to D1
 * behind the answer; then a message wakes whoever judges. Nothing is judged here. Called by `recording.ts`.
 */
import type { D1Database } from '@cloudflare/workers-types'
import { createRedactor } from '../adapters/redactor.ts'
import { D1Store } from '../adapters/store-d1.ts'
import type { Unit } from '../domain/experiment.ts'
import type { Log } from '../domain/ports.ts'
import type { DrawnOutcome } from '../domain/sample.ts'
import { queueLimit } from '../node/judging.ts'
import { type CountedExposures, type Exposed, ExposureCounts } from '../pipeline/exposure-counts.ts'
import { Filing } from '../pipeline/filing.ts'
import type { SampledExchange } from '../pipeline/record.ts'
import type { Env } from './env.ts'
import type { WorkerSnapshot } from './snapshot.ts'
import { wake } from './waking.ts'

/** Where a request's things are stored. */
export interface Place {
  readonly env: Env
  readonly config: WorkerSnapshot['config']
}

/** Exposures of requests that end within this time are stored together. */
const GATHER_MS = 1_000
/** Of exchanges that are being stored; an isolate has 128 MB for everything. */
const MAX_WAITING_BYTES = 24 * 1024 * 1024
/** Units remembered as stored, so that a unit is not written again with each request. */
const KNOWN_UNITS = 20_000
/** The message comes so much later, and until half of that no other one is needed: it finds what was stored meanwhile. */
const WAKE_SECONDS = 2

export class HandOver {
  private readonly log: Log
  private readonly exposures = new ExposureCounts(KNOWN_UNITS)
  private readonly redactor = createRedactor()
  private storedAt = Number.NEGATIVE_INFINITY
  private waitingBytes = 0
  /** The one that is kept with the data, once it was read. */
  private storedKey: string | null = null
  private awakeUntil = Number.NEGATIVE_INFINITY

  constructor(log: Log) {
    this.log = log
  }

  /** Whether so much waits to be stored that another exchange would be refused. */
  get full(): boolean {
    return this.waitingBytes >= MAX_WAITING_BYTES
  }

  expose(experiment: Exposed, arm: string, source: Unit['source'], unitHash: string): void {
    this.exposures.count(experiment, arm, source, unitHash)
  }

  /** Stores the exposures counted so far, some requests' together. Never rejects. */
  async storeExposures({ env, config }: Place): Promise<void> {
    if (this.exposures.empty) return
    if (env.DB === undefined) return void this.exposures.take()
    const wait = this.storedAt + GATHER_MS - Date.now()
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
    const exposures = this.takeExposures()
    if (exposures.length === 0) return
    try {
      await (await this.filing(env.DB, config)).expose(exposures)
    } catch (error) {
      this.putBack(exposures, error)
    }
  }

  /** Stores a sampled exchange, behind the exposures counted so far. Never rejects. */
  async store({ tap, ...exchange }: SampledExchange, { env, config }: Place): Promise<DrawnOutcome> {
    if (env.DB === undefined) {
      this.exposures.take()
      return 'store_error'
    }
    const bytes = exchange.body.length + tap.size
    this.waitingBytes += bytes
    const exposures = this.takeExposures()
    let filing: Filing
    try {
      filing = await this.filing(env.DB, config)
    } catch (error) {
      this.putBack(exposures, error)
      this.waitingBytes -= bytes
      return 'store_error'
    }
    const exposed =
      exposures.length === 0
        ? null
        : filing.expose(exposures).catch((error: unknown) => this.putBack(exposures, error))
    const outcome = await filing.file({ ...exchange, answer: tap.copy() })
    await exposed
    this.waitingBytes -= bytes
    if (outcome === 'stored' && config.judge !== undefined) await this.wake(env)
    return outcome
  }

  private async wake(env: Env): Promise<void> {
    if (Date.now() < this.awakeUntil) return
    this.awakeUntil = Date.now() + (WAKE_SECONDS * 1_000) / 2
    if (await wake(env, WAKE_SECONDS, this.log)) return
    this.awakeUntil = Number.NEGATIVE_INFINITY
  }

  /** A new one each time: no request may wait for what another one has begun. */
  private async filing(d1: D1Database, config: Place['config']): Promise<Filing> {
    const store = new D1Store({ d1, queueLimit: queueLimit(config) })
    const unitKey = config.unit_key ?? this.storedKey ?? (await store.unitKey())
    if (config.unit_key === undefined) this.storedKey = unitKey
    return new Filing({
      unitKey: () => unitKey,
      redactor: () => (config.samples.keep === 'redacted' ? this.redactor : null),
      store,
      queue: store,
      log: this.log,
    })
  }

  private takeExposures(): CountedExposures[] {
    if (!this.exposures.empty) this.storedAt = Date.now()
    return this.exposures.take()
  }

  /** They are stored with the next ones; whether these were stored in part nobody knows. */
  private putBack(exposures: readonly CountedExposures[], error: unknown): void {
    if (exposures.length > 0)
      this.log.error({ err: error }, 'exposures could not be stored; they will be tried again')
    else this.log.error({ err: error }, 'a sample could not be stored')
    this.exposures.putBack(exposures)
  }
}
