/**
 * Judges samples from the queue, off the request path. Run by `node/judging.ts`; the proxy never waits for it.
 *
 * What it has taken is its own for some seconds, prolonged as long as it lives. What cannot be judged now, because of a budget
 * or because the judge keeps failing, is not taken (`gates.ts`). A sample that the judge does not answer goes back to the queue
 * with a growing delay; when its tries are used up, its verdict is `error`. A reply that cannot be read is `unparsed` at once:
 * temperature 0 would give it again.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import PQueue from 'p-queue'
import type { Check } from '../domain/check.ts'
import type { Sample } from '../domain/sample.ts'
import type { LeasedSample, Queue, Store } from '../domain/store.ts'
import { type JudgingTrace, noTracing, type Tracing } from '../domain/tracing.ts'
import type { Score, Verdict } from '../domain/verdict.ts'
import { decide } from './decide.ts'
import { Gates, type GatesDeps } from './gates.ts'
import { Rater, type RaterDeps } from './rater.ts'

export interface JudgeWorkerDeps extends Omit<RaterDeps, 'gates'>, Omit<GatesDeps, 'count'> {
  readonly queue: Queue
  readonly store: Store
  /** The checks in force. */
  readonly checks: () => ReadonlyMap<string, Check>
  /** Since when, milliseconds since the epoch: what came later may know more checks. Left out: for ever. */
  readonly checksSince?: () => number
  readonly tracing?: Tracing
  /** Whether a sample's texts go as soon as it has its verdict. */
  readonly eraseTexts?: () => boolean
  /** Samples judged at a time. */
  readonly concurrency: number
  /** For one answer of the judge, in milliseconds. */
  readonly timeout: number
  /** Tries per sample. */
  readonly attempts: number
  /** So long what a worker had taken waits when it has been killed, in milliseconds. */
  readonly leaseMs?: number
}

const LEASE_MS = 15_000
/** A lease is prolonged so often in its time: a store that is locked, or a machine that is busy, has two thirds of it. */
const EXTENSIONS = 3
const POLL_MS = 100
/** Before a sample of a check that is not known here is looked at again. */
const UNKNOWN_CHECK_MS = 5_000
const TROUBLE_MS = 1_000
const FIRST_RETRY_MS = 1_000
const LAST_RETRY_MS = 60_000

export class JudgeWorker {
  private readonly deps: JudgeWorkerDeps
  private readonly tracing: Tracing
  private readonly gates: Gates
  private readonly rater: Rater
  private readonly running: PQueue
  private readonly leaseMs: number
  /** Samples taken, and those of them not begun. */
  private readonly held = new Set<LeasedSample>()
  private readonly waiting = new Set<LeasedSample>()
  private extending: NodeJS.Timeout | null = null
  /** Takes no more samples. */
  private readonly leaving = new AbortController()
  /** Ends its calls, too. */
  private readonly stopping = new AbortController()
  private loop: Promise<void> = Promise.resolve()
  /** A sample is being judged to see whether a judge is back. */
  private probing = false
  /** Samples, since it was made. */
  private taken = 0

  constructor(deps: JudgeWorkerDeps) {
    this.deps = deps
    this.tracing = deps.tracing ?? noTracing
    this.gates = new Gates({ ...deps, count: (...counted) => deps.store.count(...counted) })
    this.rater = new Rater({ ...deps, gates: this.gates })
    this.leaseMs = deps.leaseMs ?? LEASE_MS
    this.running = new PQueue({ concurrency: deps.concurrency })
  }

  start(): void {
    this.extending = setInterval(() => void this.extend(), this.leaseMs / EXTENSIONS)
    this.loop = this.run()
  }

  /**
   * Judges what may be judged now, in place of `start`: for whoever is woken to do it. May be called again.
   * @param ms after so many milliseconds, and @param most after so many samples, no more are taken.
   * @returns how many were taken. Rejects when the queue cannot be read, once what was taken is judged.
   */
  async drain(ms: number, most: number): Promise<number> {
    const { signal } = this.leaving
    const ends = performance.now() + ms
    const extending = setInterval(() => void this.extend(), this.leaseMs / EXTENSIONS)
    const before = this.taken
    try {
      while (!signal.aborted && this.taken - before < most && performance.now() < ends) {
        await this.gates.refresh()
        if (await this.take()) await this.running.onSizeLessThan(1)
        // What is being judged may be what the rest waits for.
        else if (this.held.size > 0) await this.running.onIdle()
        else break
      }
    } finally {
      await this.running.onIdle()
      clearInterval(extending)
    }
    return this.taken - before
  }

  /** How its judge models stand. */
  standings(): ReturnType<Gates['standings']> {
    return this.gates.standings()
  }

  /** Shows them in the metrics, asked or not: for whoever judges only when woken. @throws whatever the store throws. */
  async show(): Promise<void> {
    await this.gates.show(this.deps.checks().values())
  }

  /** Takes no more samples, gives back those not begun, and resolves when the others are judged. */
  async finish(): Promise<void> {
    this.leaving.abort()
    this.gates.close()
    this.running.clear()
    await this.giveBack([...this.waiting])
    await this.loop
    await this.running.onIdle()
    if (this.extending !== null) clearInterval(this.extending)
  }

  /** Ends the calls under way, gives their samples back, and resolves when nothing runs any more. */
  async stop(): Promise<void> {
    this.stopping.abort()
    await this.finish()
  }

  private async run(): Promise<void> {
    const { signal } = this.leaving
    while (!signal.aborted) {
      try {
        await this.gates.refresh()
        if ((await this.anyWaiting()) && (await this.take())) await this.running.onSizeLessThan(1)
        else await sleep(POLL_MS, undefined, { signal }).catch(() => {})
      } catch (error) {
        this.deps.log.error({ err: error }, 'the judge cannot read its queue; it tries again')
        await sleep(TROUBLE_MS, undefined, { signal }).catch(() => {})
      }
    }
  }

  /** As far as this process knows, which costs nothing; what others stored it knows after a second. */
  private async anyWaiting(): Promise<boolean> {
    return (await this.deps.queue.fill()).waiting > 0
  }

  /** Takes what may be judged now. @returns whether there was anything. */
  private async take(): Promise<boolean> {
    const { queue, concurrency } = this.deps
    const checks = [...this.deps.checks().values()]
    const { free, probe } = this.gates.takeable(checks)
    const most = this.gates.appetite(checks, concurrency)
    const leased = free === null ? await queue.take(most, this.leaseMs) : await this.takeOf(free, most)
    for (const it of leased) void this.enqueue(it)
    if (probe.length === 0 || this.probing) return leased.length > 0
    const [one] = await this.takeOf(probe, 1)
    if (one === undefined) return leased.length > 0
    this.probing = true
    void this.enqueue(one).finally(() => {
      this.probing = false
    })
    return true
  }

  private async takeOf(checks: readonly string[], most: number): Promise<LeasedSample[]> {
    return checks.length === 0 ? [] : await this.deps.queue.take(most, this.leaseMs, checks)
  }

  /** Never rejects; resolves when it is judged. */
  private async enqueue(leased: LeasedSample): Promise<void> {
    this.taken++
    this.held.add(leased)
    this.waiting.add(leased)
    const judged = this.running.add(async () => {
      // Another may have it by now.
      if (!this.waiting.delete(leased)) return
      if (this.leaving.signal.aborted) return await this.giveBack([leased])
      await this.judge(leased)
      this.held.delete(leased)
    })
    // It rejects only when it is cleared away before it began; then `finish` gives the sample back.
    await judged.catch(() => {})
  }

  /** Never rejects. */
  private async extend(): Promise<void> {
    const leased = [...this.held]
    try {
      const kept = new Set(await this.deps.queue.extend(leased, this.leaseMs))
      for (const it of leased) {
        if (kept.has(it)) continue
        this.held.delete(it)
        this.waiting.delete(it)
      }
    } catch (error) {
      this.deps.log.warn({ err: error }, 'samples being judged could not be kept; others may judge them, too')
    }
  }

  /** Never rejects. */
  private async giveBack(leased: readonly LeasedSample[], delayMs = 0): Promise<void> {
    for (const it of leased) {
      this.held.delete(it)
      this.waiting.delete(it)
    }
    await this.deps.queue
      .release(leased, delayMs)
      .catch((error: unknown) => this.deps.log.error({ err: error }, 'samples wait for their lease to end'))
  }

  /** Never rejects. */
  private async judge(leased: LeasedSample): Promise<void> {
    const trace = this.tracing.judging(leased.sample)
    await this.judgeTraced(leased, trace)
    trace.end()
  }

  /** Never rejects. */
  private async judgeTraced(leased: LeasedSample, trace: JudgingTrace): Promise<void> {
    const { deps } = this
    const { sample, attempts } = leased
    try {
      const check = deps.checks().get(sample.check)
      if (check === undefined) {
        // Drawn under a newer configuration than this one's: somebody else knows the check, or this one will.
        if (sample.requestedAt > (deps.checksSince?.() ?? Number.POSITIVE_INFINITY))
          return await this.giveBack([leased], UNKNOWN_CHECK_MS)
        deps.log.warn({ sample: sample.id, check: sample.check }, 'the check of a sample no longer exists')
        return await this.conclude(sample, sample.checkVersion, 'error', {}, trace)
      }
      // Taken before more often than it may be tried, and each time its worker ended: it may be what ended it.
      if (attempts - 1 > deps.attempts) return await this.concludeUnjudged(leased, check, trace)
      const scores: Record<string, Score> = {}
      for (const rubric of check.rubrics) {
        const rating = await this.rater.rate(check, rubric, sample, trace, this.stopping.signal)
        const { score, retryable, counted } = rating
        if (this.stopping.signal.aborted) return await this.giveBack([leased])
        if (retryable && !counted) return await this.giveBack([leased], FIRST_RETRY_MS)
        if (retryable && attempts < deps.attempts) {
          const delay =
            Math.min(FIRST_RETRY_MS * 2 ** (attempts - 1), LAST_RETRY_MS) * (0.5 + Math.random() / 2)
          this.held.delete(leased)
          return await deps.queue.retry(leased, Math.round(delay))
        }
        scores[rubric.id] = score
        if (score.kind === 'error') break
      }
      await this.conclude(sample, check.version, decide(check, scores), scores, trace)
    } catch (error) {
      // The store failed: the lease runs out and the sample is judged again.
      deps.log.error({ err: error, sample: sample.id }, 'a sample could not be judged: the store failed')
    }
  }

  private async concludeUnjudged(
    { sample, attempts }: LeasedSample,
    check: Check,
    trace: JudgingTrace,
  ): Promise<void> {
    const message = `not judged: taken ${attempts - 1} times, and each time nothing came of it`
    this.deps.log.error(
      { sample: sample.id, attempts },
      'a sample that its workers did not survive is given up',
    )
    const score: Score = { kind: 'error', message }
    await this.conclude(sample, check.version, 'error', { [check.rubrics[0]!.id]: score }, trace)
  }

  private async conclude(
    sample: Sample,
    checkVersion: string,
    verdict: Verdict['verdict'],
    scores: Record<string, Score>,
    trace: JudgingTrace,
  ): Promise<void> {
    const { store, metrics } = this.deps
    const { id: sampleId, experiment, arm, check } = sample
    const added = await store.addVerdict(
      { sampleId, check, checkVersion, verdict, scores, judgedAt: Date.now() },
      this.deps.eraseTexts?.() ?? false,
    )
    // The metrics are of what was drawn; what was kept for what it says would bend them.
    if (added) trace.judged(verdict, scores)
    if (!added || (sample.extra ?? null) !== null) return
    metrics.verdict(experiment, arm, check, verdict)
    for (const [rubric, score] of Object.entries(scores)) metrics.score(experiment, arm, rubric, score)
  }
}
