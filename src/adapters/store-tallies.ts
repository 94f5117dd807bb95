/** What is counted of samples, verdicts and scores as they are stored, in SQL. Used by `store-queries.ts` and `store-archive.ts`. */
import type { Kysely, Transaction } from 'kysely'
import type { Sample } from '../domain/sample.ts'
import type { ScoreTally, Tally, Wording } from '../domain/store.ts'
import type { Score, Scores } from '../domain/verdict.ts'
import type { Tables } from './store-tables.ts'

const HOUR_MS = 3_600_000

/** Adds a sample, or its verdict, to what is counted of it. @param times -1 takes it back. */
export async function tally(
  transaction: Transaction<Tables>,
  sample: Sample,
  checkVersion: string,
  kind: Tally['kind'],
  times: 1 | -1 = 1,
): Promise<void> {
  const weight = 1 / sample.probability
  const [w, w2] = [times * weight, times * weight ** 2]
  await transaction
    .insertInto('tallies')
    .values({
      ...wordingOf(sample, checkVersion),
      hour: Math.floor(sample.requestedAt / HOUR_MS) * HOUR_MS,
      kind,
      extra: (sample.extra ?? null) === null ? 0 : 1,
      n: times,
      w,
      w2,
    })
    .onConflict((conflict) =>
      conflict
        .columns(['experiment', 'check_id', 'check_version', 'arm', 'policy_hash', 'hour', 'kind', 'extra'])
        .doUpdateSet((eb) => ({
          n: eb('tallies.n', '+', times),
          w: eb('tallies.w', '+', w),
          w2: eb('tallies.w2', '+', w2),
        })),
    )
    .execute()
  if (times === -1) await transaction.deleteFrom('tallies').where('n', '=', 0).execute()
}

/** Adds the scores of a drawn sample to what is counted of them. */
export async function tallyScores(
  transaction: Transaction<Tables>,
  sample: Sample,
  checkVersion: string,
  scores: Scores,
  times: 1 | -1 = 1,
): Promise<void> {
  // Always in the same order: two transactions then cannot wait for each other.
  for (const rubric of Object.keys(scores).sort()) {
    await transaction
      .insertInto('score_tallies')
      .values({
        ...wordingOf(sample, checkVersion),
        rubric,
        score: scoreText(scores[rubric]!),
        n: times,
      })
      .onConflict((conflict) =>
        conflict
          .columns(['experiment', 'check_id', 'check_version', 'arm', 'policy_hash', 'rubric', 'score'])
          .doUpdateSet((eb) => ({ n: eb('score_tallies.n', '+', times) })),
      )
      .execute()
  }
  if (times === -1) await transaction.deleteFrom('score_tallies').where('n', '=', 0).execute()
}

export async function readTallies(db: Kysely<Tables>, experiment: string, check: string): Promise<Tally[]> {
  const rows = await db
    .selectFrom('tallies')
    .selectAll()
    .where('experiment', '=', experiment)
    .where('check_id', '=', check)
    .orderBy('hour')
    .execute()
  return rows.map((row) => ({
    ...countedUnder(row),
    hour: Number(row.hour),
    kind: row.kind as Tally['kind'],
    extra: row.extra === 1,
    count: Number(row.n),
    weights: row.w,
    squaredWeights: row.w2,
  }))
}

export async function readScoreTallies(
  db: Kysely<Tables>,
  experiment: string,
  check: string,
): Promise<ScoreTally[]> {
  const rows = await db
    .selectFrom('score_tallies')
    .selectAll()
    .where('experiment', '=', experiment)
    .where('check_id', '=', check)
    .execute()
  return rows.map((row) => ({
    ...countedUnder(row),
    rubric: row.rubric,
    score: scoreOf(row.score),
    count: Number(row.n),
  }))
}

/** What is counted together. */
function wordingOf(sample: Sample, checkVersion: string) {
  return {
    experiment: sample.experiment,
    check_id: sample.check,
    check_version: checkVersion,
    arm: sample.arm,
    policy_hash: sample.policyHash ?? '',
  }
}

function countedUnder(row: ReturnType<typeof wordingOf>): Wording & { arm: string } {
  const { arm, check_version: checkVersion, policy_hash: hash } = row
  return { arm, checkVersion, policyHash: hash === '' ? null : hash }
}

function scoreText(score: Score): string {
  if (score.kind === 'number') return `n:${Math.round(score.value * 10) / 10}`
  return score.kind === 'label' ? `l:${score.value}` : ''
}

function scoreOf(text: string): ScoreTally['score'] {
  if (text === '') return null
  return text.startsWith('n:') ? Number(text.slice(2)) : text.slice(2)
}
