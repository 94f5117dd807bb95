/** Opens the store of a configuration for a command that runs beside ballast. */
import { openSqliteStore } from '../adapters/store-sqlite.ts'
import type { Config } from '../config/load.ts'
import type { Store } from '../domain/ports.ts'
import { UsageError } from './usage.ts'

/**
 * Opens it, and closes it when `use` is over.
 * @param file of the configuration, as it was named.
 * @throws UsageError where the store is another process's memory. @throws Error when it cannot be opened.
 */
export async function withStore<T>(
  config: Pick<Config, 'store'>,
  file: string,
  use: (store: Store) => Promise<T>,
): Promise<T> {
  if (config.store === 'memory')
    throw new UsageError(
      `${file} says \`store: memory\`, which only the running ballast can see. Use a store such as sqlite:./ballast.db, or \`off: true\` on the arm in the configuration, which is taken up while it runs.`,
    )
  const path = config.store.slice('sqlite:'.length)
  const store = await openSqliteStore({ path, queueLimit: Number.POSITIVE_INFINITY })
  try {
    return await use(store)
  } finally {
    await store.close()
  }
}
