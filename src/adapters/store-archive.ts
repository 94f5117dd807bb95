/** Samples as people see them, in SQL: found, counted, erased, judged anew. Called by `store-queries.ts`. */
import { type ExpressionBuilder, type Kysely, sql, type Transaction } from 'kysely'
import type { Sample } from '../domain/sample.ts'
import type { Label, RequestOrder, SampleFilter, StoredSample } from '../domain/store.ts'
import {
  ERASED,
  type Score,
  type Scores,
  type Verdict,
  type VerdictKind,
  withoutTexts,
} from '../domain/verdict.ts'
import { toLabel, toSample } from './store-rows.ts'
import type { Tables } from './store-tables.ts'
import { tallyVerdicts } from './store-tallies.ts'

/** Engines bound how many values a statement may have. */
const IDS_AT_A_TIME = 90

export async function findSamples(
  db: Kysely<Tables>,
  filter: SampleFilter,
  limit: number,
  after?: RequestOrder,
): Promise<StoredSample[]> {
  const rows = await db
    .selectFrom('samples')
    .leftJoin('verdicts', (join) =>
      join.onRef('verdicts.sample_id', '=', 'samples.id').onRef('verdicts.check_id', '=', 'samples.check_id'),
    )
    .selectAll('samples')
    .select(['verdicts.verdict', 'verdicts.scores', 'verdicts.judged_at'])
    .select('verdicts.check_version as verdict_version')
    .where((eb) => matching(eb, filter))
    .$if(after !== undefined, (it) =>
      it.where(
        sql<boolean>`(samples.requested_at, samples.id) < (${after?.requestedAt}, ${after?.sampleId})`,
      ),
    )
    .orderBy('samples.requested_at', 'desc')
    .orderBy('samples.id', 'desc')
    .limit(limit)
    .execute()
  const labels = await labelsOf(
    db,
    rows.map(({ id }) => id),
  )
  return rows.map((row) => ({
    sample: toSample(row),
    erased: row.erased === 1,
    attempts: row.attempts,
    verdict:
      row.verdict === null
        ? null
        : {
            sampleId: row.id,
            check: row.check_id,
            checkVersion: row.verdict_version!,
            verdict: row.verdict as VerdictKind,
            scores: JSON.parse(row.scores!) as Scores,
            judgedAt: Number(row.judged_at),
          },
    labels: labels.get(row.id) ?? [],
  }))
}

export async function countSamples(db: Kysely<Tables>, filter: SampleFilter): Promise<number> {
  const { n } = await db
    .selectFrom('samples')
    .leftJoin('verdicts', (join) => join.onRef('verdicts.sample_id', '=', 'samples.id'))
    .select((eb) => eb.fn.countAll<number>().as('n'))
    .where((eb) => matching(eb, filter))
    .executeTakeFirstOrThrow()
  return Number(n)
}

async function labelsOf(db: Kysely<Tables>, ids: readonly string[]): Promise<Map<string, Label[]>> {
  const labels = new Map<string, Label[]>()
  for (let start = 0; start < ids.length; start += IDS_AT_A_TIME) {
    const rows = await db
      .selectFrom('labels')
      .selectAll()
      .where('sample_id', 'in', ids.slice(start, start + IDS_AT_A_TIME))
      .orderBy('labelled_at')
      .execute()
    for (const row of rows) {
      const label = toLabel(row)
      labels.set(row.sample_id, [...(labels.get(row.sample_id) ?? []), label])
    }
  }
  return labels
}

/** What is left of a sample's texts when they are erased. */
export const NO_TEXT = { messages: '[]', question: '', answer: '', erased: 1 }

export function erasedVerdict({ id, check, checkVersion }: Sample): Verdict {
  const score: Score = { kind: 'error', message: ERASED }
  return {
    sampleId: id,
    check,
    checkVersion,
    verdict: 'error',
    scores: { erased: score },
    judgedAt: Date.now(),
  }
}

export async function eraseSome(
  transaction: Transaction<Tables>,
  filter: SampleFilter,
  limit: number,
): Promise<number> {
  const found = await judgedRows(transaction, filter, limit).where('samples.erased', '=', 0).execute()
  // One that was put back to be judged again meanwhile keeps its texts: it is a waiting one now.
  const erased = await transaction
    .updateTable('samples')
    .set(NO_TEXT)
    .where('id', 'in', [...found.map(({ id }) => id), ''])
    .where('done', '=', 1)
    .returning('id')
    .execute()
  for (const { id } of erased) await eraseScores(transaction, id)
  return erased.length
}

/** What the judge wrote of a sample may quote it. */
export async function eraseScores(transaction: Transaction<Tables>, sampleId: string): Promise<void> {
  const rows = await transaction
    .selectFrom('verdicts')
    .select(['check_id', 'scores'])
    .where('sample_id', '=', sampleId)
    .execute()
  for (const { check_id: check, scores: given } of rows) {
    const scores = JSON.stringify(withoutTexts(JSON.parse(given) as Scores))
    if (scores === given) continue
    await transaction
      .updateTable('verdicts')
      .set({ scores })
      .where('sample_id', '=', sampleId)
      .where('check_id', '=', check)
      .execute()
  }
}

export async function rejudgeSome(
  transaction: Transaction<Tables>,
  filter: SampleFilter,
  limit: number,
): Promise<string[]> {
  const rows = await judgedRows(transaction, { ...filter, erased: false }, limit)
    .where('verdicts.verdict', '=', 'error')
    .execute()
  // Of two who do it at the same time one gets a sample, and one that was erased meanwhile stays as it is.
  const again = await transaction
    .updateTable('samples')
    .set({ done: 0, visible_at: 0, attempts: 0 })
    .where('id', 'in', [...rows.map(({ id }) => id), ''])
    .where('done', '=', 1)
    .where('erased', '=', 0)
    .returning('id')
    .execute()
  const ids = again.map(({ id }) => id)
  const counted = rows
    .filter(({ id }) => ids.includes(id))
    .map((row) => ({
      sample: toSample(row),
      verdict: {
        checkVersion: row.verdict_version,
        verdict: 'error' as const,
        scores: JSON.parse(row.scores) as Scores,
      },
    }))
  await tallyVerdicts(transaction, counted, -1)
  await transaction
    .deleteFrom('verdicts')
    .where('sample_id', 'in', [...ids, ''])
    .execute()
  return ids
}

/** Samples that have a verdict, with it. */
export function judgedRows(db: Kysely<Tables>, filter: SampleFilter, limit: number) {
  return db
    .selectFrom('samples')
    .innerJoin('verdicts', (join) =>
      join.onRef('verdicts.sample_id', '=', 'samples.id').onRef('verdicts.check_id', '=', 'samples.check_id'),
    )
    .selectAll('samples')
    .select(['verdicts.scores', 'verdicts.check_version as verdict_version'])
    .where((eb) => matching(eb as unknown as Filtered, filter))
    .where('samples.done', '=', 1)
    .orderBy('samples.requested_at')
    .orderBy('samples.id')
    .limit(limit)
}

type Filtered = ExpressionBuilder<Tables & { verdicts: Tables['verdicts'] }, 'samples' | 'verdicts'>

function matching(is: Filtered, filter: SampleFilter) {
  const { and, exists, not, selectFrom } = is
  const { ids, experiment, arm, check, verdict, since, before, erased, labelled } = filter
  const label = () =>
    exists(selectFrom('labels').select('labels.sample_id').whereRef('labels.sample_id', '=', 'samples.id'))
  return and([
    ...(ids === undefined ? [] : [ids.length === 0 ? sql<boolean>`1 = 0` : is('samples.id', 'in', [...ids])]),
    ...(experiment === undefined ? [] : [is('samples.experiment', '=', experiment)]),
    ...(arm === undefined ? [] : [is('samples.arm', '=', arm)]),
    ...(check === undefined ? [] : [is('samples.check_id', '=', check)]),
    ...(verdict === undefined
      ? []
      : [
          verdict === 'waiting'
            ? is('samples.done', '=', sql.lit(0))
            : // Of something that may be null, so that engines go through samples, in the order asked for.
              sql<boolean>`coalesce(verdicts.verdict, '') = ${verdict}`,
        ]),
    ...(since === undefined ? [] : [is('samples.requested_at', '>=', since)]),
    ...(before === undefined ? [] : [is('samples.requested_at', '<', before)]),
    ...(erased === undefined ? [] : [is('samples.erased', '=', erased ? 1 : 0)]),
    ...(labelled === undefined ? [] : [labelled ? label() : not(label())]),
  ])
}
