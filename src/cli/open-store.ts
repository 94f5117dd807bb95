/** The store that a configuration names, for the commands that read samples or reports. */
import { existsSync } from 'node:fs'
import { openSqliteStore } from '../adapters/store-sqlite.ts'
import type { Config } from '../config/load.ts'
import type { Archive, Store } from '../domain/ports.ts'
import { UsageError } from './usage.ts'

export type OpenStore = Store & Archive

/**
 * Does something with a store that is there already, and closes it.
 * @throws UsageError when there is none: it lives in another process's memory, or was never made.
 */
export async function withStore<T>({ store }: Config, use: (store: OpenStore) => Promise<T>): Promise<T> {
  const path = store.slice('sqlite:'.length)
  if (store === 'memory' || path === ':memory:')
    throw new UsageError('The store is in the memory of the ballast that runs: nothing else can read it.')
  if (!existsSync(path))
    throw new UsageError(`There is no store at ${path}; ballast makes it when it serves for the first time.`)
  const open = await openSqliteStore({ path, queueLimit: Number.POSITIVE_INFINITY })
  try {
    return await use(open)
  } finally {
    await open.close()
  }
}

/**
 * Opens it for reading; nothing is made or brought up to date.
 * @throws UsageError where there is nothing that could be opened from here. @throws Error where it cannot be opened.
 */
export async function openStoreForReading({ store }: Pick<Config, 'store'>): Promise<OpenStore> {
  if (store === 'memory' || store === 'sqlite::memory:') {
    throw new UsageError(
      'The configuration keeps everything in memory (store: memory), which only the running ballast can read: look at its page or /api/experiments, or keep a file with `store: sqlite:./ballast.db`.',
    )
  }
  return await openSqliteStore({ path: store.slice('sqlite:'.length), queueLimit: 1, readOnly: true })
}
