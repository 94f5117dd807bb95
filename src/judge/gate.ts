/**
 * What stands between judging and one judge model: its budgets, and a breaker that leaves a model alone that keeps
 * failing. Called by `rater.ts` for each question, and through `gates.ts` before samples are taken.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Breaker, type Pass } from '../domain/breaker.ts'
import { type BallastError, toBallastError } from '../domain/errors.ts'
import type { JudgeAnswer, Log, Metrics } from '../domain/ports.ts'
import { type Count, RequestPace } from './pace.ts'
import { DAY_MS, estimateTokens, type Reservation, TokenBudget } from './token-budget.ts'

export interface Budget {
  /** Null: as many as may be. */
  readonly requestsPerMinute: number | null
  /** By UTC day; null: as many as may be. */
  readonly tokensPerDay: number | null
  /** How long a reply may be, in tokens. */
  readonly replyTokens: number
}

export interface GateDeps {
  readonly count: Count
  readonly metrics: Metrics
  readonly log: Log
}

/** Whether a model may be asked now; `probe`: once, to see whether it is back. */
export type Standing = 'free' | 'probe' | 'left-alone' | 'no-budget'

/** What came of a question. */
export type Asked =
  | { readonly kind: 'answered'; readonly answer: JudgeAnswer }
  /** @property judges whether it is the judge that is in trouble, and not this sample that it fails on. */
  | { readonly kind: 'failed'; readonly error: BallastError; readonly judges: boolean }
  /** It was not put. */
  | { readonly kind: 'held'; readonly by: 'breaker' | 'budget' }

/** Why a model is left alone. */
export interface Trouble {
  /** Milliseconds since the epoch. */
  readonly since: number
  readonly reason: string
}

const BREAKER = { failures: 5, cooldown: 1_000, longestCooldown: 60_000 }

export class ModelGate {
  readonly model: string
  readonly pace: RequestPace | null
  private readonly deps: GateDeps
  private readonly tokens: TokenBudget | null
  private readonly replyTokens: number
  private readonly breaker = new Breaker(BREAKER)
  /** The first samples it failed on since it last answered: one alone may be to blame itself. */
  private readonly failedOn = new Set<string>()
  private left: Trouble | null = null
  private saidSlow = false
  private saidSpent = false

  constructor(model: string, budget: Budget, deps: GateDeps) {
    const { requestsPerMinute, tokensPerDay, replyTokens } = budget
    this.model = model
    this.deps = deps
    this.replyTokens = replyTokens
    this.pace = requestsPerMinute === null ? null : new RequestPace(model, requestsPerMinute, deps.count)
    this.tokens = tokensPerDay === null ? null : new TokenBudget(model, tokensPerDay, deps.count)
  }

  get standing(): Standing {
    if ((this.tokens?.remaining ?? 1) <= 0 || (this.pace?.waitMs ?? 0) > 0) return 'no-budget'
    if (!this.breaker.tripped) return 'free'
    return this.breaker.awaitsProbe ? 'probe' : 'left-alone'
  }

  /** Null while it is not left alone. */
  get trouble(): Trouble | null {
    return this.left
  }

  /**
   * Puts a question to the model, once its budget allows.
   * @param signal ends the waiting; the call itself ends by its own.
   * @throws whatever the store throws.
   */
  async ask(
    sampleId: string,
    prompt: string,
    signal: AbortSignal,
    call: () => Promise<JudgeAnswer>,
  ): Promise<Asked> {
    if (this.breaker.tripped && !this.breaker.awaitsProbe) return { kind: 'held', by: 'breaker' }
    const estimate = estimateTokens(prompt, this.replyTokens)
    const reservation = this.tokens === null ? null : await this.tokens.reserve(estimate)
    if (this.tokens !== null && reservation === null) return { kind: 'held', by: 'budget' }
    const place = await this.waitForPlace(signal)
    const pass = place ? this.breaker.enter() : null
    if (pass === null) {
      await this.correct(reservation, 0)
      return { kind: 'held', by: place ? 'breaker' : 'budget' }
    }
    let answer: JudgeAnswer
    try {
      answer = await call()
    } catch (thrown) {
      const error = toBallastError(thrown)
      if (signal.aborted) this.breaker.leave(pass)
      else if (error.retryable) this.failed(sampleId, error, this.breaker.fail(pass))
      // It answered, if only that it does not want this question.
      else this.answered(pass)
      // What took too long may have been worked on, and paid for.
      await this.correct(reservation, error.code === 'ballast_upstream_timeout' ? estimate : 0)
      return { kind: 'failed', error, judges: !signal.aborted && this.isJudges(error) }
    }
    this.answered(pass)
    await this.correct(reservation, tokensOf(answer) ?? estimate)
    return { kind: 'answered', answer }
  }

  /** Looks up what other processes used, and shows how much is left. */
  async refresh(): Promise<void> {
    await this.tokens?.refresh()
    this.show()
    const spent = (this.tokens?.remaining ?? 1) <= 0
    if (spent && !this.saidSpent) {
      const until = new Date((Math.floor(Date.now() / DAY_MS) + 1) * DAY_MS).toISOString()
      this.deps.log.warn(
        { model: this.model, until },
        "the judge's tokens of the day are used up; samples wait",
      )
    } else if (!spent && this.saidSpent) {
      this.deps.log.info({ model: this.model }, 'the judge has tokens again')
    }
    this.saidSpent = spent
  }

  /** Takes its series out of the metrics. */
  close(): void {
    const { metrics } = this.deps
    metrics.judgeBudget(this.model, 'requests', null)
    metrics.judgeBudget(this.model, 'tokens', null)
    metrics.judgeBreaker(this.model, null)
  }

  private show(): void {
    const { metrics } = this.deps
    if (this.pace !== null) metrics.judgeBudget(this.model, 'requests', this.pace.remaining)
    if (this.tokens !== null) metrics.judgeBudget(this.model, 'tokens', this.tokens.remaining)
    metrics.judgeBreaker(this.model, this.breaker.tripped)
  }

  /** @returns whether it has a place. */
  private async waitForPlace(signal: AbortSignal): Promise<boolean> {
    if (this.pace === null) return true
    const waitMs = await this.pace.reserve()
    if (waitMs === 0) return true
    if (!this.saidSlow) {
      this.saidSlow = true
      this.deps.log.info(
        { model: this.model },
        'the judge is asked as often as its budget allows; samples wait',
      )
    }
    if (waitMs === null) return false
    return await sleep(waitMs, true, { signal }).catch(() => false)
  }

  private async correct(reservation: Reservation | null, used: number): Promise<void> {
    if (reservation !== null) await this.tokens?.correct(reservation, used)
  }

  private answered(pass: Pass): void {
    this.breaker.succeed(pass)
    this.failedOn.clear()
    if (!pass.probe) return
    this.left = null
    this.deps.metrics.judgeBreaker(this.model, false)
    this.deps.log.info({ model: this.model }, 'the judge answers again')
  }

  private failed(sampleId: string, error: BallastError, opened: boolean): void {
    if (this.failedOn.size < 2) this.failedOn.add(sampleId)
    if (this.left !== null) this.left = { ...this.left, reason: error.message }
    if (!opened) return
    this.left = { since: Date.now(), reason: error.message }
    this.deps.metrics.judgeBreaker(this.model, true)
    this.deps.log.warn(
      { model: this.model, reason: error.message },
      'the judge keeps failing and is left alone but for a question now and then; samples wait',
    )
  }

  /** A failure that opens or keeps open the breaker; unless one sample alone made all of them, and may be why. */
  private isJudges({ code }: BallastError): boolean {
    return this.breaker.tripped && (code === 'ballast_upstream_unavailable' || this.failedOn.size > 1)
  }
}

/** Null where the judge does not say. */
function tokensOf({ promptTokens, completionTokens }: JudgeAnswer): number | null {
  return promptTokens === 0 ? null : promptTokens + completionTokens
}
