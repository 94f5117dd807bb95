/**
 * The order in which a follower counts verdicts (`src/node/evidence.ts`), for simulations: requests in order, each waited
 * for a set time, and every sample that is stored until it is judged. What is stored after its time has passed is left
 * out. Called by `simulation.ts`.
 */

/** A request with the times of what becomes of it, in milliseconds. */
export interface TimedRequest {
  readonly requestedAt: number
  /** When its answer is over and stored as a sample. */
  readonly storedAt: number
  readonly judgedAt: number
}

export class FollowedOrder<R extends TimedRequest> {
  /** In the order of the requests. */
  private readonly requests: readonly R[]
  private readonly wait: number
  private next = 0
  private tooLate = 0
  /** Those that came late and have no verdict yet. */
  private pending: R[] = []

  constructor(requests: readonly R[], wait: number) {
    this.requests = requests
    this.wait = wait
  }

  /** What may be counted now that could not before. Moments must rise. */
  read(now: number): R[] {
    const counted: R[] = []
    // A sample that came late is waited for like any other, although it does not count.
    this.pending = this.pending.filter(({ judgedAt }) => judgedAt > now)
    if (this.pending.some(({ storedAt }) => storedAt <= now)) return counted
    for (; this.next < this.requests.length; this.next++) {
      const request = this.requests[this.next]!
      if (request.requestedAt > now - this.wait) break
      if (request.storedAt > now) {
        this.tooLate++
        this.pending.push(request)
      } else if (request.judgedAt > now) break
      else counted.push(request)
    }
    return counted
  }

  /** Requests left out because they were stored late. */
  get late(): number {
    return this.tooLate
  }
}
