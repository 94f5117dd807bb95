/**
 * A circuit breaker: an upstream that keeps failing is left alone for a while, then tried with one request. Used by
 * `retry.ts`. Libraries for it wrap promises; here an attempt is a run of events, so it only keeps the state.
 */

export interface BreakerOptions {
  /** Failures in a row that open it. */
  readonly failures: number
  /** How long it stays open, in milliseconds. */
  readonly cooldown: number
}

export class Breaker {
  private readonly options: BreakerOptions
  private readonly now: () => number
  private failuresInRow = 0
  private openUntil = Number.NEGATIVE_INFINITY
  private probing = false

  /** @param now a monotonic clock in milliseconds. */
  constructor(options: BreakerOptions, now: () => number = () => performance.now()) {
    this.options = options
    this.now = now
  }

  /** Whether it is open, or half-open. */
  private get tripped(): boolean {
    return this.failuresInRow >= this.options.failures
  }

  /**
   * Asks to send a request. Once open, it lets one request through after the cooldown: the probe.
   * @returns whether to send; if so, `succeed`, `fail` or `leave` must follow.
   */
  enter(): boolean {
    if (!this.tripped) return true
    if (this.probing || this.now() < this.openUntil) return false
    this.probing = true
    return true
  }

  succeed(): void {
    this.failuresInRow = 0
    this.probing = false
  }

  /** @returns whether it opened by this. */
  fail(): boolean {
    this.failuresInRow++
    this.probing = false
    if (this.tripped) this.openUntil = this.now() + this.options.cooldown
    return this.failuresInRow === this.options.failures
  }

  /** The request ended without telling anything of the upstream: its client left. */
  leave(): void {
    this.probing = false
  }

  /** How long to wait before trying again, in milliseconds; 0 when it may be tried now. */
  get waitMs(): number {
    return this.tripped ? Math.max(0, this.openUntil - this.now()) : 0
  }
}
