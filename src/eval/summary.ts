/**
 * What came out of an evaluation: rates with bounds by model, context, group and question, differences against no context, and
 * what each judge said. Pure; called by `ballast eval` and `ballast probe`.
 *
 * Wilson's and Newcombe's intervals and Fisher's test take answers to be independent and their number to be settled beforehand,
 * as it is in an evaluation; a report that is looked at while a run goes on is none of theirs.
 */
import type { Rubric } from '../domain/check.ts'
import type { Estimate } from '../domain/report.ts'
import { noVerdicts, type VerdictCounts } from '../domain/verdict.ts'
import { decide } from '../judge/decide.ts'
import { wilsonInterval } from '../stats/binomial-intervals.ts'
import type { Counts } from '../stats/counts.ts'
import { fisherP, newcombeInterval } from '../stats/fixed-size-test.ts'
import { holm } from '../stats/multiple-testing.ts'
import { type Distribution, distributionOf } from './distribution.ts'
import type { Measure } from './judges.ts'
import type { ResultRow } from './result-rows.ts'

export const ALPHA = 0.05

/** What a rate is of. */
export interface CellName {
  readonly model: string
  readonly context: string | null
  /** Null: of all groups together; likewise the question. */
  readonly group: string | null
  readonly question: string | null
}

export interface Rate extends CellName {
  /** Rows, with and without an answer. */
  readonly rows: number
  /** Rows without an answer: in none of the verdicts. */
  readonly unanswered: number
  readonly verdicts: VerdictCounts
  /** Positives over positives and negatives, with Wilson's bounds. */
  readonly rate: Estimate
}

/** A context against none, of one model. */
export interface Difference {
  readonly model: string
  readonly context: string
  /** Rate behind the context minus rate without, with Newcombe's bounds. */
  readonly difference: Estimate
  /** Fisher's exact test, two-sided. */
  readonly p: number
  /** The same after Holm's correction for all comparisons of the measure. */
  readonly adjusted_p: number
  /** `lower`, `higher`: proven at 5%, all comparisons of the measure together. */
  readonly decision: 'lower' | 'higher' | 'undecided'
}

export interface MeasureSummary {
  readonly measure: string
  readonly rule: string
  /** By model and context, then by group too where there are several, then by question too. */
  readonly rates: readonly Rate[]
  readonly by_group: readonly Rate[]
  readonly by_question: readonly Rate[]
  readonly differences: readonly Difference[]
}

export interface EvalReport {
  readonly models: readonly string[]
  readonly contexts: readonly (string | null)[]
  readonly groups: readonly string[]
  readonly questions: readonly string[]
  readonly rows: number
  readonly measures: readonly MeasureSummary[]
  /** What each judge said, by model and context. */
  readonly judges: readonly Distribution[]
}

export function summarize(
  rows: readonly ResultRow[],
  rubrics: readonly Rubric[],
  measures: readonly Measure[],
): EvalReport {
  const distinct = <T>(of: (row: ResultRow) => T) => [...new Set(rows.map(of))]
  // No context first: it is what the others are held against.
  const contexts = distinct(({ context }) => context).sort((a, b) => Number(a !== null) - Number(b !== null))
  const groups = distinct(({ group }) => group)
  return {
    models: distinct(({ model }) => model),
    contexts,
    groups,
    questions: distinct(({ question }) => question),
    rows: rows.length,
    measures: measures.map((measure) => summarizeMeasure(rows, measure, contexts, groups.length > 1)),
    judges: rubrics.flatMap((rubric) =>
      cellsOf(
        rows.filter(({ scores }) => scores[rubric.id] !== undefined),
        contexts,
        ({ model, context }) => [model, context],
      ).map((cell) => distributionOf(rubric, cell[0]!.model, cell[0]!.context, cell)),
    ),
  }
}

function summarizeMeasure(
  all: readonly ResultRow[],
  measure: Measure,
  contexts: readonly (string | null)[],
  severalGroups: boolean,
): MeasureSummary {
  // What its judges were never asked of is no part of it.
  const cellName = ({ model, group }: ResultRow) => JSON.stringify([model, group])
  const judged = new Set(
    all.filter(({ scores }) => measure.rubrics.some(({ id }) => scores[id] !== undefined)).map(cellName),
  )
  const rows = all.filter((row) => judged.has(cellName(row)))
  const rates = (by: (row: ResultRow) => CellName) =>
    cellsOf(rows, contexts, (row) => Object.values(by(row))).map((cell) =>
      rateOf(measure, by(cell[0]!), cell),
    )
  const whole = rates(({ model, context }) => ({ model, context, group: null, question: null }))
  return {
    measure: measure.id,
    rule: measure.words,
    rates: whole,
    by_group: severalGroups
      ? rates(({ model, context, group }) => ({ model, context, group, question: null }))
      : [],
    by_question: rates(({ model, context, group, question }) => ({ model, context, group, question })),
    differences: differencesOf(whole),
  }
}

/** Rows that have the same key, in the order of contexts, else of their first rows. */
function cellsOf(
  rows: readonly ResultRow[],
  contexts: readonly (string | null)[],
  keyOf: (row: ResultRow) => readonly unknown[],
): ResultRow[][] {
  const models = [...new Set(rows.map(({ model }) => model))]
  const place = ([first]: ResultRow[]) =>
    models.indexOf(first!.model) * contexts.length + contexts.indexOf(first!.context)
  return [...Map.groupBy(rows, (row) => JSON.stringify(keyOf(row))).values()].sort(
    (a, b) => place(a) - place(b),
  )
}

function rateOf(measure: Measure, name: CellName, rows: readonly ResultRow[]): Rate {
  const verdicts = noVerdicts()
  let unanswered = 0
  for (const { answer, scores } of rows) {
    if (answer === null) unanswered++
    else verdicts[decide(measure, scores)]++
  }
  return { ...name, rows: rows.length, unanswered, verdicts, rate: estimateOf(countsOf(verdicts)) }
}

function countsOf({ positive, negative }: VerdictCounts): Counts {
  return { positives: positive, total: positive + negative }
}

function estimateOf({ positives, total }: Counts): Estimate {
  return { estimate: total === 0 ? null : positives / total, ...wilsonInterval(positives, total, ALPHA) }
}

/** Each context against none of the same model; where nothing was asked without context, there are none. */
function differencesOf(rates: readonly Rate[]): Difference[] {
  const compared = rates.flatMap(({ model, context, verdicts }) => {
    const bare = rates.find((rate) => rate.model === model && rate.context === null)
    if (context === null || bare === undefined) return []
    const [control, treatment] = [countsOf(bare.verdicts), countsOf(verdicts)]
    const known = control.total > 0 && treatment.total > 0
    const estimate = known ? treatment.positives / treatment.total - control.positives / control.total : null
    const difference = { estimate, ...newcombeInterval(control, treatment, ALPHA) }
    return [{ model, context, difference, p: fisherP(control, treatment) }]
  })
  const adjusted = holm(compared.map(({ p }) => p))
  return compared.map((it, index) => {
    const proven = adjusted[index]! <= ALPHA && it.difference.estimate !== null
    const direction = (it.difference.estimate ?? 0) < 0 ? 'lower' : 'higher'
    return { ...it, adjusted_p: adjusted[index]!, decision: proven ? direction : 'undecided' }
  })
}
