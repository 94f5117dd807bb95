/**
 * The Durable Object that counts a client's requests of a minute for all isolates; each client has one of its own. In
 * memory: it lives longer than the minute. Asked through `limits.ts`.
 */
import { DurableObject } from 'cloudflare:workers'
import type { CreateRate } from '../http/limits.ts'
import type { Objects } from './objects.ts'

const MINUTE_MS = 60_000

export class RateObject extends DurableObject {
  private endsAt = 0
  private count = 0

  /** @returns null when the request is within the minute's, else in how many milliseconds the next minute begins. */
  consume(perMinute: number): number | null {
    const now = Date.now()
    if (now >= this.endsAt) {
      this.endsAt = now + MINUTE_MS
      this.count = 0
    }
    this.count++
    return this.count <= perMinute ? null : this.endsAt - now
  }
}

/** Requests per minute, counted for all isolates together. */
export function objectRates(rates: Objects<RateObject>): CreateRate {
  return (perMinute) => ({ consume: (client) => rates.getByName(client).consume(perMinute) })
}
