/** What is counted of samples, verdicts and scores as they are stored, in SQL. Used by `store-queries.ts` and `store-archive.ts`. */
import type { Kysely, Transaction } from 'kysely'
import type { Sample } from '../domain/sample.ts'
import type { ScoreTally, Tally, Wording } from '../domain/store.ts'
import type { Score, Scores } from '../domain/verdict.ts'
import type { Tables } from './store-tables.ts'

const HOUR_MS = 3_600_000

/** Adds a sample's verdict to what is counted of it. @param times -1 takes it back. */
export async function tally(
  transaction: Transaction<Tables>,
  sample: Sample,
  checkVersion: string,
  kind: Tally['kind'],
  times: 1 | -1 = 1,
): Promise<void> {
  await addTallies(transaction, [tallyRow(sample, checkVersion, kind, times)])
  if (times === -1) await transaction.deleteFrom('tallies').where('n', '=', 0).execute()
}

/** Adds new samples to what is counted of them. */
export async function tallySamples(
  transaction: Transaction<Tables>,
  samples: readonly Sample[],
): Promise<void> {
  const sums = new Map<string, TallyRow>()
  for (const sample of samples) {
    const row = tallyRow(sample, sample.checkVersion, 'sample', 1)
    const key = JSON.stringify(TALLY_KEY.map((column) => row[column]))
    const sum = sums.get(key)
    sums.set(key, sum === undefined ? row : added(sum, row))
  }
  // Always in the same order: two transactions then cannot wait for each other.
  const rows = [...sums].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)
  if (rows.length > 0) await addTallies(transaction, rows)
}

type TallyRow = ReturnType<typeof tallyRow>

/** What is counted apart. */
export const TALLY_KEY = [
  'experiment',
  'check_id',
  'check_version',
  'arm',
  'policy_hash',
  'hour',
  'kind',
  'extra',
] as const

export const SCORE_KEY = [
  'experiment',
  'check_id',
  'check_version',
  'arm',
  'policy_hash',
  'rubric',
  'score',
] as const

export function tallyRow(sample: Sample, checkVersion: string, kind: Tally['kind'], times: 1 | -1) {
  const weight = 1 / sample.probability
  return {
    ...wordingOf(sample, checkVersion),
    hour: Math.floor(sample.requestedAt / HOUR_MS) * HOUR_MS,
    kind,
    extra: (sample.extra ?? null) === null ? 0 : 1,
    n: times as number,
    w: times * weight,
    w2: times * weight ** 2,
  }
}

function added(a: TallyRow, b: TallyRow): TallyRow {
  return { ...a, n: a.n + b.n, w: a.w + b.w, w2: a.w2 + b.w2 }
}

async function addTallies(transaction: Transaction<Tables>, rows: readonly TallyRow[]): Promise<void> {
  await transaction
    .insertInto('tallies')
    .values(rows)
    .onConflict((conflict) =>
      conflict.columns(TALLY_KEY).doUpdateSet((eb) => ({
        n: eb('tallies.n', '+', eb.ref('excluded.n')),
        w: eb('tallies.w', '+', eb.ref('excluded.w')),
        w2: eb('tallies.w2', '+', eb.ref('excluded.w2')),
      })),
    )
    .execute()
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
        conflict.columns(SCORE_KEY).doUpdateSet((eb) => ({ n: eb('score_tallies.n', '+', times) })),
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

export function scoreText(score: Score): string {
  if (score.kind === 'number') return `n:${Math.round(score.value * 10) / 10}`
  return score.kind === 'label' ? `l:${score.value}` : ''
}

function scoreOf(text: string): ScoreTally['score'] {
  if (text === '') return null
  return text.startsWith('n:') ? Number(text.slice(2)) : text.slice(2)
}
