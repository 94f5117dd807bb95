/**
 * A circuit breaker: who keeps failing is left alone for a while, then tried with one request. Used by the pipeline for
 * upstreams (`retry.ts`) and by judging for judge models (`gate.ts`). Libraries for it wrap promises; here an attempt may
 * be a run of events, and whether one would be let through is asked before there is one, so it only keeps the state.
 */

export interface BreakerOptions {
  /** Failures in a row that open it. */
  readonly failures: number
  /** How long it stays open, in milliseconds. */
  readonly cooldown: number
  /** Each failed probe doubles the cooldown up to this, in milliseconds; left out: it stays as it is. */
  readonly longestCooldown?: number
}

/** Leave to send a request, handed back with what came of it. */
export interface Pass {
  /** How often the breaker had opened or closed before: what came of older requests says nothing any more. */
  readonly epoch: number
  readonly probe: boolean
}

export class Breaker {
  private readonly options: BreakerOptions
  private readonly now: () => number
  private failuresInRow = 0
  private openUntil = Number.NEGATIVE_INFINITY
  private cooldown: number
  private probing = false
  /** For requests while it is closed. */
  private usual: Pass = { epoch: 0, probe: false }

  /** @param now a monotonic clock in milliseconds. */
  constructor(options: BreakerOptions, now: () => number = () => performance.now()) {
    this.options = options
    this.now = now
    this.cooldown = options.cooldown
  }

  /** Whether it is open, or half-open. */
  get tripped(): boolean {
    return this.failuresInRow >= this.options.failures
  }

  /** `half-open`: one request tries it, or the next one would. */
  get state(): 'closed' | 'open' | 'half-open' {
    if (!this.tripped) return 'closed'
    return this.probing || this.awaitsProbe ? 'half-open' : 'open'
  }

  /** Failures in a row, without a success since. */
  get failures(): number {
    return this.failuresInRow
  }

  /** Whether the next request would be the probe. */
  get awaitsProbe(): boolean {
    return this.tripped && !this.probing && this.now() >= this.openUntil
  }

  /**
   * Asks to send a request. Once open, it lets one request through after the cooldown: the probe.
   * @returns null where it is not to be sent; else one of `succeed`, `fail` and `leave` must follow.
   */
  enter(): Pass | null {
    if (!this.tripped) return this.usual
    if (!this.awaitsProbe) return null
    this.probing = true
    return { epoch: this.usual.epoch, probe: true }
  }

  succeed(pass: Pass): void {
    if (pass.epoch !== this.usual.epoch) return
    this.failuresInRow = 0
    if (!pass.probe) return
    this.cooldown = this.options.cooldown
    this.turn()
  }

  /** @returns whether it opened by this, having been closed. */
  fail(pass: Pass): boolean {
    if (pass.epoch !== this.usual.epoch) return false
    this.failuresInRow++
    if (!this.tripped) return false
    if (pass.probe) this.cooldown = Math.min(this.cooldown * 2, this.options.longestCooldown ?? this.cooldown)
    this.openUntil = this.now() + this.cooldown
    this.turn()
    return !pass.probe
  }

  /** The request ended without telling anything of the upstream: its client left. */
  leave(pass: Pass): void {
    if (pass.probe && pass.epoch === this.usual.epoch) this.probing = false
  }

  /** How long to wait before trying again, in milliseconds; 0 when it may be tried now. */
  get waitMs(): number {
    return this.tripped ? Math.max(0, this.openUntil - this.now()) : 0
  }

  /** It opened or closed. */
  private turn(): void {
    this.usual = { epoch: this.usual.epoch + 1, probe: false }
    this.probing = false
  }
}
