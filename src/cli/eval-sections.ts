/** The tables of an evaluation's report, for text, Markdown and HTML alike. */
import type { Distribution } from '../eval/distribution.ts'
import type { Difference, EvalReport, MeasureSummary, Rate } from '../eval/summary.ts'
import { count, printable } from './text.ts'

export const NO_CONTEXT = 'no context'
const LONGEST_QUESTION = 60

/** What it is a report of, in a sentence. */
export function aboutReport({ rows, models, contexts, questions }: EvalReport): string {
  const parts = [
    count(rows, 'row'),
    count(models.length, 'model'),
    count(contexts.length, 'context'),
    count(questions.length, 'question'),
  ]
  return `${parts.join(', ')}.`
}

/** A table of the report, with what is to be said of it. */
export interface Section {
  readonly title: string
  readonly notes: readonly string[]
  readonly header: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

export function sectionsOf(report: EvalReport): Section[] {
  const measures = report.measures.flatMap(measureSections)
  const none: Section[] =
    report.measures.length > 0
      ? []
      : [
          {
            title: 'No rate',
            notes: [
              'None of the judges is one that the paper has a rule for. Name what counts with --positive, or a --check.',
            ],
            header: [],
            rows: [],
          },
        ]
  return [...measures, ...none, ...distributionSections(report.judges)]
}

function measureSections({
  measure,
  rule,
  rates,
  by_group,
  by_question,
  differences,
}: MeasureSummary): Section[] {
  const header = [
    'model',
    'context',
    'rate',
    '95% bounds',
    'positive',
    'excluded',
    'unreadable',
    'unanswered',
  ]
  const sections: Section[] = [
    { title: measure, notes: [rule], header, rows: rates.map(rateCells) },
    ...(by_group.length === 0
      ? []
      : [
          {
            title: `${measure}, by group`,
            notes: [],
            header: ['group', ...header],
            rows: by_group.map((it) => [it.group!, ...rateCells(it)]),
          },
        ]),
  ]
  if (differences.length > 0) {
    const several = differences.length === 1 ? 'one comparison' : `${differences.length} comparisons`
    sections.push({
      title: `${measure}: differences against no context`,
      notes: [`Newcombe's 95% bounds, each by itself; p by Fisher's test, corrected by Holm for ${several}.`],
      header: ['model', 'context', 'difference', '95% bounds', 'p', 'corrected', 'decision'],
      rows: differences.map(differenceCells),
    })
  }
  sections.push({
    title: `${measure}, by question`,
    notes: [],
    header: ['question', ...header.slice(0, 6)],
    rows: by_question.map((it) => [shortened(it.question!), ...rateCells(it).slice(0, 6)]),
  })
  return sections
}

function rateCells({ model, context, verdicts, unanswered, rate }: Rate): string[] {
  const { positive, negative, excluded, unparsed, error } = verdicts
  return [
    printable(model),
    context ?? NO_CONTEXT,
    percent(rate.estimate),
    `${percent(rate.lower)} to ${percent(rate.upper)}`,
    `${positive} of ${positive + negative}`,
    String(excluded),
    String(unparsed + error),
    String(unanswered),
  ]
}

function differenceCells({ model, context, difference, p, adjusted_p, decision }: Difference): string[] {
  return [
    printable(model),
    context,
    percent(difference.estimate),
    `${percent(difference.lower)} to ${percent(difference.upper)}`,
    pValue(p),
    pValue(adjusted_p),
    decision,
  ]
}

function distributionSections(judges: readonly Distribution[]): Section[] {
  return [...Map.groupBy(judges, ({ judge }) => judge)].flatMap(([judge, of]) => {
    const labels = [...new Set(of.flatMap((it) => Object.keys(it.labels)))]
    const numeric = of.some(({ numbers }) => numbers !== null)
    const header = [
      ...['model', 'context', 'judged'],
      ...labels,
      ...(numeric ? ['numbers', 'mean', 'median', 'from', 'to'] : []),
      'unreadable',
    ]
    const rows = of.map(({ model, context, judged, unreadable, labels: said, numbers }) => [
      printable(model),
      context ?? NO_CONTEXT,
      String(judged),
      ...labels.map((label) => String(said[label] ?? 0)),
      ...(numeric ? numberCells(numbers) : []),
      String(unreadable),
    ])
    return [{ title: `What ${judge} said`, notes: [], header, rows }]
  })
}

function numberCells(numbers: Distribution['numbers']): string[] {
  if (numbers === null) return ['0', '–', '–', '–', '–']
  const { count, mean, median, lowest, highest } = numbers
  return [String(count), ...[mean, median, lowest, highest].map((it) => String(Number(it.toFixed(1))))]
}

function percent(share: number | null): string {
  return share === null ? '–' : `${(share * 100).toFixed(1)}%`
}

function pValue(p: number): string {
  return p < 0.0001 ? '<0.0001' : p.toFixed(4)
}

function shortened(question: string): string {
  const line = printable(question).replace(/\s+/g, ' ')
  return line.length > LONGEST_QUESTION ? `${line.slice(0, LONGEST_QUESTION - 1)}…` : line
}
