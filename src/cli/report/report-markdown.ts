/** A detailed report as Markdown, as GitHub renders it. Used by `ballast report`. */
import type { DetailedReport, JudgeDetail } from '../../domain/detailed-report.ts'
import { shortened } from './shorten.ts'
import {
  bounds,
  eventInWords,
  evidence,
  identifiableInWords,
  methodInWords,
  moment,
  offInWords,
  pointBounds,
  points,
  powerInWords,
  pValue,
  rate,
  whole,
} from './words.ts'

const LONGEST_QUESTION = 80
const MOST_POINTS = 10

export function markdownReport(report: DetailedReport): string {
  const { experiment, check, conclusion, made_at, notes } = report
  return [
    `# ${plain(experiment)}: check ${plain(check)}`,
    `${moment(made_at)}`,
    `**${plain(conclusion.text)}**`,
    rates(report),
    comparisons(report),
    overTime(report),
    uncounted(report),
    scores(report),
    questions(report),
    judge(report.judge),
    history(report),
    `## How to read it\n\n${list(notes.map(plain))}`,
  ]
    .filter((part) => part !== '')
    .join('\n\n')
    .concat('\n')
}

/** Untrusted text as plain characters: no formatting, no HTML, no mention, no link. */
export function plain(text: string): string {
  return text
    .replace(/\s+/g, ' ')
    .replace(/[\\`*_{}[\]()<>#+!|~$-]/g, (it) => (it === '<' ? '&lt;' : it === '>' ? '&gt;' : `\\${it}`))
    .replaceAll('&', (it, at: number, all: string) => (/^&[lg]t;/.test(all.slice(at)) ? it : '&amp;'))
    .replaceAll('@', '&#64;')
    .replace(/:\/\//g, '&#58;//')
    .replace(/\bwww\./gi, (it) => `${it.slice(0, 3)}&#46;`)
}

function list(items: readonly string[]): string {
  return items.map((item) => `- ${item}`).join('\n')
}

/** Cells are Markdown already; those of all columns but the first are numbers. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map((_, index) => (index === 0 ? '---' : '---:'))), ...rows.map(line)].join(
    '\n',
  )
}

function rates({ arms }: DetailedReport): string {
  const differ = arms.some(({ weighted }) => weighted !== null)
  const head = [
    'Arm',
    'Policy',
    'Units',
    'Exposures',
    'Positive',
    'Rate',
    '95%, at any time',
    '95%, if looked at once',
    ...(differ ? ['Weighted (Hájek)'] : []),
  ]
  const rows = arms.map((it) => {
    const { arm, policy, units, exposures, verdicts, weighted } = it
    const off = offInWords(it)
    return [
      plain(arm),
      `${plain(policy ?? 'nothing injected')}${off === '' ? '' : ` (${off})`}`,
      whole(units),
      whole(exposures),
      `${whole(verdicts.positive)} of ${whole(verdicts.positive + verdicts.negative)}`,
      rate(it.rate.estimate),
      bounds(it.rate),
      bounds(it.once),
      ...(differ ? [weighted === null ? '' : `${rate(weighted.estimate)} (${bounds(weighted)})`] : []),
    ]
  })
  return `## Positive rate\n\n${table(head, rows)}`
}

function comparisons({ comparisons, sample_ratio: { p, chi_square } }: DetailedReport): string {
  if (comparisons.length === 0) return ''
  const head = ['Arm', 'Points', '95%, at any time', 'ln E lower', 'ln E higher', 'Decision']
  const rows = comparisons.map((it) => [
    plain(it.arm),
    points(it.difference.estimate),
    pointBounds(it.difference),
    evidence(it.log_e_better),
    evidence(it.log_e_worse),
    it.inconclusive ? 'inconclusive' : it.decision,
  ])
  const ratio = `The arms' shares of the units: p ${pValue(p)} at any time (alarm below 0.001); chi-square ${chi_square.value.toFixed(1)}, p ${pValue(chi_square.p)} if looked at once.`
  const power = list(comparisons.map((it) => plain(powerInWords(it))))
  return `## Against ${plain(comparisons[0]!.against)}\n\n${table(head, rows)}\n\n${power}\n\n${plain(ratio)}`
}

function overTime({ arms }: DetailedReport): string {
  const rows = arms.flatMap(({ arm, over_time }) => {
    const step = Math.ceil(over_time.length / MOST_POINTS)
    return over_time
      .filter((_, index) => (over_time.length - 1 - index) % step === 0)
      .map((it) => [plain(arm), moment(it.at), whole(it.total), rate(it.estimate), bounds(it)])
  })
  if (rows.length === 0) return ''
  const head = ['Arm', 'Until', 'Positive and negative', 'Cumulative rate', '95%, at all times at once']
  return `## Over time\n\n${table(head, rows)}`
}

function uncounted({ arms }: DetailedReport): string {
  const head = ['Arm', 'Excluded', 'p', 'Unparsed', 'Error', 'p of both']
  const mark = (differs: boolean) => (differs ? ' **beyond chance**' : '')
  const rows = arms.map(({ arm, verdicts, uncounted: { excluded, unreadable } }) => [
    plain(arm),
    `${whole(verdicts.excluded)} (${rate(excluded.share)})`,
    `${plain(pValue(excluded.p))}${mark(excluded.differs)}`,
    whole(verdicts.unparsed),
    whole(verdicts.error),
    `${plain(pValue(unreadable.p))}${mark(unreadable.differs)}`,
  ])
  return `## Neither for nor against\n\n${table(head, rows)}\n\np: is it as in the control? Fisher's test.`
}

function scores({ scores }: DetailedReport): string {
  return scores
    .map(({ rubric, arms }) => {
      const rows = arms.map(({ arm, bins, labels, unreadable, mean }) => [
        plain(arm),
        whole(bins.reduce((sum, { count }) => sum + count, 0)),
        mean === null ? '–' : mean.toFixed(1),
        labels.map(({ label, count }) => `${plain(label)}: ${whole(count)}`).join(', '),
        whole(unreadable),
      ])
      return `## Scores of ${plain(rubric)}\n\n${table(['Arm', 'Numbers', 'Mean', 'Labels', 'Unreadable'], rows)}`
    })
    .join('\n\n')
}

function questions({ questions, arms }: DetailedReport): string {
  if (questions.length === 0) return ''
  const rows = questions.map(({ question, arms: counts }) => [
    plain(shortened(question, LONGEST_QUESTION)),
    ...arms.map(({ arm }) => {
      const own = counts.find((it) => it.arm === arm)
      return own === undefined ? '–' : `${own.positives} of ${own.total}`
    }),
  ])
  return `## Positive per question\n\n${table(['Question', ...arms.map(({ arm }) => plain(arm))], rows)}`
}

function judge(judge: JudgeDetail | null): string {
  if (judge === null) return ''
  const share = (it: JudgeDetail['sensitivity']) =>
    `${it.right} of ${it.of}, ${rate(it.estimate)} (${bounds(it)})`
  const rows = judge.arms.flatMap(({ arm, corrected }) =>
    corrected.map((it) => [plain(arm), rate(it.estimate), bounds(it), plain(methodInWords(it.method))]),
  )
  const uneven = judge.arms
    .filter((it) => it.uneven)
    .map((it) => `The judge errs in ${plain(it.arm)} otherwise than in the control.`)
  return [
    '## The judge, held to labels',
    list([
      plain(identifiableInWords(judge)),
      `sensitivity: ${share(judge.sensitivity)}`,
      `specificity: ${share(judge.specificity)}`,
      ...uneven,
    ]),
    ...(rows.length === 0 ? [] : [table(['Arm', 'Rate', '95%', 'By'], rows)]),
  ].join('\n\n')
}

function history({ history }: DetailedReport): string {
  if (history.length === 0) return ''
  return `## What was done to the arms\n\n${list(history.map((it) => `${moment(it.at)}: ${plain(eventInWords(it))}`))}`
}
