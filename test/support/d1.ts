/** A real D1 (workerd's, through Miniflare) with the tables of `migrations/`, used from Node. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { D1Database } from '@cloudflare/workers-types'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { afterAll } from 'vitest'
import { COMPATIBILITY_DATE } from './worker.ts'

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

/** As `wrangler d1 migrations apply` does. One that has its tables stays as it is. */
export async function migrateD1(d1: D1Database): Promise<void> {
  const made = await d1.prepare("select name from sqlite_master where name = 'samples'").all()
  if (made.results.length > 0) return
  await d1.batch(migrationStatements().map((it) => d1.prepare(it)))
}

let miniflare: Miniflare | null = null

/** The D1 of this test file, empty. */
export async function emptyD1(): Promise<D1Database> {
  if (miniflare === null) {
    miniflare = new Miniflare(
      convertV4MiniflareOptions({
        modules: true,
        script: 'export default {}',
        compatibilityDate: COMPATIBILITY_DATE,
        d1Databases: ['DB'],
      }),
    )
    await migrateD1((await miniflare.getD1Database('DB')) as unknown as D1Database)
  }
  const d1 = (await miniflare.getD1Database('DB')) as unknown as D1Database
  const tables = migrationStatements().flatMap((it) => /^CREATE TABLE "(?!kysely)(\w+)"/.exec(it)?.[1] ?? [])
  await d1.batch(tables.map((it) => d1.prepare(`delete from ${it}`)))
  return d1
}

afterAll(async () => {
  await miniflare?.dispose()
  miniflare = null
})
