/**
 * Judges samples from the queue, off the request path. Started by `node.ts`; the proxy never waits for it.
 *
 * A sample that the judge does not answer goes back to the queue with a growing delay; when its tries are used up,
 * its verdict is `error`. A reply that cannot be read is `unparsed` at once: temperature 0 would give it again.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import PQueue from 'p-queue'
import type { Check } from '../domain/check.ts'
import type { LeasedSample, Queue, Store } from '../domain/ports.ts'
import type { Sample } from '../domain/sample.ts'
import type { Score, Verdict } from '../domain/verdict.ts'
import { decide } from './decide.ts'
import { Rater, type RaterDeps } from './rater.ts'

export interface JudgeWorkerDeps extends RaterDeps {
  readonly queue: Queue
  readonly store: Store
  /** The checks in force. */
  readonly checks: () => ReadonlyMap<string, Check>
  /** Samples judged at a time. */
  readonly concurrency: number
  /** For one answer of the judge, in milliseconds. */
  readonly timeout: number
  /** Tries per sample. */
  readonly attempts: number
}

/** Beyond what its calls may take, a taken sample stays with its worker so long before another may take it. */
const LEASE_MARGIN_MS = 30_000
const POLL_MS = 100
const TROUBLE_MS = 1_000
const FIRST_RETRY_MS = 1_000
const LAST_RETRY_MS = 60_000

export class JudgeWorker {
  private readonly deps: JudgeWorkerDeps
  private readonly rater: Rater
  private readonly running: PQueue
  /** Samples taken and not begun. */
  private readonly waiting = new Set<LeasedSample>()
  /** Takes no more samples. */
  private readonly leaving = new AbortController()
  /** Ends its calls, too. */
  private readonly stopping = new AbortController()
  private loop: Promise<void> = Promise.resolve()

  constructor(deps: JudgeWorkerDeps) {
    this.deps = deps
    this.rater = new Rater(deps)
    this.running = new PQueue({ concurrency: deps.concurrency })
  }

  start(): void {
    this.loop = this.run()
  }

  /** Takes no more samples, gives back those not begun, and resolves when the others are judged. */
  async finish(): Promise<void> {
    this.leaving.abort()
    this.running.clear()
    await Promise.all([...this.waiting].map((it) => this.giveBack(it)))
    await this.loop
    await this.running.onIdle()
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
        const leased = await this.deps.queue.take(this.deps.concurrency, this.leaseMs())
        for (const it of leased) this.enqueue(it)
        if (leased.length > 0) await this.running.onSizeLessThan(1)
        else await sleep(POLL_MS, undefined, { signal }).catch(() => {})
      } catch (error) {
        this.deps.log.error({ err: error }, 'the judge cannot read its queue; it tries again')
        await sleep(TROUBLE_MS, undefined, { signal }).catch(() => {})
      }
    }
  }

  private enqueue(leased: LeasedSample): void {
    this.waiting.add(leased)
    void this.running.add(() => {
      this.waiting.delete(leased)
      return this.leaving.signal.aborted ? this.giveBack(leased) : this.judge(leased)
    })
  }

  /** Never rejects. */
  private async giveBack(leased: LeasedSample): Promise<void> {
    this.waiting.delete(leased)
    const { id } = leased.sample
    await this.deps.queue
      .retry(leased, 0)
      .catch((error: unknown) =>
        this.deps.log.error({ err: error, sample: id }, 'a sample waits for its lease to end'),
      )
  }

  /** Two rounds of `concurrency` samples may be taken, and every rubric of a check take its whole timeout. */
  private leaseMs(): number {
    const rubrics = Math.max(1, ...[...this.deps.checks().values()].map((check) => check.rubrics.length))
    return 2 * rubrics * this.deps.timeout + LEASE_MARGIN_MS
  }

  /** Never rejects. */
  private async judge(leased: LeasedSample): Promise<void> {
    const { deps } = this
    const { sample, attempts } = leased
    try {
      const check = deps.checks().get(sample.check)
      if (check === undefined) {
        deps.log.warn({ sample: sample.id, check: sample.check }, 'the check of a sample no longer exists')
        return await this.conclude(sample, sample.checkVersion, 'error', {})
      }
      const scores: Record<string, Score> = {}
      for (const rubric of check.rubrics) {
        const { score, retryable } = await this.rater.rate(check, rubric, sample, this.stopping.signal)
        if (this.stopping.signal.aborted) return await deps.queue.retry(leased, 0)
        if (retryable && attempts < deps.attempts) {
          const delay =
            Math.min(FIRST_RETRY_MS * 2 ** (attempts - 1), LAST_RETRY_MS) * (0.5 + Math.random() / 2)
          return await deps.queue.retry(leased, Math.round(delay))
        }
        scores[rubric.id] = score
        if (score.kind === 'error') break
      }
      await this.conclude(sample, check.version, decide(check, scores), scores)
    } catch (error) {
      // The store failed: the lease runs out and the sample is judged again.
      deps.log.error({ err: error, sample: sample.id }, 'a verdict could not be stored')
    }
  }

  private async conclude(
    sample: Sample,
    checkVersion: string,
    verdict: Verdict['verdict'],
    scores: Record<string, Score>,
  ): Promise<void> {
    const { store, metrics } = this.deps
    const { id: sampleId, experiment, arm, check } = sample
    const added = await store.addVerdict({
      sampleId,
      check,
      checkVersion,
      verdict,
      scores,
      judgedAt: Date.now(),
    })
    // The metrics are of what was drawn; what was kept for what it says would bend them.
    if (!added || (sample.extra ?? null) !== null) return
    metrics.verdict(experiment, arm, check, verdict)
    for (const [rubric, score] of Object.entries(scores)) metrics.score(experiment, arm, rubric, score)
  }
}
