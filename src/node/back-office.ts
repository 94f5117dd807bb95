/**
 * What goes on behind the requests: the store, the filing of samples, judging, reports. Run by `office-thread.ts`, in a
 * thread of its own, so that none of it takes the proxy's time.
 */
import { loadJudgeClient } from '../adapters/judge-openai.ts'
import type { JudgeFetch } from '../adapters/judge-openai-options.ts'
import { createRedactor } from '../adapters/redactor.ts'
import { type OpenStore, openStore } from '../adapters/store.ts'
import type { Log, Metrics } from '../domain/ports.ts'
import type { Report } from '../domain/report.ts'
import type { DrawnOutcome } from '../domain/sample.ts'
import type { ArmEvent, QueueStatus } from '../domain/store.ts'
import type { Tracing } from '../domain/tracing.ts'
import type { CountedExposures } from '../pipeline/exposure-counts.ts'
import { type FiledExchange, Filing } from '../pipeline/filing.ts'
import { compilePlan, type Plan } from '../policy/compile.ts'
import { applyArmEvents } from './arm-events.ts'
import { Desk } from './desk.ts'
import { EvidenceFollower } from './evidence.ts'
import { Following } from './following.ts'
import { Judging, queueLimit } from './judging.ts'
import type { OfficeConfig } from './office-messages.ts'
import { cachedReports, makeReports, type Reports } from './reports.ts'
import { Retention } from './retention.ts'

export interface BackOfficeDeps {
  /** Null where judging is left to others. */
  readonly judging: Judging | null
  readonly store: OpenStore
  /** The key that is kept with the data: for a configuration without one. */
  readonly unitKey: string
  readonly log: Log
}

export interface BackOfficeOptions {
  readonly judges: boolean
  readonly metrics: Metrics
  readonly tracing: Tracing
  readonly log: Log
}

/** For those who ask, as `loadJudgeClient`: without a judge the thread has no use for it. */
const loadJudgeFetch = () => import('../adapters/judge-fetch-undici.ts')
const judgeFetch: JudgeFetch = async (...question) => (await loadJudgeFetch()).fetchByUndici(...question)

/** @throws Error when the store cannot be opened. Nothing is judged before `use`. */
export async function openBackOffice(
  config: OfficeConfig,
  { judges, metrics, tracing, log }: BackOfficeOptions,
): Promise<BackOffice> {
  if (judges && config.judge !== undefined) await Promise.all([loadJudgeClient(), loadJudgeFetch()])
  const store = await openStore(config.store, { queueLimit: queueLimit(config), log })
  const unitKey = await store.unitKey()
  const judging = judges ? new Judging({ store, fetch: judgeFetch, metrics, tracing, log }) : null
  return new BackOffice(config, { judging, store, unitKey, log })
}

export class BackOffice {
  private readonly deps: BackOfficeDeps
  private readonly filing: Filing
  private readonly retention: Retention
  private readonly follower: EvidenceFollower
  private readonly following: Following
  /** For the control plane. */
  readonly desk: Desk
  private config: OfficeConfig
  private plan: Plan
  private armEventsRead: readonly ArmEvent[] = []
  private cachedReports: Reports

  constructor(config: OfficeConfig, deps: BackOfficeDeps) {
    const { store, log } = deps
    this.deps = deps
    this.config = config
    this.plan = compilePlan(config)
    this.follower = new EvidenceFollower({ store, wait: () => this.config.decisions.wait, log })
    this.following = new Following({ follower: this.follower, store, plan: () => this.plan, log })
    this.cachedReports = cachedReports(this.plan, store, this.follower)
    const redactor = createRedactor()
    this.filing = new Filing({
      unitKey: () => this.config.unit_key ?? deps.unitKey,
      redactor: () => (this.config.samples.keep === 'redacted' ? redactor : null),
      store,
      queue: store,
      log,
    })
    this.retention = new Retention({ archive: store, log })
    this.desk = new Desk({
      store,
      follower: this.follower,
      judging: deps.judging,
      redactor,
      config: () => this.config,
      plan: () => this.plan,
      reports: () => this.cachedReports(),
    })
  }

  /** Puts a configuration in force, whole. @throws when it cannot be: then nothing has changed. */
  use(config: OfficeConfig): void {
    const { judging, store } = this.deps
    const plan = compilePlan(config)
    applyArmEvents(plan, this.armEventsRead)
    if (judging === null) store.limitQueue(queueLimit(config))
    else judging.use(config)
    // From here on nothing throws.
    this.retention.use(config.samples.retention ?? null)
    this.config = config
    this.plan = plan
    this.cachedReports = cachedReports(plan, store, this.follower)
    this.following.start()
  }

  expose(exposures: readonly CountedExposures[]): Promise<void> {
    return this.filing.expose(exposures)
  }

  file(exchange: FiledExchange): Promise<DrawnOutcome> {
    return this.filing.file(exchange)
  }

  /** @param fresh made now; else at most a moment old. */
  reports(fresh: boolean): Promise<readonly Report[]> {
    return fresh ? makeReports(this.plan, this.deps.store, this.follower) : this.cachedReports()
  }

  queue(): Promise<QueueStatus> {
    return this.deps.store.status()
  }

  /** What was done to arms; throws the switches of the plan that is followed here, too. */
  async armEvents(): Promise<ArmEvent[]> {
    const events = await this.deps.store.armEvents()
    this.armEventsRead = events
    applyArmEvents(this.plan, events)
    return events
  }

  /** Gives back the samples that are being judged, and closes the store. */
  async close(): Promise<void> {
    await Promise.all([this.deps.judging?.stop(), this.retention.stop(), this.following.stop()])
    await this.deps.store.close()
  }
}
