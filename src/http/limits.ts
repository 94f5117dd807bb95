/**
 * What one ballast takes on: requests at a time, in all and per client, and requests per minute per client. Asked by the
 * data plane before a body is read, so that a flood costs no memory.
 */
import { BallastError } from '../domain/errors.ts'

export interface ClientLimits {
  readonly name: string
  readonly requests_per_minute?: number | undefined
  readonly concurrent?: number | undefined
}

/** Counts the requests of one minute, which begins with the first of them. */
export interface MinuteRate {
  /** @returns null when the request is within the minute's, else in how many milliseconds the next minute begins. */
  consume(client: string): Promise<number | null>
}

/** @param perMinute requests that are within. */
export type CreateRate = (perMinute: number) => MinuteRate

interface ClientState {
  /** Requests at a time. */
  readonly most: number
  readonly perMinute: number | undefined
  readonly rate: MinuteRate | null
}

/** What runs, whatever the limits are. */
interface Running {
  total: number
  readonly byClient: Map<string, number>
}

/** When to come back after too many requests at a time; they end at any moment. */
const SOON_SECONDS = 1

export class Limits {
  private readonly most: number
  private readonly clients: ReadonlyMap<string, ClientState>
  private readonly running: Running

  /**
   * @param concurrent requests at a time, in all.
   * @param createRate where requests per minute are counted.
   * @param previous the limits so far: what runs still counts, and so does the minute of a client whose limit is the same.
   */
  constructor(
    concurrent: number,
    clients: readonly ClientLimits[],
    createRate: CreateRate,
    previous?: Limits,
  ) {
    this.most = concurrent
    this.running = previous?.running ?? { total: 0, byClient: new Map() }
    this.clients = new Map(
      clients.map(({ name, requests_per_minute: perMinute, concurrent: most = Number.POSITIVE_INFINITY }) => {
        const before = previous?.clients.get(name)
        const rate = before?.perMinute === perMinute ? before?.rate : undefined
        return [
          name,
          { most, perMinute, rate: rate ?? (perMinute === undefined ? null : createRate(perMinute)) },
        ]
      }),
    )
  }

  /** Requests that run now. */
  get inFlight(): number {
    return this.running.total
  }

  /**
   * Takes a request on; `leave` must follow.
   * @throws BallastError `ballast_overloaded`, `ballast_rate_limited`: then it was not taken on.
   */
  enter(client: string | null): void {
    if (this.running.total >= this.most) {
      throw new BallastError(
        'ballast_overloaded',
        `ballast handles ${this.most} requests at a time and has them.`,
        {
          source: 'internal',
          retryable: true,
          retryAfterSeconds: SOON_SECONDS,
        },
      )
    }
    const own = client === null ? 0 : (this.running.byClient.get(client) ?? 0)
    if (client !== null && own >= this.mostOf(client)) {
      throw rateLimited(`This key may have ${own} requests at a time and has them.`, SOON_SECONDS)
    }
    this.running.total++
    if (client !== null) this.running.byClient.set(client, own + 1)
  }

  leave(client: string | null): void {
    this.running.total--
    if (client === null) return
    const rest = this.running.byClient.get(client)! - 1
    // A client that was taken out of the configuration leaves nothing behind.
    if (rest > 0) this.running.byClient.set(client, rest)
    else this.running.byClient.delete(client)
  }

  /**
   * Counts a request against the client's minute.
   * @returns null where the client has no such limit, else what resolves when it is within and rejects with
   *   `ballast_rate_limited` when it is not.
   */
  count(client: string | null): Promise<void> | null {
    const { rate = null, perMinute } = this.clients.get(client ?? '') ?? {}
    if (client === null || rate === null) return null
    return rate.consume(client).then((waitMs) => {
      if (waitMs === null) return
      const seconds = Math.max(1, Math.ceil(waitMs / 1000))
      throw rateLimited(`This key may send ${perMinute} requests a minute and has sent them.`, seconds)
    })
  }

  private mostOf(client: string): number {
    return this.clients.get(client)?.most ?? Number.POSITIVE_INFINITY
  }
}

function rateLimited(message: string, retryAfterSeconds: number): BallastError {
  return new BallastError('ballast_rate_limited', message, {
    source: 'client',
    retryable: true,
    retryAfterSeconds,
  })
}
