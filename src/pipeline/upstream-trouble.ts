/** Says that an upstream gives no answers: at once, and then now and then with how often. One for each upstream, made by `retry.ts`. */
import type { BallastError } from '../domain/errors.ts'
import type { Log } from '../domain/ports.ts'

const WARN_EVERY_MS = 30_000

export class UpstreamTrouble {
  private readonly upstream: string
  private readonly log: Log
  private failures = 0
  private warnedAt = Number.NEGATIVE_INFINITY

  constructor(upstream: string, log: Log) {
    this.upstream = upstream
    this.log = log
  }

  /** A request had no answer, or no whole one, whatever was tried. */
  failed({ code, message }: BallastError): void {
    this.failures++
    const now = performance.now()
    if (now - this.warnedAt < WARN_EVERY_MS) return
    this.log.warn(
      { upstream: this.upstream, code, reason: message, failures: this.failures },
      'requests fail: their upstream gives no answer, or not all of it',
    )
    this.warnedAt = now
    this.failures = 0
  }
}
