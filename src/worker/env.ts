/** What a Worker is bound to (`wrangler.toml`); the texts are what `${NAME}` in its configuration stands for. */
import type { D1Database, KVNamespace, Queue } from '@cloudflare/workers-types'
import type { MetricsObject } from './metrics-object.ts'
import type { Objects } from './objects.ts'
import type { OfficeCalls } from './office-calls.ts'
import type { RateObject } from './rate-object.ts'

export interface Env {
  readonly METRICS: Objects<MetricsObject>
  readonly RATES: Objects<RateObject>
  readonly OFFICE: Objects<OfficeCalls>
  /** Holds the configuration and the arms' switches; without it, what was bundled is in force. */
  readonly SETTINGS?: KVNamespace
  /** Samples, verdicts and exposures; without it nothing is kept and nothing judged. */
  readonly DB?: D1Database
  /** Its messages wake the judge; without it, it is woken once a minute. */
  readonly JUDGING?: Queue
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
