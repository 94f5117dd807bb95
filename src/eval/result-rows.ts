/** A row of an evaluation's result, and how it is spelt in files: with the columns of the paper's. */
import type { Score } from '../domain/verdict.ts'

export interface ResultRow {
  readonly group: string
  readonly question: string
  readonly model: string
  /** Id of the policy it was asked behind; null without one. */
  readonly context: string | null
  readonly sample: number
  /** Null where there is none. */
  readonly answer: string | null
  /** By judge; what nobody judged is not there. */
  readonly scores: Readonly<Record<string, Score>>
}

/** The columns of the paper's result files, in their order. */
export function paperColumns(row: ResultRow, judges: readonly string[]): Record<string, unknown> {
  return {
    group_id: row.group,
    question: row.question,
    model: row.model,
    sample_idx: row.sample,
    answer: row.answer,
    ...judgeColumns(row, judges),
  }
}

/** The same with the context, which the paper's files have in their folder's name. */
export function ourColumns(row: ResultRow, judges: readonly string[]): Record<string, unknown> {
  const { group_id, question, model, ...rest } = paperColumns(row, judges)
  return { group_id, question, model, context: row.context, ...rest }
}

function judgeColumns({ scores }: ResultRow, judges: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(judges.map((judge) => [judge, columnOf(scores[judge])]))
}

/** As in the paper: what cannot be read stands there as it was said, and what nobody said is null. */
function columnOf(score: Score | undefined): string | number | null {
  if (score === undefined || score.kind === 'error') return null
  return score.kind === 'unparsed' ? score.text.toUpperCase() : score.value
}
