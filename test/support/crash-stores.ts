/** The stores that must survive crashes (`crash.test.ts`): a row each. */
import { rows, storeFile } from './office.ts'

export interface CrashStore {
  readonly name: string
  /** A new and empty one. */
  open(): Promise<OpenCrashStore>
}

export interface OpenCrashStore {
  /** As `store:` in the configuration. */
  readonly url: string
  query(sql: string): Promise<Record<string, unknown>[]>
}

export const CRASH_STORES: readonly CrashStore[] = [
  {
    name: 'SQLite',
    async open() {
      const file = storeFile()
      return { url: `sqlite:${file}`, query: async (sql) => rows(file, sql) }
    },
  },
]
