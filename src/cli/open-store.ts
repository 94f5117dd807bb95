/** The store that a configuration names, for commands that only read it. Used by `report`, `plan` and `calibrate`. */
import { openSqliteStore } from '../adapters/store-sqlite.ts'
import type { Config } from '../config/load.ts'
import type { Archive, Store } from '../domain/ports.ts'
import { UsageError } from './usage.ts'

/**
 * Opens it for reading; nothing is made or brought up to date.
 * @throws UsageError where there is nothing that could be opened from here. @throws Error where it cannot be opened.
 */
export async function openStoreForReading({ store }: Pick<Config, 'store'>): Promise<Store & Archive> {
  if (store === 'memory' || store === 'sqlite::memory:') {
    throw new UsageError(
      'The configuration keeps everything in memory (store: memory), which only the running ballast can read: look at its page or /api/experiments, or keep a file with `store: sqlite:./ballast.db`.',
    )
  }
  return await openSqliteStore({ path: store.slice('sqlite:'.length), queueLimit: 1, readOnly: true })
}
