/** What a Worker is bound to (`wrangler.toml`); the texts are what `${NAME}` in its configuration stands for. */
import type { KVNamespace } from '@cloudflare/workers-types'
import type { MetricsObject } from './metrics-object.ts'
import type { Objects } from './objects.ts'
import type { RateObject } from './rate-object.ts'

export interface Env {
  readonly METRICS: Objects<MetricsObject>
  readonly RATES: Objects<RateObject>
  /** Holds the configuration and the arms' switches; without it, what was bundled is in force. */
  readonly SETTINGS?: KVNamespace
  readonly [name: string]: unknown
}

/** Variables and secrets, without the other bindings. */
export function textsOf(env: Env): Record<string, string> {
  const texts = Object.entries(env).filter((entry): entry is [string, string] => typeof entry[1] === 'string')
  return Object.fromEntries(texts)
}

/** What Cloudflare gives a request beside itself. */
export interface Context {
  /** Keeps the isolate at work after the answer; for some 30 seconds at most. */
  waitUntil(work: Promise<unknown>): void
}
