/**
 * Pools of connections to upstreams, over the configurations that follow each other: one whose settings did not change
 * is shared with its successor, its breaker too; one that no configuration in use knows any more is closed.
 * Used by `snapshot.ts`.
 */
import { isDeepStrictEqual } from 'node:util'
import { createUndiciUpstream } from '../adapters/upstream-undici.ts'
import type { Config } from '../config/load.ts'
import type { UpstreamConfig } from '../config/schema.ts'
import { Breaker } from '../domain/breaker.ts'
import type { Log, Metrics, Upstream } from '../domain/ports.ts'
import { placeOf } from '../domain/upstream-place.ts'
import { compileHeaderRules } from '../pipeline/headers.ts'
import { type Target, withRetries } from '../pipeline/retry.ts'

/** Connections that live as long as a configuration in use holds them. */
interface Pool {
  readonly upstream: Upstream
  holders: number
}

interface Part {
  readonly settings: UpstreamConfig
  readonly pool: Pool
  readonly breaker: Breaker
}

/** The upstreams of one configuration. */
export interface OpenUpstreams {
  /** As the pipeline sees them: with retries, fallback and breaker. */
  readonly byName: ReadonlyMap<string, Upstream>
  readonly parts: ReadonlyMap<string, Part>
}

/** How an upstream stands, as one process sees it. */
export interface UpstreamState {
  readonly upstream: string
  readonly breaker: Breaker['state']
  /** In a row. */
  readonly failures: number
  /** Until it is tried again; 0 while it is closed. */
  readonly retryInMs: number
  readonly fallback: readonly string[]
}

export function upstreamStates({ parts }: Pick<OpenUpstreams, 'parts'>): UpstreamState[] {
  return [...parts].map(([upstream, { breaker, settings }]) => ({
    upstream,
    breaker: breaker.state,
    failures: breaker.failures,
    retryInMs: Math.ceil(breaker.waitMs),
    fallback: settings.fallback,
  }))
}

export class UpstreamPools {
  private readonly metrics: Metrics
  private readonly log: Log
  private readonly open = new Set<Pool>()
  private readonly closing = new Set<Promise<void>>()

  constructor(metrics: Metrics, log: Log) {
    this.metrics = metrics
    this.log = log
  }

  /**
   * Opens what a configuration asks for; `release` must follow.
   * @param previous the upstreams in force, still held.
   */
  hold({ upstreams }: Pick<Config, 'upstreams'>, previous: OpenUpstreams | null): OpenUpstreams {
    const parts = new Map(
      Object.entries(upstreams).map(([name, settings]) => [
        name,
        this.part(name, settings, previous?.parts.get(name)),
      ]),
    )
    for (const { pool } of parts.values()) pool.holders++
    const target = (name: string): Target => {
      const { settings, pool, breaker } = parts.get(name)!
      const place = placeOf(name, settings.base_url)
      return { name, place, upstream: pool.upstream, retries: settings.retries, breaker }
    }
    const byName = Object.entries(upstreams).map(
      ([name, { fallback }]) =>
        [name, withRetries(name, [target(name), ...fallback.map(target)], this.log)] as const,
    )
    return { byName: new Map(byName), parts }
  }

  /** Closes the pools that nobody holds any more. The configuration's requests are over. */
  release({ parts }: OpenUpstreams): void {
    for (const { pool } of parts.values()) {
      pool.holders--
      if (pool.holders === 0) this.end(pool)
    }
  }

  /** Closes every pool, whoever holds it. */
  async close(): Promise<void> {
    for (const pool of this.open) this.end(pool)
    await Promise.all(this.closing)
  }

  private part(name: string, settings: UpstreamConfig, before: Part | undefined): Part {
    const pool =
      before !== undefined && isDeepStrictEqual(connection(before.settings), connection(settings))
        ? before.pool
        : this.create(name, settings)
    const breaker =
      before?.pool === pool && isDeepStrictEqual(before.settings.breaker, settings.breaker)
        ? before.breaker
        : new Breaker(settings.breaker)
    return { settings, pool, breaker }
  }

  private create(name: string, settings: UpstreamConfig): Pool {
    const { base_url: baseUrl, api_key: key, timeout } = settings
    const { metrics } = this
    const headers = compileHeaderRules({ ...settings.headers, apiKey: key ?? null })
    const upstream = createUndiciUpstream({ name, baseUrl, headers, timeout, metrics })
    const pool: Pool = { upstream, holders: 0 }
    this.open.add(pool)
    return pool
  }

  private end(pool: Pool): void {
    this.open.delete(pool)
    const closing = pool.upstream
      .close()
      .catch((error: unknown) =>
        this.log.warn({ err: error }, 'connections to an upstream were not closed in order'),
      )
      .finally(() => this.closing.delete(closing))
    this.closing.add(closing)
  }
}

/** What a pool is made of; the rest stands round it. */
function connection({ retries: _, fallback: __, breaker: ___, ...made }: UpstreamConfig) {
  return made
}
