/** How many samples wait, and since when, in SQL. Called by `store-queue.ts` and `store-d1.ts`. */
import { type Kysely, sql } from 'kysely'
import type { QueueStatus } from '../domain/store.ts'
import type { Tables } from './store-tables.ts'

export async function queueStatus(db: Kysely<Tables>): Promise<QueueStatus> {
  const row = await db
    .selectFrom('samples')
    .select((eb) => [eb.fn.countAll<number>().as('depth'), eb.fn.min('requested_at').as('oldest')])
    .where('done', '=', sql.lit(0))
    .executeTakeFirstOrThrow()
  return { depth: Number(row.depth), oldestAt: row.oldest }
}

/** When the first of them may be taken, milliseconds since the epoch; null: none waits. */
export async function nextDue(db: Kysely<Tables>): Promise<number | null> {
  const row = await db
    .selectFrom('samples')
    .select((eb) => eb.fn.min('visible_at').as('at'))
    .where('done', '=', sql.lit(0))
    .executeTakeFirst()
  return row?.at ?? null
}
