/** A warning of what happens again and again: said at once, then now and then with how often. Used by `pipeline/` and `judge/`. */
import type { Log } from './ports.ts'

export class RepeatedWarning {
  private readonly log: Log
  private readonly message: string
  private readonly everyMs: number
  private times = 0
  private saidAt = Number.NEGATIVE_INFINITY

  constructor(log: Log, message: string, everyMs: number) {
    this.log = log
    this.message = message
    this.everyMs = everyMs
  }

  /** It happened. @param fields of the log's line; `times`: how often since it was said last. */
  happened(fields: (times: number) => Readonly<Record<string, unknown>>): void {
    this.times++
    const now = performance.now()
    if (now - this.saidAt < this.everyMs) return
    this.log.warn(fields(this.times), this.message)
    this.saidAt = now
    this.times = 0
  }
}
