/** What `ballast calibrate` found, as text. */

import { VERDICTS } from '../domain/verdict.ts'
import { type Calibration, LABELS } from '../stats/calibration.ts'
import { LEAST_LABELS } from '../stats/prediction-powered.ts'
import type { UnusedLabels } from './calibration-data.ts'
import { bounds, identifiableInWords, methodInWords, pValue, rate, whole } from './report/words.ts'
import { bold, columnsOf, printable, table, wrap } from './text.ts'

/** What it prints as JSON. */
export interface CalibrationView extends Calibration {
  readonly experiment: string
  readonly check: string
  readonly unused: UnusedLabels
}

const UNUSED: Record<keyof UnusedLabels, string> = {
  other_wording: 'under another wording of check or policy',
  unjudged: 'not judged yet',
  extra: 'kept because they are like the training context, not drawn',
  disputed: 'on which people do not agree',
}

export function drawCalibration(view: CalibrationView, columns = columnsOf(process.stdout)): string {
  const { experiment, check, labels } = view
  const unused = (Object.keys(UNUSED) as (keyof UnusedLabels)[])
    .filter((why) => view.unused[why] > 0)
    .map((why) => bullet(`left out: ${whole(view.unused[why])} ${UNUSED[why]}`, columns))
    .join('')
  const head = `${bold(`${experiment}, check ${check}: the judge, held to labels`)}\n`
  const all = LABELS.reduce(
    (sum, label) => sum + VERDICTS.reduce((so, kind) => so + view.confusion[label][kind], 0),
    0,
  )
  if (all === 0) return printable(`${head}No judged answer of it was labelled yet.\n${unused}`)
  return printable(
    [
      head,
      `${wrap(summary(view), columns)}\n`,
      unused,
      confusion(view, columns),
      errors(view, columns),
      corrected(view, columns),
      labels === 0
        ? ''
        : `\n${bullet('Labels are taken to be right, and labelled answers to be drawn by chance among the judged ones. Bounds (95%) are for one look.', columns)}`,
    ].join(''),
  )
}

function bullet(text: string, columns: number): string {
  return `  - ${wrap(text, columns, 4).slice(4)}\n`
}

function summary(view: CalibrationView): string {
  const { labels, identifiable, arms } = view
  const uneven = arms.filter((it) => it.uneven).map(({ arm }) => arm)
  const apart =
    uneven.length === 0
      ? ''
      : ` In ${uneven.join(', ')} it errs otherwise than in the control, so a difference may be the judge's; rates are given by each arm's own labels only.`
  const more =
    identifiable === 'yes' && labels < LEAST_LABELS
      ? ` Rates are given from the labels alone; from ${LEAST_LABELS} labels on the judge's are corrected.`
      : ''
  const drawn = view.evenly_drawn
    ? ''
    : ' Labels were drawn with different probabilities, and shares are weighed by them.'
  return `The judge: ${identifiableInWords(view)}.${apart}${more}${drawn}`
}

function confusion({ confusion }: CalibrationView, columns: number): string {
  const rows = LABELS.map((label) => [label, ...VERDICTS.map((kind) => whole(confusion[label][kind]))])
  return `\n${bold('People say (rows), the judge says (columns)')}\n${table([['', ...VERDICTS], ...rows], columns, 2)}`
}

function errors({ sensitivity, specificity, arms }: CalibrationView, columns: number): string {
  const row = (name: string, it: typeof sensitivity, p: number | null) => [
    name,
    `${whole(it.right)}/${whole(it.of)}`,
    rate(it.estimate),
    bounds(it),
    pValue(p),
  ]
  const head = ['right', 'share', '95%', 'p']
  const part = (title: string, rows: string[][]) => table([[title, ...head], ...rows], columns, 2)
  const agreed = arms.map(({ arm, agreed, labels }) => [
    arm,
    `${whole(agreed)}/${whole(labels)}`,
    rate(labels === 0 ? null : agreed / labels),
  ])
  return [
    `\n${bold('Positives it calls positive, negatives it calls negative')}\n`,
    part('sensitivity', [
      row('all arms', sensitivity, null),
      ...arms.map((it) => row(it.arm, it.sensitivity, it.p_sensitivity)),
    ]),
    part('specificity', [
      row('all arms', specificity, null),
      ...arms.map((it) => row(it.arm, it.specificity, it.p_specificity)),
    ]),
    bullet(
      'p: does it err as in the control? After Holm over arms and shares; below 0.01 it does not.',
      columns,
    ),
    `\n${bold('Agreement')}\n`,
    table([['arm', 'agreed', 'share'], ...agreed], columns, 2),
  ].join('')
}

function corrected({ arms, identifiable, labels }: CalibrationView, columns: number): string {
  const rows = arms.flatMap(({ arm, corrected }) =>
    corrected.map((it) => [arm, rate(it.estimate), bounds(it), methodInWords(it.method)]),
  )
  const without = arms.filter(({ corrected }) => corrected.length === 0).map(({ arm }) => arm)
  const why =
    labels >= LEAST_LABELS && identifiable !== 'yes'
      ? 'the rate is not identifiable'
      : 'there are no labels or no verdicts'
  const missing = without.length === 0 ? '' : bullet(`${without.join(', ')}: ${why}`, columns)
  return `\n${bold("The trait's rate")}\n${table(rows.length === 0 ? [] : [['arm', 'rate', '95%', 'by'], ...rows], columns, 2)}${missing}`
}
