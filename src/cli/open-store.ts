/** Opens the store of a configuration for the commands that read samples. */
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
