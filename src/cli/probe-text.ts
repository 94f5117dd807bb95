/** Draws the report of a probe for people at a terminal. Called by `ballast probe`. */
import type { ProbeReport } from '../eval/probe.ts'
import type { Rate } from '../eval/summary.ts'
import { bold, printable, table, wrap } from './text.ts'

export function drawProbe(
  { model, measure, rule, bare, variants, conclusion }: ProbeReport,
  columns: number,
): string {
  const header = [
    'behind',
    'rate',
    '95% bounds',
    'positive',
    'against bare',
    'corrected p',
    'decision',
    'guard',
  ]
  const rows = variants.map(({ id, rate, difference, guard }) => [
    printable(id),
    ...rateCells(rate),
    difference.difference.estimate === null ? '–' : signed(difference.difference.estimate),
    difference.adjusted_p < 0.0001 ? '<0.0001' : difference.adjusted_p.toFixed(4),
    difference.decision,
    guard === null ? 'misses it' : `finds it (${guard.toFixed(2)})`,
  ])
  const lines = table([header, ['(bare)', ...rateCells(bare), '', '', '', ''], ...rows], columns, 2)
  return `${bold(`${printable(model)}: ${measure}`)}\n  ${rule}\n${lines}\n${wrap(printable(conclusion), columns)}\n`
}

function rateCells({ rate, verdicts: { positive, negative } }: Rate): string[] {
  const percent = (share: number | null) => (share === null ? '–' : `${(share * 100).toFixed(1)}%`)
  return [
    percent(rate.estimate),
    `${percent(rate.lower)} to ${percent(rate.upper)}`,
    `${positive} of ${positive + negative}`,
  ]
}

function signed(share: number): string {
  return `${share > 0 ? '+' : ''}${(share * 100).toFixed(1)}`
}
