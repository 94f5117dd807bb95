/** Draws experiments as text, for people at a terminal. */
import type { Report } from '../domain/report.ts'

const BAR_WIDTH = 40

/** @returns lines without colour: each arm with its rate drawn from 0% to 100%, bounds as `─`, estimate as `●`. */
export function drawReports(reports: readonly Report[]): string {
  return reports.map(drawReport).join('\n')
}

function drawReport({ experiment, check, arms, comparisons }: Report): string {
  const width = Math.max(...arms.map(({ arm }) => arm.length), 3)
  const lines = arms.map(({ arm, rate, verdicts }) => {
    const judged = verdicts.positive + verdicts.negative
    const estimate = rate.estimate === null ? '    –' : percent(rate.estimate)
    return `  ${arm.padEnd(width)} │${drawBar(rate)}│ ${estimate}  (${percent(rate.lower).trim()} to ${percent(rate.upper).trim()})  ${verdicts.positive} of ${judged}`
  })
  const scale = `  ${' '.repeat(width)} 0%${' '.repeat(BAR_WIDTH - 3)}100%`
  const decisions = comparisons.map(({ arm, against, decision }) => {
    if (decision === 'undecided') return `  ${arm} against ${against}: undecided`
    return `  ${arm} has a ${decision === 'better' ? 'lower' : 'higher'} rate than ${against} (proven at 5%, however often you look)`
  })
  return [
    `Experiment ${experiment}, check ${check}: positive rate per arm, with 95% bounds`,
    scale,
    ...lines,
    ...decisions,
    '',
  ].join('\n')
}

function drawBar({ estimate, lower, upper }: Report['arms'][number]['rate']): string {
  const at = (rate: number) => Math.min(BAR_WIDTH - 1, Math.floor(rate * BAR_WIDTH))
  return Array.from({ length: BAR_WIDTH }, (_, index) => {
    if (estimate !== null && index === at(estimate)) return '●'
    return index >= at(lower) && index <= at(upper) ? '─' : ' '
  }).join('')
}

function percent(rate: number): string {
  return `${(rate * 100).toFixed(1)}%`.padStart(6)
}
