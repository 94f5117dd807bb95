/**
 * What `store-d1.ts` writes in one batch. D1 has no transaction in which one could look first and write then: each
 * statement carries its own condition, all of them the same one, and the row that ends it is written last.
 */
import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Sample } from '../domain/sample.ts'
import type { ExposureBatch } from '../domain/store.ts'
import type { Verdict } from '../domain/verdict.ts'
import { NO_TEXT } from './store-archive.ts'
import { sampleRow } from './store-rows.ts'
import { firstVisible } from './store-sqlite-leases.ts'
import type { Tables } from './store-tables.ts'
import { SCORE_KEY, scoreText, TALLY_KEY, tallyRow } from './store-tallies.ts'

export interface Statement {
  compile(): ReturnType<RawBuilder<unknown>['compile']>
}

const of = (db: Kysely<Tables>, statement: RawBuilder<unknown>): Statement => ({
  compile: () => statement.compile(db),
})
const columns = (names: readonly string[]) => sql.join(names.map((it) => sql.ref(it)))
const COUNTED = [...TALLY_KEY, 'n', 'w', 'w2'] as const
const ADDED = sql`on conflict (${columns(TALLY_KEY)}) do update set
  n = tallies.n + excluded.n, w = tallies.w + excluded.w, w2 = tallies.w2 + excluded.w2`
const HOUR_MS = sql.lit(3_600_000)

/**
 * Stores a sample that is new, and counts it, while fewer than `limit` wait.
 * @returns statements; the last one's rows say whether the sample is there, the last but one's whether it is new.
 */
export function sampleStatements(db: Kysely<Tables>, sample: Sample, limit: number): Statement[] {
  const row = { ...sampleRow(sample), visible_at: firstVisible(sample) }
  const tally = tallyRow(sample, sample.checkVersion, 'sample', 1)
  const room = Number.isFinite(limit)
    ? sql`(select count(*) from samples where done = 0) < ${limit}`
    : sql`true`
  const fresh = sql`${room} and not exists (select 1 from samples where id = ${sample.id})`
  const names = Object.keys(row) as (keyof typeof row)[]
  return [
    sql`insert into tallies (${columns(COUNTED)})
      select ${sql.join(COUNTED.map((name) => tally[name]))} where ${fresh} ${ADDED}`,
    sql`insert into samples (${columns(names)})
      select ${sql.join(names.map((name) => row[name]))} where ${fresh} returning id`,
    sql`select id from samples where id = ${sample.id}`,
  ].map((it) => of(db, it))
}

/**
 * Stores a verdict that is the sample's first, counts it, and takes the sample off the queue.
 * @param erased whether the sample's texts go; then the scores have none of the judge's either.
 * @returns statements, and which of them has a row if it was the first.
 */
export function verdictStatements(
  db: Kysely<Tables>,
  { sampleId, check, checkVersion, verdict, scores, judgedAt }: Verdict,
  erased: boolean,
): { readonly statements: Statement[]; readonly first: number } {
  const fresh = sql`not exists (select 1 from verdicts where sample_id = ${sampleId} and check_id = ${check})`
  const told = JSON.stringify(scores)
  const counted = sql`s.experiment, s.check_id, ${checkVersion}, s.arm, coalesce(s.policy_hash, '')`
  const before = [
    sql`insert into tallies (${columns(COUNTED)})
      select ${counted}, s.requested_at / ${HOUR_MS} * ${HOUR_MS}, ${verdict}, s.extra is not null,
        1, 1.0 / s.probability, 1.0 / s.probability / s.probability
      from samples s where s.id = ${sampleId} and ${fresh} ${ADDED}`,
    ...Object.entries(scores).map(
      ([rubric, score]) => sql`insert into score_tallies (${columns([...SCORE_KEY, 'n'])})
        select ${counted}, ${rubric}, ${scoreText(score)}, 1
        from samples s where s.id = ${sampleId} and s.extra is null and ${fresh}
        on conflict (${columns(SCORE_KEY)}) do update set n = score_tallies.n + 1`,
    ),
    sql`update samples set done = 1 where id = ${sampleId}`,
  ]
  const insert = sql`insert into verdicts (sample_id, check_id, check_version, verdict, scores, judged_at)
    values (${sampleId}, ${check}, ${checkVersion}, ${verdict}, ${told}, ${judgedAt})
    on conflict (sample_id, check_id) do nothing returning sample_id`
  const statements = [...before, insert, ...(erased ? [withoutText(sampleId, told)] : [])]
  return { statements: statements.map((it) => of(db, it)), first: before.length }
}

/**
 * Erases the texts of a judged sample, and with them what the judge wrote of it.
 * @param given the verdict's scores as they are stored; @param left what is left of them.
 * @returns statements; the last one's rows say whether it was done: not where the verdict is another one by now.
 */
export function erasureStatements(
  db: Kysely<Tables>,
  sampleId: string,
  { given, left }: { readonly given: string; readonly left: string },
): Statement[] {
  return [
    sql`update verdicts set scores = ${left} where sample_id = ${sampleId} and scores = ${given}`,
    withoutText(sampleId, left),
  ].map((it) => of(db, it))
}

/** Only of a sample whose verdict has these scores, and so no texts of the judge. */
function withoutText(sampleId: string, scores: string): RawBuilder<unknown> {
  const { messages, question, answer, erased } = NO_TEXT
  return sql`update samples
    set messages = ${messages}, question = ${question}, answer = ${answer}, erased = ${erased}
    where id = ${sampleId} and done = 1
      and exists (select 1 from verdicts where sample_id = ${sampleId} and scores = ${scores}) returning id`
}

export function exposureStatements(db: Kysely<Tables>, batches: readonly ExposureBatch[]): Statement[] {
  return batches
    .flatMap(({ experiment, arm, assignment, exposures, anonymousUnits, units }) => [
      sql`insert into exposures (experiment, arm, assignment, exposures, anonymous_units)
        values (${experiment}, ${arm}, ${assignment}, ${exposures}, ${anonymousUnits})
        on conflict (experiment, arm, assignment) do update set
          exposures = exposures.exposures + excluded.exposures,
          anonymous_units = exposures.anonymous_units + excluded.anonymous_units`,
      // As one value: a statement may have 100.
      sql`insert or ignore into units (experiment, arm, assignment, unit)
        select ${experiment}, ${arm}, ${assignment}, value from json_each(${JSON.stringify(units)})`,
    ])
    .map((it) => of(db, it))
}
