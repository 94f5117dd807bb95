/** The stores that must survive crashes (`crash.test.ts`): a row each. */

import { rows, storeFile } from './office.ts'
import type { PostgresServer } from './postgres.ts'

export interface CrashStore {
  /** As `store:` in the configuration. */
  readonly url: string
  query(sql: string): Promise<Record<string, unknown>[]>
}

/** A new and empty one. */
export function sqliteCrashStore(): CrashStore {
  const file = storeFile()
  return { url: `sqlite:${file}`, query: async (sql) => rows(file, sql) }
}

/** A new and empty one. */
export async function postgresCrashStore(server: PostgresServer): Promise<CrashStore> {
  const url = await server.database()
  const inSchema = `${url}?options=${encodeURIComponent('-c search_path=ballast')}`
  return { url, query: (sql) => server.query(inSchema, sql) }
}
