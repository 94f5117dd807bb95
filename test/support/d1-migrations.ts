/** Makes the tables of D1 as `wrangler d1 migrations apply` does. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { D1Database } from '@cloudflare/workers-types'

const MIGRATIONS = join(import.meta.dirname, '../../migrations')

/** The statements of `migrations/`, in their order. */
export function migrationStatements(): string[] {
  return readdirSync(MIGRATIONS)
    .sort()
    .flatMap((name) =>
      readFileSync(join(MIGRATIONS, name), 'utf8')
        .replace(/^--.*\n/gm, '')
        .split(/;\n/),
    )
    .map((it) => it.trim())
    .filter((it) => it !== '')
}

/** Finds nothing where no table has been made yet. */
export const TABLES_MADE = "select name from sqlite_master where name = 'samples'"

/** As `wrangler d1 migrations apply` does. One that has its tables stays as it is. */
export async function migrateD1(d1: D1Database): Promise<void> {
  const made = await d1.prepare(TABLES_MADE).all()
  if (made.results.length > 0) return
  await d1.batch(migrationStatements().map((it) => d1.prepare(it)))
}
