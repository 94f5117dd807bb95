/** A detailed report as text in 80 columns. Used by `ballast report`. */
import type { DetailedReport, JudgeDetail } from '../../domain/detailed-report.ts'
import { bold, columnsOf, printable, table, wrap } from '../text.ts'
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

/** Longer names of arms are cut, so that lines fit. */
const LONGEST_NAME = 16
const LONGEST_QUESTION = 34
/** Points in time shown of each arm. */
const MOST_POINTS = 6
const BAR = 20

/** @returns lines of at most `columns`, names of experiment and check aside. */
export function drawDetailedReport(report: DetailedReport, columns = columnsOf(process.stdout)): string {
  const { experiment, check, conclusion, made_at, notes } = report
  const head = `${bold(`${experiment}, check ${check}`)}\n${moment(made_at)}\n\n${wrap(conclusion.text, columns)}\n`
  const sections = [
    arms(report, columns),
    rates(report, columns),
    comparisons(report, columns),
    overTime(report, columns),
    uncounted(report, columns),
    scores(report, columns),
    questions(report, columns),
    ratio(report, columns),
    judge(report.judge, columns),
    history(report, columns),
    section('Notes', notes.map((note) => bullet(note, columns)).join('')),
  ]
  return printable(`${head}${sections.join('')}`)
}

function section(title: string, body: string): string {
  return body === '' ? '' : `\n${bold(title)}\n${body}`
}

function bullet(text: string, columns: number): string {
  return `  - ${wrap(text, columns, 4).slice(4)}\n`
}

function name(arm: string): string {
  return shortened(arm, LONGEST_NAME)
}

function arms({ arms }: DetailedReport, columns: number): string {
  const rows = arms.map(({ arm, units, exposures, samples, verdicts }) => [
    name(arm),
    whole(units),
    whole(exposures),
    whole(samples),
    whole(verdicts.positive + verdicts.negative),
  ])
  const policies = arms
    .map((it) => {
      const off = offInWords(it)
      const extra = it.extra
      const like =
        extra === undefined
          ? ''
          : `; ${whole(extra.samples)} more, like the training context, are in no number`
      return bullet(
        `${it.arm}: ${it.policy ?? 'nothing injected'}${off === '' ? '' : ` (${off})`}${like}`,
        columns,
      )
    })
    .join('')
  return section(
    'Arms',
    table([['arm', 'units', 'exposures', 'samples', 'judged ±'], ...rows], columns, 2) + policies,
  )
}

function rates({ arms }: DetailedReport, columns: number): string {
  const differ = arms.some(({ weighted }) => weighted !== null)
  const rows = arms.map(({ arm, verdicts, rate: found, once, weighted }) => [
    name(arm),
    `${verdicts.positive}/${verdicts.positive + verdicts.negative}`,
    rate(found.estimate),
    bounds(found),
    bounds(once),
    ...(differ ? [weighted === null ? '' : rate(weighted.estimate)] : []),
  ])
  const head = [
    'arm',
    'positive',
    'rate',
    'at any time',
    'if looked at once',
    ...(differ ? ['weighted'] : []),
  ]
  return section('Positive rate, 95%', table([head, ...rows], columns, 2))
}

function comparisons({ comparisons }: DetailedReport, columns: number): string {
  if (comparisons.length === 0) return ''
  const rows = comparisons.map((it) => [
    name(it.arm),
    points(it.difference.estimate),
    pointBounds(it.difference),
    evidence(it.log_e_better),
    evidence(it.log_e_worse),
    it.inconclusive ? 'inconclusive' : it.decision,
  ])
  const body = table(
    [['arm', 'points', 'at any time, 95%', 'ln E lower', 'ln E higher', 'decision'], ...rows],
    columns,
    2,
  )
  const power = comparisons.map((it) => bullet(powerInWords(it), columns)).join('')
  return section(`Against ${comparisons[0]!.against} (proven at ln E 3.0)`, body + power)
}

function overTime({ arms }: DetailedReport, columns: number): string {
  const rows = arms.flatMap(({ arm, over_time }) => {
    const step = Math.ceil(over_time.length / MOST_POINTS)
    return over_time
      .filter((_, index) => (over_time.length - 1 - index) % step === 0)
      .map((point) => [name(arm), moment(point.at), whole(point.total), rate(point.estimate), bounds(point)])
  })
  if (rows.length === 0) return ''
  return section(
    'Cumulative rate over time',
    table([['arm', 'until', 'judged ±', 'rate', '95%, at all times at once'], ...rows], columns, 2),
  )
}

function uncounted({ arms }: DetailedReport, columns: number): string {
  if (arms.every(({ uncounted }) => uncounted.unreadable.of === 0)) return ''
  const rows = arms.map(({ arm, verdicts, uncounted: { excluded, unreadable } }) => [
    name(arm),
    `${whole(verdicts.excluded)} (${rate(excluded.share)})`,
    `${pValue(excluded.p)}${excluded.differs ? ' !' : ''}`,
    whole(verdicts.unparsed),
    whole(verdicts.error),
    `${pValue(unreadable.p)}${unreadable.differs ? ' !' : ''}`,
  ])
  const body = table([['arm', 'excluded', 'p', 'unparsed', 'error', 'p of both'], ...rows], columns, 2)
  const marked = arms.some(({ uncounted }) => uncounted.excluded.differs || uncounted.unreadable.differs)
  const mark = marked ? bullet('! beyond chance: what is left out may be what differs', columns) : ''
  return section('Neither for nor against (p: as in the control?)', body + mark)
}

function scores({ scores }: DetailedReport, columns: number): string {
  return scores
    .map(({ rubric, scale, arms }) => {
      const rows = arms.flatMap(({ arm, bins, labels, unreadable, mean }) => {
        const numbers = bins.reduce((sum, { count }) => sum + count, 0)
        const all = numbers + labels.reduce((sum, { count }) => sum + count, 0) + unreadable
        if (all === 0) return []
        const line = (what: string, count: number) => [what, whole(count), bar(count / all)]
        const fifths = bins.length === 0 ? [] : coarse(bins)
        const lines = [
          ...fifths.map(({ from, to, count }) => line(`${from} to ${to}`, count)),
          ...labels.map(({ label, count }) => line(label, count)),
          ...(unreadable > 0 ? [line('unreadable', unreadable)] : []),
        ]
        const first = `${name(arm)}${mean === null ? '' : `, mean ${mean.toFixed(1)}`}`
        return lines.map((cells, index) => [index === 0 ? first : '', ...cells])
      })
      const title = `Scores, rubric ${rubric}${scale === null ? '' : `, ${scale[0]} to ${scale[1]}`}`
      return section(title, table(rows, columns, 2))
    })
    .join('')
}

/** Bins by fives, as a terminal has room for. */
function coarse(bins: readonly { from: number; to: number; count: number }[]) {
  return bins.flatMap((bin, index) => {
    if (index % 5 !== 0) return []
    const group = bins.slice(index, index + 5)
    return [{ from: bin.from, to: group.at(-1)!.to, count: group.reduce((sum, it) => sum + it.count, 0) }]
  })
}

function bar(share: number): string {
  return '█'.repeat(Math.round(share * BAR))
}

function questions({ questions, arms }: DetailedReport, columns: number): string {
  if (questions.length === 0) return ''
  const shown = arms.slice(0, 4)
  const rows = questions.map(({ question, arms: counts }) => [
    shortened(question, LONGEST_QUESTION),
    ...shown.map(({ arm }) => {
      const own = counts.find((it) => it.arm === arm)
      return own === undefined ? '–' : `${own.positives}/${own.total}`
    }),
  ])
  const head = ['question', ...shown.map(({ arm }) => shortened(arm, 10))]
  return section('Positive per question, the most frequent', table([head, ...rows], columns, 2))
}

function ratio({ sample_ratio: { p, chi_square }, comparisons }: DetailedReport, columns: number): string {
  if (comparisons.length === 0) return ''
  return section(
    'Do the arms get their shares of the units',
    bullet(
      `p ${pValue(p)} at any time (alarm below 0.001); chi-square ${chi_square.value.toFixed(1)}, p ${pValue(chi_square.p)} if looked at once`,
      columns,
    ),
  )
}

function judge(judge: JudgeDetail | null, columns: number): string {
  if (judge === null) return ''
  const { sensitivity, specificity, arms } = judge
  const share = (what: string, it: typeof sensitivity) => [
    what,
    `${it.right}/${it.of}`,
    rate(it.estimate),
    bounds(it),
  ]
  const errors = table([share('sensitivity', sensitivity), share('specificity', specificity)], columns, 2)
  const rows = arms.flatMap(({ arm, corrected }) =>
    corrected.map((it) => [name(arm), rate(it.estimate), bounds(it), methodInWords(it.method)]),
  )
  const uneven = arms
    .filter((it) => it.uneven)
    .map((it) =>
      bullet(
        `${it.arm}: the judge errs otherwise than in the control (p ${pValue(it.p_sensitivity)} and ${pValue(it.p_specificity)})`,
        columns,
      ),
    )
  return section(
    'The judge, held to labels',
    bullet(identifiableInWords(judge), columns) + errors + table(rows, columns, 2) + uneven.join(''),
  )
}

function history({ history }: DetailedReport, columns: number): string {
  return section(
    'What was done to the arms',
    history.map((event) => bullet(`${moment(event.at)}: ${eventInWords(event)}`, columns)).join(''),
  )
}
