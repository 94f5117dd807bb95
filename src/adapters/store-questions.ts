/** Which questions are asked most, for reports: `Archive.questionTallies` in SQL. Called by `store-queries.ts`. */
import { type Kysely, sql } from 'kysely'
import type { DecisiveQuery, QuestionTally } from '../domain/store.ts'
import type { Tables } from './store-tables.ts'

/** Samples looked at, the latest ones: what bounds the time it takes. */
const LATEST = 100_000

export async function questionTallies(
  db: Kysely<Tables>,
  { experiment, check, checkVersion, arms }: DecisiveQuery,
  most: number,
  least: number,
): Promise<QuestionTally[]> {
  if (arms.length === 0) return []
  const wordings = sql.join(arms.map(({ arm, policyHash }) => sql`(${arm}, ${policyHash ?? ''})`))
  const judged = () =>
    db
      .selectFrom((latest) =>
        latest
          .selectFrom('samples')
          .select(['id', 'arm', 'question_hash', 'question', 'policy_hash', 'check_id'])
          .where('experiment', '=', experiment)
          .where('check_id', '=', check)
          .where('extra', 'is', null)
          .where('erased', '=', 0)
          .where('done', '=', 1)
          .orderBy('requested_at', 'desc')
          .limit(LATEST)
          .as('s'),
      )
      .innerJoin('verdicts as v', (join) =>
        join.onRef('v.sample_id', '=', 's.id').onRef('v.check_id', '=', 's.check_id'),
      )
      .where('v.check_version', '=', checkVersion)
      .where('v.verdict', 'in', ['positive', 'negative'])
      .where(sql<boolean>`(s.arm, coalesce(s.policy_hash, '')) in (values ${wordings})`)
  const frequent = await judged()
    .select(['s.question_hash', (eb) => eb.fn.countAll<number>().as('n')])
    .groupBy('s.question_hash')
    .having((eb) => eb.fn.countAll(), '>=', least)
    .orderBy('n', 'desc')
    .orderBy('s.question_hash')
    .limit(most)
    .execute()
  const hashes = frequent.map(({ question_hash }) => question_hash)
  if (hashes.length === 0) return []
  const rows = await judged()
    .where('s.question_hash', 'in', hashes)
    .select(['s.question_hash', 's.arm'])
    .select((eb) => [
      eb.fn.min('s.question').as('question'),
      eb.fn.countAll<number>().as('total'),
      sql<number>`sum(case when v.verdict = 'positive' then 1 else 0 end)`.as('positives'),
    ])
    .groupBy(['s.question_hash', 's.arm'])
    .execute()
  return rows
    .sort((one, other) => hashes.indexOf(one.question_hash) - hashes.indexOf(other.question_hash))
    .map(({ question, arm, positives, total }) => ({
      question,
      arm,
      positives: Number(positives),
      total: Number(total),
    }))
}
