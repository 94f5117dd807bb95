/** Opens the store that a configuration names. Used by the back office and by `ballast judge`. */
import { openSqliteStore } from '../adapters/store-sqlite.ts'
import type { Archive, Queue, Store } from '../domain/ports.ts'

/** Samples and verdicts, and the queue between them. */
export interface OpenStore extends Store, Queue, Archive {
  /** Takes no more than this many waiting samples from now on. */
  limitQueue(limit: number): void
}

/**
 * @param store as the configuration names it: `memory`, `sqlite:PATH`.
 * @param queueLimit samples that may wait for a verdict.
 * @throws Error naming the store when it cannot be opened.
 */
export function openStore(store: string, queueLimit: number): Promise<OpenStore> {
  const path = store === 'memory' ? ':memory:' : store.slice('sqlite:'.length)
  return openSqliteStore({ path, queueLimit })
}
