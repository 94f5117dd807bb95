/**
 * Retries, fallback and circuit breaking round `Upstream`s: itself an `Upstream`. Composed by `node.ts`; the pipeline
 * does not know it is there. What is tried again and what not is in `docs/failover.md`.
 */

import type { Breaker, Pass } from '../domain/breaker.ts'
import { BallastError } from '../domain/errors.ts'
import {
  isStream,
  type Log,
  type RawHeaders,
  type Upstream,
  type UpstreamCall,
  type UpstreamHandler,
  type UpstreamRequest,
} from '../domain/ports.ts'
import { RepeatedWarning } from '../domain/repeated-warning.ts'
import type { UpstreamPlace } from '../domain/upstream-place.ts'
import { findHeader } from '../policy/raw-headers.ts'

/** An upstream, how often to try it again, and what guards it. */
export interface Target {
  readonly name: string
  readonly place: UpstreamPlace
  readonly upstream: Upstream
  readonly retries: number
  readonly breaker: Breaker
}

/** Exponential backoff with full jitter: a random wait up to FIRST * 2^n, at most LONGEST. */
const FIRST_WAIT_MS = 500
const LONGEST_WAIT_MS = 8_000
/** A `retry-after` beyond this is the client's to honour. */
const LONGEST_RETRY_AFTER_MS = 30_000
/** An answer that is not used is read to its end, so that its connection can be used again, if it is no longer. */
const NO_ANSWER = 'requests fail: their upstream gives no answer, or not all of it'
const WARN_EVERY_MS = 30_000
const DISCARD_LIMIT = 64 * 1024

/** @param targets in the order they are tried: the upstream itself, then its fallbacks. */
export function withRetries(name: string, targets: readonly [Target, ...Target[]], log: Log): Upstream {
  const trouble = new RepeatedWarning(log, NO_ANSWER, WARN_EVERY_MS)
  return {
    place: targets[0].place,
    send(request, handler) {
      const call = new RetryingCall(name, targets, { log, trouble }, request, handler)
      call.next(0)
      return call
    },
    // The targets are shared with other upstreams' fallbacks and closed by whoever made them.
    close: async () => {},
  }
}

/** 408, 429 and 5xx may be different next time. */
function isTransient(status: number): boolean {
  return status === 408 || status === 429 || status >= 500
}

/** Whether a status says that the upstream is unwell; a limit that was reached does not. */
function isFailure(status: number): boolean {
  return status >= 500
}

/** Where it is said what goes wrong. */
interface Told {
  readonly log: Log
  readonly trouble: RepeatedWarning
}

class RetryingCall implements UpstreamCall {
  private readonly name: string
  private readonly targets: readonly Target[]
  private readonly told: Told
  private readonly request: UpstreamRequest
  readonly handler: UpstreamHandler
  private target = 0
  private retriesUsed = 0
  /** Why the last try failed; null before there was one. */
  private failure: string | null = null
  private current: Attempt | null = null
  /** All so far: of those before the current one, the rest of an answer may still be read. */
  private readonly attempts: Attempt[] = []
  private timer: NodeJS.Timeout | null = null
  private left = false

  constructor(
    name: string,
    targets: readonly Target[],
    told: Told,
    request: UpstreamRequest,
    handler: UpstreamHandler,
  ) {
    this.told = told
    this.name = name
    this.targets = targets
    this.request = request
    this.handler = handler
  }

  /** Tries the targets from the given one on, passing over those whose breaker is open. */
  next(from: number): void {
    this.timer = null
    for (let index = from; index < this.targets.length; index++) {
      const { upstream, breaker } = this.targets[index]!
      const pass = breaker.enter()
      if (pass === null) continue
      if (index !== this.target) this.retriesUsed = 0
      this.target = index
      const attempt = new Attempt(this, this.targets[index]!, pass)
      this.attempts.push(attempt)
      this.current = attempt
      this.handler.onTry?.(this.targets[index]!.place, this.failure)
      attempt.start(upstream, this.request)
      return
    }
    this.fail(this.open())
  }

  private open(): BallastError {
    const waitMs = Math.min(...this.targets.map(({ breaker }) => breaker.waitMs))
    return new BallastError(
      'ballast_upstream_unavailable',
      `Upstream "${this.name}" has kept failing and is left alone.`,
      {
        source: 'upstream',
        retryable: true,
        retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)),
      },
    )
  }

  /** There is no answer, or no whole one, and nothing is left to try. */
  fail(error: BallastError): void {
    const { code, message: reason } = error
    this.told.trouble.happened((failures) => ({ upstream: this.name, code, reason, failures }))
    this.handler.onError(error)
  }

  /**
   * Takes over after a failed attempt, if there is something left to try.
   * @param failure a status or an error's code.
   * @param headers of the answer, null where there was none.
   * @param again whether the same target may be tried again.
   * @returns whether it did; if not, the attempt's outcome is the client's.
   */
  takeOver(failure: string, headers: RawHeaders | null, again: boolean): boolean {
    this.failure = failure
    // It was sent and is gone.
    if (isStream(this.request.body)) return false
    const retriesLeft = this.targets[this.target]!.retries - this.retriesUsed
    const wait = again && retriesLeft > 0 ? this.waitFor(headers) : null
    if (wait !== null) {
      this.retriesUsed++
      const { target } = this
      this.timer = setTimeout(() => this.next(target), wait)
      return true
    }
    const rest = this.targets.slice(this.target + 1)
    if (!rest.some(({ breaker }) => breaker.waitMs === 0)) return false
    const { target } = this
    // Not at once: the failed attempt is still being told of its end.
    this.timer = setTimeout(() => this.next(target + 1), 0)
    return true
  }

  /** How long to wait before the next try at the same target, in milliseconds; null when that would be too long. */
  private waitFor(headers: RawHeaders | null): number | null {
    const asked = headers === null ? null : retryAfter(headers)
    if (asked !== null) return asked <= LONGEST_RETRY_AFTER_MS ? asked : null
    return Math.random() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.retriesUsed)
  }

  /** Says once that a target is left alone. */
  opened(target: string, reason: string): void {
    this.told.log.warn(
      { upstream: target, reason },
      'an upstream keeps failing and is left alone for a while',
    )
  }

  get gone(): boolean {
    return this.left
  }

  abort(): void {
    this.left = true
    if (this.timer !== null) clearTimeout(this.timer)
    for (const attempt of this.attempts) attempt.abort()
  }

  pause(): void {
    this.current?.call?.pause()
  }

  resume(): void {
    this.current?.call?.resume()
  }
}

/** One try at one target. */
class Attempt implements UpstreamHandler {
  call: UpstreamCall | null = null
  private readonly owner: RetryingCall
  private readonly target: Target
  private headSeen = false
  private discarding = false
  private discarded = 0
  private over = false
  private readonly pass: Pass

  constructor(owner: RetryingCall, target: Target, pass: Pass) {
    this.owner = owner
    this.target = target
    this.pass = pass
  }

  start(upstream: Upstream, request: UpstreamRequest): void {
    const call = upstream.send(request, this)
    if (!this.over) this.call = call
  }

  abort(): void {
    if (this.over) return
    this.over = true
    if (!this.headSeen) this.target.breaker.leave(this.pass)
    this.call?.abort()
  }

  onInformation(status: number, headers: RawHeaders): void {
    this.owner.handler.onInformation(status, headers)
  }

  onHead(status: number, statusText: string, headers: RawHeaders): void {
    this.headSeen = true
    if (isFailure(status)) this.failed(`status ${status}`)
    else this.target.breaker.succeed(this.pass)
    if (isTransient(status) && this.owner.takeOver(String(status), headers, true)) this.discarding = true
    else this.owner.handler.onHead(status, statusText, headers)
  }

  onData(chunk: Uint8Array): void {
    if (!this.discarding) return this.owner.handler.onData(chunk)
    this.discarded += chunk.length
    if (this.discarded > DISCARD_LIMIT) this.abort()
  }

  onEnd(trailers: RawHeaders): void {
    this.over = true
    if (!this.discarding) this.owner.handler.onEnd(trailers)
  }

  onError(error: BallastError): void {
    this.over = true
    if (this.discarding) return
    if (this.headSeen) return this.owner.fail(error)
    this.failed(error.message)
    if (this.owner.gone) return
    if (!this.owner.takeOver(error.code, null, error.retryable)) this.owner.fail(error)
  }

  private failed(reason: string): void {
    if (this.target.breaker.fail(this.pass)) this.owner.opened(this.target.name, reason)
  }
}

/** What an answer asks to wait, in milliseconds: `retry-after-ms`, else `retry-after` in seconds or as a date. */
function retryAfter(headers: RawHeaders): number | null {
  const ms = Number.parseFloat(findHeader(headers, 'retry-after-ms') ?? '')
  if (ms >= 0) return ms
  const value = findHeader(headers, 'retry-after')
  if (value === null) return null
  if (/^\s*\d+(\.\d+)?\s*$/.test(value)) return Number(value) * 1000
  const date = Date.parse(value)
  return Number.isNaN(date) ? null : Math.max(0, date - Date.now())
}
