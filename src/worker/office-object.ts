/**
 * The Durable Object that does for a Worker what the back office does on Node: judges, follows experiments and acts by their
 * rules, makes reports. There is one of it: so its budgets, breakers and memory of judged exchanges are all there are. It does
 * something only when it is asked to (`waking.ts`, `control.ts`); all that must last is in D1.
 */
import { DurableObject } from 'cloudflare:workers'
import type { DurableObjectState } from '@cloudflare/workers-types'
import { MetricDeltas } from '../adapters/metrics-deltas.ts'
import { D1Store } from '../adapters/store-d1.ts'
import type { Log } from '../domain/ports.ts'
import type { Report } from '../domain/report.ts'
import { noTracing } from '../domain/tracing.ts'
import { ArmEvents } from '../node/arm-events.ts'
import { EvidenceFollower } from '../node/evidence.ts'
import { Following } from '../node/following.ts'
import { Judging, queueLimit } from '../node/judging.ts'
import { cachedReports, makeReports, type Reports } from '../node/reports.ts'
import { eraseOld } from '../node/retention.ts'
import { ArmNews } from './arm-news.ts'
import type { Env } from './env.ts'
import { consoleLog, levelOf } from './log.ts'
import type { OfficeCalls, OfficeFacts } from './office-calls.ts'
import { MetricsOutbox } from './outbox.ts'
import { objectRates } from './rate-object.ts'
import { Settings } from './settings.ts'
import type { WorkerSnapshot } from './snapshot.ts'

/** So long, and so many samples, it judges in one go: a consumer has 15 minutes, an invocation 1,000 queries of D1. */
const DRAIN_MS = 30_000
const DRAIN_SAMPLES = 50
/** Connections that Cloudflare opens at a time for an invocation; more would wait, their timeouts running. */
const MOST_CONCURRENT = 6
/** Where samples wait and none may be judged, it is looked again after twice as long each time, up to this. */
const LONGEST_WAIT_MS = 60_000
const SHOW_MS = 1_000
/** Samples whose texts are erased in one look round. */
const ERASED_AT_ONCE = 100
/** What a report takes here is mostly waiting for D1; still it is made no more than half of the time. */
const REPORT_REST = 1
/** For what a scrape waits. */
const FACTS_MS = 5_000

export class OfficeObject extends DurableObject implements OfficeCalls {
  private readonly state: DurableObjectState
  private readonly bound: Env
  private readonly log: Log
  private readonly counted = new MetricDeltas()
  private readonly outbox: MetricsOutbox
  private readonly settings: Settings
  private readonly store: D1Store | null
  private readonly judging: Judging | null
  private readonly follower: EvidenceFollower | null
  private readonly following: Following | null
  private readonly armEvents: ArmEvents | null
  /** Whether it knows what was done to arms before. */
  private begun = false
  private snapshot: WorkerSnapshot | null = null
  private cached: Reports = async () => []
  private draining: Promise<number | null> | null = null
  /** How often in a row nothing could be judged. */
  private fruitless = 0
  /** When somebody was asked to come again. */
  private comesAt = 0

  constructor(state: DurableObjectState, env: Env) {
    super(state, env)
    this.state = state
    this.bound = env
    this.log = consoleLog(levelOf(env.LOG_LEVEL))
    const { log } = this
    const { metrics } = this.counted
    this.outbox = new MetricsOutbox(this.counted, log)
    const news = new ArmNews(state.storage, metrics, log)
    const lasting = { metrics, log, createRate: objectRates(env.RATES) }
    this.settings = new Settings(lasting, (events) => news.tell(events))
    const store = env.DB === undefined ? null : new D1Store({ d1: env.DB, queueLimit: 0 })
    this.store = store
    this.judging = store && new Judging({ store, woken: true, metrics, tracing: noTracing, log })
    const wait = () => this.snapshot!.config.decisions.wait
    const follower = store && new EvidenceFollower({ store, wait, log })
    this.follower = follower
    this.armEvents = store && new ArmEvents({ store, metrics, log, changed: async () => {} })
    this.following =
      follower && new Following({ follower, store: store!, plan: () => this.snapshot!.plan, log })
  }

  /** However many ask at the same time, it is done once. */
  judge(): Promise<number | null> {
    this.draining ??= this.drain().finally(() => {
      this.draining = null
    })
    return this.draining
  }

  async lookRound(): Promise<{ waits: boolean }> {
    const { config } = await this.inForce()
    const { store, log } = this
    if (store === null) return { waits: false }
    await this.follow()
    const { retention } = config.samples
    if (retention !== undefined) await eraseOld({ archive: store, log }, retention, ERASED_AT_ONCE)
    await this.outbox.flush(this.bound.METRICS)
    return { waits: config.judge !== undefined && (await store.nextDue()) !== null }
  }

  async reports(): Promise<readonly Report[]> {
    const { plan } = await this.inForce()
    return this.store === null ? [] : await makeReports(plan, this.store, this.follower!)
  }

  async facts(): Promise<OfficeFacts> {
    const { store, judging, settings, counted } = this
    // Where there is none, `settings.ts` has told why.
    const snapshot = this.inForce().catch(() => null)
    const [reports, queue] = await Promise.all([
      this.soon(
        snapshot.then(async (it) => (it === null ? [] : await this.cached())),
        [],
      ),
      store === null ? { depth: 0, oldestAt: null } : this.soon(store.status(), null),
      this.soon(
        snapshot.then(async () => await judging?.show()),
        undefined,
      ),
    ])
    this.state.waitUntil(this.outbox.flush(this.bound.METRICS))
    return { reports, queue, judges: counted.judges, refused: settings.refused }
  }

  private async drain(): Promise<number | null> {
    const { config } = await this.inForce()
    const { judging, outbox } = this
    if (judging === null || config.judge === undefined) return null
    const { METRICS } = this.bound
    const showing = setInterval(() => void outbox.flush(METRICS), SHOW_MS)
    try {
      const taken = await judging.drain(DRAIN_MS, DRAIN_SAMPLES)
      if (taken > 0) await this.follow()
      return await this.comeAgain(taken)
    } finally {
      clearInterval(showing)
      await outbox.flush(METRICS)
    }
  }

  /** Acts by the rules; isolates read what was done themselves (`settings.ts`). */
  private async follow(): Promise<void> {
    if (!this.begun) await this.armEvents!.begin()
    this.begun = true
    await this.following!.follow()
    await this.armEvents!.poll()
  }

  /** @returns in how many seconds; null where nothing waits, or somebody comes by then as it is. */
  private async comeAgain(taken: number): Promise<number | null> {
    const due = await this.store!.nextDue()
    this.fruitless = taken > 0 || due === null ? 0 : this.fruitless + 1
    if (due === null) return null
    const now = Date.now()
    const rest = this.fruitless === 0 ? 0 : Math.min(500 * 2 ** this.fruitless, LONGEST_WAIT_MS)
    const at = Math.max(now + rest, Math.min(due, now + LONGEST_WAIT_MS))
    if (this.comesAt > now && this.comesAt <= at) return null
    this.comesAt = at
    return Math.ceil((at - now) / 1_000)
  }

  private async inForce(): Promise<WorkerSnapshot> {
    const snapshot = await this.settings.inForce(this.bound, this.state)
    if (snapshot === this.snapshot) return snapshot
    const { config, plan } = snapshot
    this.store?.limitQueue(queueLimit(config))
    const judge = config.judge && {
      ...config.judge,
      concurrency: Math.min(config.judge.concurrency, MOST_CONCURRENT),
    }
    this.judging?.use({ ...config, judge })
    this.snapshot = snapshot
    if (this.store !== null) this.cached = cachedReports(plan, this.store, this.follower!, REPORT_REST)
    return snapshot
  }

  /** What is not there in time, or fails, is left out. */
  private async soon<T>(answer: Promise<T>, otherwise: T): Promise<T> {
    let timer: ReturnType<typeof setTimeout>
    const late = new Promise<never>((_, reject) => {
      const error = new Error(`D1 did not answer within ${FACTS_MS / 1_000} s`)
      timer = setTimeout(() => reject(error), FACTS_MS)
    })
    return await Promise.race([answer, late])
      .catch((error: unknown) => {
        this.log.error({ err: error }, 'the store could not be read for the metrics')
        return otherwise
      })
      .finally(() => clearTimeout(timer))
  }
}
