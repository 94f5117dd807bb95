/**
 * Taking samples and giving them back on SQLite, a statement each, which is a transaction of its own. Called by
 * `store-sqlite.ts` and `store-d1.ts`.
 */
import { type ExpressionBuilder, type Kysely, sql } from 'kysely'
import type { Sample } from '../domain/sample.ts'
import type { LeasedSample } from '../domain/store.ts'
import { leasedSamples } from './store-rows.ts'
import type { Tables } from './store-tables.ts'

/** In the words of the partial indexes: SQLite does not look for one where 0 is a parameter. */
const WAITING = sql<boolean>`done = 0`
/** Each is two of the values that a statement may have, 100 on D1. */
const HELD_AT_A_TIME = 40
/** More are looked for among all that is due: D1 joins no more queries than these. */
const MOST_CHECKS = 5

/** Samples are taken by it: one that waits for a second try comes behind those that came meanwhile. */
export function firstVisible({ requestedAt }: Sample): number {
  return Math.min(requestedAt, Date.now())
}

export async function takeSamples(
  db: Kysely<Tables>,
  max: number,
  leaseMs: number,
  checks?: readonly string[],
): Promise<LeasedSample[]> {
  if (checks?.length === 0) return []
  const now = Date.now()
  const rows = await db
    .updateTable('samples')
    .set((eb) => ({
      visible_at: now + leaseMs,
      attempts: eb('attempts', '+', 1),
      takings: eb('takings', '+', 1),
    }))
    .where('id', 'in', due(db, now, max, checks))
    .returningAll()
    .execute()
  return leasedSamples(rows)
}

/** @returns those that nobody else has taken meanwhile. */
export async function extendLeases(
  db: Kysely<Tables>,
  leased: readonly LeasedSample[],
  leaseMs: number,
): Promise<LeasedSample[]> {
  const held = new Map<string, number>()
  for (const some of chunks(leased)) {
    const rows = await db
      .updateTable('samples')
      .set({ visible_at: Date.now() + leaseMs })
      .where(WAITING)
      .where(heldAs(some))
      .returning(['id', 'takings'])
      .execute()
    for (const { id, takings } of rows) held.set(id, takings)
  }
  return leased.filter(({ sample, taking }) => held.get(sample.id) === taking)
}

export async function delaySample(db: Kysely<Tables>, leased: LeasedSample, delayMs: number): Promise<void> {
  await db
    .updateTable('samples')
    .set({ visible_at: Date.now() + delayMs })
    .where(heldAs([leased]))
    .execute()
}

/** @param run a statement, again where it was surely not done. */
export async function releaseSamples(
  db: Kysely<Tables>,
  leased: readonly LeasedSample[],
  delayMs: number,
  run: <T>(statement: () => Promise<T>) => Promise<T>,
): Promise<void> {
  const visibleAt = delayMs === 0 ? 0 : Date.now() + delayMs
  for (const some of chunks(leased)) {
    await run(() =>
      db
        .updateTable('samples')
        .set((eb) => ({ visible_at: visibleAt, attempts: eb('attempts', '-', 1) }))
        .where(WAITING)
        .where(heldAs(some))
        .execute(),
    )
  }
}

/** The ids of samples that may be taken. Of certain checks: from each its first ones, which an index has in order. */
function due(db: Kysely<Tables>, now: number, max: number, checks?: readonly string[]) {
  const first = (of: readonly string[] | null) =>
    db
      .selectFrom((eb) =>
        eb
          .selectFrom('samples')
          .select(['id', 'visible_at', 'requested_at'])
          .where(WAITING)
          .$if(of !== null, (it) =>
            it.where(sql<boolean>`check_id in (select value from json_each(${JSON.stringify(of)}))`),
          )
          .where('visible_at', '<=', now)
          .orderBy('visible_at')
          .orderBy('requested_at')
          .limit(max)
          .as('first'),
      )
      .selectAll()
  const each = checks === undefined ? [null] : checks.map((check) => [check])
  const [one, ...others] = each.length > MOST_CHECKS ? [checks!] : each
  const all = others.reduce((query, of) => query.unionAll(first(of)), first(one!))
  return db.selectFrom(all.as('due')).select('id').orderBy('visible_at').orderBy('requested_at').limit(max)
}

/** Samples that were not taken again since. */
function heldAs(leased: readonly LeasedSample[]) {
  return (eb: ExpressionBuilder<Tables, 'samples'>) =>
    eb.or(leased.map(({ sample, taking }) => eb.and([eb('id', '=', sample.id), eb('takings', '=', taking)])))
}

function chunks(leased: readonly LeasedSample[]): LeasedSample[][] {
  return Array.from({ length: Math.ceil(leased.length / HELD_AT_A_TIME) }, (_, n) =>
    leased.slice(n * HELD_AT_A_TIME, (n + 1) * HELD_AT_A_TIME),
  )
}
