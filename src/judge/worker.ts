/**
 * Judges samples from the queue, off the request path. Started by `node.ts`; the proxy never waits for it.
 *
 * A sample that the judge does not answer goes back to the queue with a growing delay; when its tries are used up,
 * its verdict is `error`. A reply that cannot be read is `unparsed` at once: temperature 0 would give it again.
 */
import { hash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import PQueue from 'p-queue'
import type { Check, Rubric } from '../domain/check.ts'
import { toBallastError } from '../domain/errors.ts'
import type { JudgeModel, LeasedSample, Log, Metrics, Queue, Store } from '../domain/ports.ts'
import type { Sample } from '../domain/sample.ts'
import type { Score, Verdict } from '../domain/verdict.ts'
import { decide } from './decide.ts'
import { parseScore } from './parse.ts'
import { buildPrompt } from './prompt.ts'

export interface JudgeWorkerDeps {
  readonly queue: Queue
  readonly store: Store
  readonly judge: JudgeModel
  /** The checks in force. */
  readonly checks: () => ReadonlyMap<string, Check>
  readonly metrics: Metrics
  readonly log: Log
  /** The judge model where a rubric names none. */
  readonly model: string
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
/** A judge in trouble fails many times; that is said now and then. */
const WARN_EVERY_MS = 30_000
/** Judged rubrics that are remembered: an identical exchange is judged once. */
const REMEMBERED = 10_000
const LONGEST_MESSAGE = 200

/** What came of asking about a rubric, and whether asking again may help. */
interface Rating {
  readonly score: Score
  readonly retryable: boolean
}

export class JudgeWorker {
  private readonly deps: JudgeWorkerDeps
  private readonly running: PQueue
  private readonly remembered = new LRUCache<string, Score>({ max: REMEMBERED })
  private readonly asking = new Map<string, Promise<Rating>>()
  /** Samples taken and not begun. */
  private readonly waiting = new Set<LeasedSample>()
  /** Takes no more samples. */
  private readonly leaving = new AbortController()
  /** Ends its calls, too. */
  private readonly stopping = new AbortController()
  private loop: Promise<void> = Promise.resolve()
  private failures = 0
  private warnedAt = Number.NEGATIVE_INFINITY

  constructor(deps: JudgeWorkerDeps) {
    this.deps = deps
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
      .retry(id, 0)
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
  private async judge({ sample, attempts }: LeasedSample): Promise<void> {
    const { deps } = this
    try {
      const check = deps.checks().get(sample.check)
      if (check === undefined) {
        deps.log.warn({ sample: sample.id, check: sample.check }, 'the check of a sample no longer exists')
        return await this.conclude(sample, sample.checkVersion, 'error', {})
      }
      const scores: Record<string, Score> = {}
      for (const rubric of check.rubrics) {
        const { score, retryable } = await this.rate(check, rubric, sample)
        if (this.stopping.signal.aborted) return await deps.queue.retry(sample.id, 0)
        if (score.kind === 'error' && retryable && attempts < deps.attempts) {
          const delay =
            Math.min(FIRST_RETRY_MS * 2 ** (attempts - 1), LAST_RETRY_MS) * (0.5 + Math.random() / 2)
          return await deps.queue.retry(sample.id, Math.round(delay))
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
    if (!added) return
    metrics.verdict(experiment, arm, check, verdict)
    for (const [rubric, score] of Object.entries(scores)) metrics.score(experiment, arm, rubric, score)
  }

  private async rate(check: Check, rubric: Rubric, sample: Sample): Promise<Rating> {
    const model = rubric.model ?? this.deps.model
    const messages = rubric.prompt.includes('{conversation}') ? sample.messages : null
    const identity = [check.version, rubric.id, model, messages, sample.question, sample.answer]
    const key = hash('sha256', JSON.stringify(identity), 'hex')
    const known = this.remembered.get(key)
    if (known !== undefined) {
      this.deps.metrics.judgeRequest(model, 'cached')
      return { score: known, retryable: false }
    }
    // Identical exchanges that come together are asked about once.
    const asked = this.asking.get(key)
    if (asked !== undefined) {
      this.deps.metrics.judgeRequest(model, 'cached')
      return await asked
    }
    const asking = this.ask(model, rubric, sample).finally(() => this.asking.delete(key))
    this.asking.set(key, asking)
    const rating = await asking
    const { score } = rating
    if (score.kind === 'number' || score.kind === 'label') this.remembered.set(key, score)
    return rating
  }

  /** Never rejects. */
  private async ask(model: string, rubric: Rubric, sample: Sample): Promise<Rating> {
    const { judge, metrics, log } = this.deps
    try {
      const prompt = buildPrompt(rubric, sample, randomBytes(16).toString('hex'))
      const answer = await judge.ask(model, prompt, this.stopping.signal)
      metrics.judgeRequest(model, 'ok')
      metrics.judgeTokens(model, 'prompt', answer.promptTokens)
      metrics.judgeTokens(model, 'completion', answer.completionTokens)
      return { score: parseScore(rubric, answer.text), retryable: false }
    } catch (thrown) {
      const error = toBallastError(thrown)
      if (!this.stopping.signal.aborted) {
        metrics.judgeRequest(model, 'error')
        this.warn(model, error.message)
        log.debug({ err: error, sample: sample.id, model }, 'the judge did not answer')
      }
      return {
        score: { kind: 'error', message: error.message.slice(0, LONGEST_MESSAGE) },
        retryable: error.retryable,
      }
    }
  }

  private warn(model: string, reason: string): void {
    this.failures++
    if (performance.now() - this.warnedAt < WARN_EVERY_MS) return
    this.deps.log.warn({ model, reason, failures: this.failures }, 'the judge does not answer; samples wait')
    this.warnedAt = performance.now()
    this.failures = 0
  }
}
