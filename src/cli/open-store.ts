/** The store that a configuration names, for the commands that run beside ballast. */
import { existsSync } from 'node:fs'
import { type OpenStore, openStore } from '../adapters/store.ts'
import type { Config } from '../config/load.ts'
import { noLog } from '../domain/ports.ts'
import { isPostgres } from '../domain/store-address.ts'
import { UsageError } from './usage.ts'

export type { OpenStore }

type Named = Pick<Config, 'store'>

const OPTIONS = { queueLimit: Number.POSITIVE_INFINITY, log: noLog }
const IN_MEMORY =
  'The configuration keeps everything in memory (store: memory), which only the running ballast can see: look at its page or /api/experiments, or keep a file with `store: sqlite:./ballast.db`.'

/**
 * Does something with a store, which is made where there is none, and closes it.
 * @throws UsageError where it is another process's memory. @throws Error when it cannot be opened.
 */
export async function withStore<T>({ store }: Named, use: (store: OpenStore) => Promise<T>): Promise<T> {
  if (isInMemory(store)) throw new UsageError(IN_MEMORY)
  const open = await openStore(store, OPTIONS)
  try {
    return await use(open)
  } finally {
    await open.close()
  }
}

/**
 * The same with a store that is there already: a file that is missing is not made.
 * @throws UsageError as `withStore`, and where there is no file.
 */
export async function withFilledStore<T>(config: Named, use: (store: OpenStore) => Promise<T>): Promise<T> {
  const path = config.store.slice('sqlite:'.length)
  if (!isInMemory(config.store) && !isPostgres(config.store) && !existsSync(path))
    throw new UsageError(`There is no store at ${path}; ballast makes it when it serves for the first time.`)
  return await withStore(config, use)
}

/**
 * Opens it for reading. A file is neither made nor brought up to date.
 * @throws UsageError where it is another process's memory. @throws Error when it cannot be opened.
 */
export async function openStoreForReading({ store }: Named): Promise<OpenStore> {
  if (isInMemory(store)) throw new UsageError(IN_MEMORY)
  if (isPostgres(store)) return await openStore(store, OPTIONS)
  const { openSqliteStore } = await import('../adapters/store-sqlite.ts')
  return await openSqliteStore({ path: store.slice('sqlite:'.length), queueLimit: 1, readOnly: true })
}

function isInMemory(store: string): boolean {
  return store === 'memory' || store === 'sqlite::memory:'
}
