/**
 * Requests a minute to one judge model, of all processes together. Called by `gate.ts`.
 *
 * Time is cut into windows of a second, or longer ones that hold one request where there are fewer than 60 a minute. A
 * request takes a place in the first window that has one, and waits for it: so a minute's worth is spread over the minute,
 * and unused places are not saved up. Processes share the windows through counters; their clocks should agree.
 */
import type { Store } from '../domain/store.ts'

export type Count = Store['count']

const MINUTE_MS = 60_000
/** No place further ahead is taken. */
export const PACE_HORIZON_MS = 60_000
/** Counters are kept so long after their window. */
const KEPT_MS = 60_000

export class RequestPace {
  private readonly name: string
  readonly perMinute: number
  private readonly count: Count
  private readonly now: () => number
  private readonly windowMs: number
  /** Those before it have no place left, as far as is known. */
  private firstFree = 0
  /** Places that were seen taken in the windows of the last minute. */
  private readonly taken = new Map<number, number>()

  /** @param name of the model; @param count the store's; @param now milliseconds since the epoch. */
  constructor(name: string, perMinute: number, count: Count, now: () => number = Date.now) {
    this.name = name
    this.perMinute = perMinute
    this.count = count
    this.now = now
    this.windowMs = Math.max(1_000, MINUTE_MS / perMinute)
  }

  /** @returns how long to wait before the request, in milliseconds; null: there is no place within the horizon. */
  async reserve(): Promise<number | null> {
    const now = this.now()
    for (let window = Math.max(this.windowAt(now), this.firstFree); ; window = this.firstFree) {
      const start = window * this.windowMs
      if (start - now > PACE_HORIZON_MS) return null
      const until = Math.ceil(start + this.windowMs + KEPT_MS)
      const taken = await this.count(`judge:requests:${this.name}:${Math.round(start)}`, 1, until)
      const places = this.placesIn(window)
      // Of counts under way at the same time an earlier one may come back later.
      this.taken.set(window, Math.max(this.taken.get(window) ?? 0, Math.min(taken, places)))
      if (taken >= places) this.firstFree = Math.max(this.firstFree, window + 1)
      if (taken <= places) return Math.max(0, start - this.now())
    }
  }

  /** How long until there may be a place, in milliseconds; 0: there may be one now. */
  get waitMs(): number {
    return Math.max(0, this.firstFree * this.windowMs - this.now())
  }

  /** Requests left of this minute's, as far as this process knows. */
  get remaining(): number {
    const oldest = this.windowAt(this.now() - MINUTE_MS)
    let taken = 0
    for (const [window, count] of this.taken) {
      if (window <= oldest) this.taken.delete(window)
      else taken += count
    }
    return Math.max(0, this.perMinute - taken)
  }

  private windowAt(time: number): number {
    return Math.floor(time / this.windowMs)
  }

  /** Of 90 a minute one in this second and two in the next. */
  private placesIn(window: number): number {
    if (this.perMinute <= 60) return 1
    const perWindow = (this.perMinute * this.windowMs) / MINUTE_MS
    return Math.floor((window + 1) * perWindow) - Math.floor(window * perWindow)
  }
}
