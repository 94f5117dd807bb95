/**
 * Tokens a day to and from one judge model, of all processes together. Called by `gate.ts`.
 *
 * Before a call an estimate of what it will use is added to the day's counter, and after it the counter is put right. A
 * call begins while anything is left, so a day ends above its budget by one call at most.
 */
import type { Count } from './pace.ts'

export const DAY_MS = 86_400_000
/** What other processes used is looked up this often, so that nobody waits for tokens that were given back. */
const REFRESH_MS = 10_000
/** Of text in a Western language; other text has more tokens, and is put right after the call. */
const CHARACTERS_PER_TOKEN = 3.5

/** What was added for a call, and to which day. */
export interface Reservation {
  readonly day: number
  readonly tokens: number
}

/** @param reply the longest the reply may be, in tokens. */
export function estimateTokens(prompt: string, reply: number): number {
  return Math.ceil(prompt.length / CHARACTERS_PER_TOKEN) + reply
}

export class TokenBudget {
  private readonly name: string
  private readonly perDay: number
  private readonly count: Count
  private readonly now: () => number
  private day = -1
  private used = 0
  private refreshedAt = Number.NEGATIVE_INFINITY

  /** @param name of the model; @param count the store's; @param now milliseconds since the epoch. */
  constructor(name: string, perDay: number, count: Count, now: () => number = Date.now) {
    this.name = name
    this.perDay = perDay
    this.count = count
    this.now = now
  }

  /** @returns what is to be handed to `correct` after the call; null: the day's tokens are used up. */
  async reserve(tokens: number): Promise<Reservation | null> {
    const day = this.today
    const used = await this.add(day, tokens)
    if (used - tokens < this.perDay) return { day, tokens }
    await this.add(day, -tokens)
    return null
  }

  /** Puts in place of what was reserved what was used. */
  async correct({ day, tokens }: Reservation, used: number): Promise<void> {
    if (used !== tokens) await this.add(day, used - tokens)
  }

  /** Looks up what all have used, now and then. */
  async refresh(): Promise<void> {
    if (this.day === this.today && this.now() - this.refreshedAt < REFRESH_MS) return
    this.refreshedAt = this.now()
    await this.add(this.today, 0)
  }

  /** Tokens left of this UTC day's, as far as this process knows. */
  get remaining(): number {
    return this.day === this.today ? Math.max(0, this.perDay - this.used) : this.perDay
  }

  private get today(): number {
    return Math.floor(this.now() / DAY_MS)
  }

  private async add(day: number, tokens: number): Promise<number> {
    // A call of yesterday's may be put right today.
    const used = await this.count(`judge:tokens:${this.name}:${day}`, tokens, (day + 2) * DAY_MS)
    if (day >= this.day) {
      this.day = day
      this.used = used
    }
    return used
  }
}
