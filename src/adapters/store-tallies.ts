/** What is counted of samples, verdicts and scores as they are stored, in SQL. Used by `store-queries.ts` and `store-archive.ts`. */
import type { Kysely, Transaction } from 'kysely'
import type { Sample } from '../domain/sample.ts'
import type { ScoreTally, Tally, Wording } from '../domain/store.ts'
import type { Score, Verdict } from '../domain/verdict.ts'
import type { Tables } from './store-tables.ts'

const HOUR_MS = 3_600_000

/** Of a sample, what it is counted by. */
export type CountedSample = Pick<
  Sample,
  'experiment' | 'check' | 'arm' | 'policyHash' | 'requestedAt' | 'probability' | 'extra'
>

/** A sample with its verdict. */
export interface CountedVerdict {
  readonly sample: CountedSample
  readonly verdict: Pick<Verdict, 'checkVersion' | 'verdict' | 'scores'>
}

/** Adds new samples to what is counted of them. */
export async function tallySamples(
  transaction: Transaction<Tables>,
  samples: readonly Sample[],
): Promise<void> {
  await addTallies(
    transaction,
    samples.map((sample) => tallyRow(sample, sample.checkVersion, 'sample', 1)),
  )
}

/** Adds verdicts to what is counted of them, and of drawn samples the scores. @param times -1 takes them back. */
export async function tallyVerdicts(
  transaction: Transaction<Tables>,
  counted: readonly CountedVerdict[],
  times: 1 | -1 = 1,
): Promise<void> {
  await addTallies(
    transaction,
    counted.map(({ sample, verdict }) => tallyRow(sample, verdict.checkVersion, verdict.verdict, times)),
  )
  const drawn = counted.filter(({ sample }) => (sample.extra ?? null) === null)
  await addScores(
    transaction,
    drawn.flatMap(({ sample, verdict: { checkVersion, scores } }) =>
      Object.entries(scores).map(([rubric, score]) => ({
        ...wordingOf(sample, checkVersion),
        rubric,
        score: scoreText(score),
        n: times as number,
      })),
    ),
  )
  if (times === 1) return
  await transaction.deleteFrom('tallies').where('n', '=', 0).execute()
  await transaction.deleteFrom('score_tallies').where('n', '=', 0).execute()
}

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

export function tallyRow(sample: CountedSample, checkVersion: string, kind: Tally['kind'], times: 1 | -1) {
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

/** Rows with the same key made one, always in the same order: two transactions then cannot wait for each other. */
function summed<R extends object>(
  rows: readonly R[],
  key: readonly (keyof R)[],
  add: (one: R, other: R) => R,
): R[] {
  const groups = Map.groupBy(rows, (row) => JSON.stringify(key.map((column) => row[column])))
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, its]) => its.reduce(add))
}

async function addTallies(
  transaction: Transaction<Tables>,
  rows: readonly ReturnType<typeof tallyRow>[],
): Promise<void> {
  if (rows.length === 0) return
  await transaction
    .insertInto('tallies')
    .values(summed(rows, TALLY_KEY, (a, b) => ({ ...a, n: a.n + b.n, w: a.w + b.w, w2: a.w2 + b.w2 })))
    .onConflict((conflict) =>
      conflict.columns(TALLY_KEY).doUpdateSet((eb) => ({
        n: eb('tallies.n', '+', eb.ref('excluded.n')),
        w: eb('tallies.w', '+', eb.ref('excluded.w')),
        w2: eb('tallies.w2', '+', eb.ref('excluded.w2')),
      })),
    )
    .execute()
}

async function addScores(
  transaction: Transaction<Tables>,
  rows: readonly Tables['score_tallies'][],
): Promise<void> {
  if (rows.length === 0) return
  await transaction
    .insertInto('score_tallies')
    .values(summed(rows, SCORE_KEY, (a, b) => ({ ...a, n: a.n + b.n })))
    .onConflict((conflict) =>
      conflict.columns(SCORE_KEY).doUpdateSet((eb) => ({
        n: eb('score_tallies.n', '+', eb.ref('excluded.n')),
      })),
    )
    .execute()
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
function wordingOf(sample: CountedSample, checkVersion: string) {
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
