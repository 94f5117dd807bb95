/** Opens the store that a configuration names, and loads what it stands on only then. Called by `node.ts` and by commands that read the store. */
import type { Log } from '../domain/ports.ts'
import type { Archive, Queue, Store } from '../domain/store.ts'
import { isPostgres, storeProblem } from '../domain/store-address.ts'

export type OpenStore = Store &
  Queue &
  Archive & {
    /** Takes no more than this many waiting samples from now on. */
    limitQueue(limit: number): void
  }

export interface OpenStoreOptions {
  /** Samples that may wait for a verdict; more are refused. */
  readonly queueLimit: number
  /** Hears of trouble that no call waits for, such as a lost connection. */
  readonly log: Log
}

/**
 * @param store `sqlite:PATH`, `memory` or a `postgres://` URL.
 * @throws Error naming the store, without its password, when it cannot be opened.
 */
export async function openStore(store: string, options: OpenStoreOptions): Promise<OpenStore> {
  const { queueLimit } = options
  const problem = storeProblem(store)
  if (problem !== null) throw new Error(`the store ${problem}`)
  if (isPostgres(store)) {
    const { openPostgresStore } = await import('./store-postgres.ts')
    return await openPostgresStore({ ...options, url: store })
  }
  const { openSqliteStore } = await import('./store-sqlite.ts')
  return await openSqliteStore({
    path: store === 'memory' ? ':memory:' : store.slice('sqlite:'.length),
    queueLimit,
  })
}
