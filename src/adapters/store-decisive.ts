/** The verdicts that decisions may count: `Store.decisiveVerdicts` in SQL. Called by `store-queries.ts`. */
import { type Kysely, sql } from 'kysely'
import type { DecisiveQuery, DecisiveVerdict, RequestOrder } from '../domain/store.ts'
import type { Tables } from './store-tables.ts'

const DECISIVE = ['positive', 'negative'] as const
/** Samples that are looked at at a time when verdicts are read in the order of requests. */
const FEWEST_CANDIDATES = 100
const MOST_CANDIDATES = 1_500

export async function decisiveVerdicts(
  db: Kysely<Tables>,
  query: DecisiveQuery,
  after: RequestOrder | null,
  until: RequestOrder | null,
  limit: number,
): Promise<DecisiveVerdict[]> {
  const found: DecisiveVerdict[] = []
  for (let place = after; query.arms.length > 0; ) {
    // Some do not decide.
    const wanted = Math.ceil((limit - found.length) * 1.25)
    const atATime = Math.min(Math.max(wanted, FEWEST_CANDIDATES), MOST_CANDIDATES)
    const rows = await candidates(db, query, place, until, atATime)
    for (const row of rows) {
      if (Number(row.decides) === 0) continue
      const { id: sampleId, requested_at: requestedAt, arm, assignment } = row
      found.push({ sampleId, requestedAt, arm, positive: row.verdict === 'positive', assignment })
      if (found.length === limit) return found
    }
    const last = rows.at(-1)
    if (last === undefined || rows.length < atATime) break
    place = { sampleId: last.id, requestedAt: last.requested_at }
  }
  return found
}

/** Samples in the order of requests, and whether they decide. A bounded number, so that no engine reads everything for it. */
async function candidates(
  db: Kysely<Tables>,
  { experiment, check, checkVersion, arms, since = -1 }: DecisiveQuery,
  after: RequestOrder | null,
  until: RequestOrder | null,
  limit: number,
) {
  // The one lower bound that an index is searched by: with two, SQLite may take the one that leads through everything.
  const from = Math.max(since + 1, after?.requestedAt ?? 0)
  // Spelled out: a list of pairs would be made anew for every row that is looked at.
  const present = (row: 's' | 'e') =>
    sql<boolean>`(${sql.join(
      arms.map(
        ({ arm, policyHash }) =>
          sql`(${sql.ref(`${row}.arm`)} = ${arm} and coalesce(${sql.ref(`${row}.policy_hash`)}, '') = ${policyHash ?? ''})`,
      ),
      sql` or `,
    )})`
  return await db
    .selectFrom((eb) =>
      eb
        .selectFrom('samples')
        .select(['id', 'requested_at', 'arm', 'policy_hash', 'check_id', 'unit', 'question_hash'])
        .select(['assignment', 'extra', 'experiment'])
        .where('experiment', '=', experiment)
        .where('check_id', '=', check)
        .where('requested_at', '>=', from)
        .$if(after !== null, (it) =>
          it.where(sql<boolean>`(requested_at + 0, id) > (${after?.requestedAt}, ${after?.sampleId})`),
        )
        .$if(until !== null, (it) =>
          it.where(sql<boolean>`(requested_at, id) <= (${until?.requestedAt}, ${until?.sampleId})`),
        )
        .orderBy('requested_at')
        .orderBy('id')
        .limit(limit)
        .as('s'),
    )
    .leftJoin('verdicts as v', (join) =>
      join
        .onRef('v.sample_id', '=', 's.id')
        .onRef('v.check_id', '=', 's.check_id')
        .on('v.check_version', '=', checkVersion)
        .on('v.verdict', 'in', DECISIVE),
    )
    .select(['s.id', 's.requested_at', 's.arm', 's.assignment', 'v.verdict'])
    .select(({ selectFrom }) => {
      const earlier = selectFrom('samples as e')
        .innerJoin('verdicts as ev', (join) =>
          join.onRef('ev.sample_id', '=', 'e.id').onRef('ev.check_id', '=', 'e.check_id'),
        )
        .select('e.id')
        .whereRef('e.experiment', '=', 's.experiment')
        .whereRef('e.check_id', '=', 's.check_id')
        .whereRef('e.unit', '=', 's.unit')
        .whereRef('e.question_hash', '=', 's.question_hash')
        .where(sql<boolean>`(e.requested_at, e.id) < (s.requested_at, s.id)`)
        // Not by an index of times, which leads through all samples of before.
        .where(sql<boolean>`e.requested_at + 0 > ${since}`)
        .where('e.extra', 'is', null)
        .where('ev.check_version', '=', checkVersion)
        .where('ev.verdict', 'in', DECISIVE)
        .where(present('e'))
        .limit(sql.lit(1))
      return sql<number>`case when v.verdict is null or s.extra is not null or not ${present('s')} then 0
        when (${earlier}) is null then 1 else 0 end`.as('decides')
    })
    .orderBy('s.requested_at')
    .orderBy('s.id')
    .execute()
}
