/** A real D1 (workerd's, through Miniflare) with the tables of `migrations/`, used from Node. */
import type { D1Database } from '@cloudflare/workers-types'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { afterAll } from 'vitest'
import { migrateD1, migrationStatements } from './d1-migrations.ts'
import { COMPATIBILITY_DATE } from './worker.ts'

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
