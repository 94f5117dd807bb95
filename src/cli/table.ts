/** Draws experiments as text, for people at a terminal. */
import type { ArmReport, Comparison, Report } from '../domain/report.ts'
import { stateInWords } from './arms-text.ts'

const WIDEST_BAR = 40
const NARROWEST_BAR = 10
/** What stands beside bar and arm: rate, bounds, counts and the space between them. */
const BESIDE = 50

/**
 * @param columns the terminal's width; lines fit into it down to some 70.
 * @returns lines without colour: each arm with its rate drawn from 0% to 100%, bounds as `─`, estimate as `●`.
 */
export function drawReports(reports: readonly Report[], columns = 100): string {
  return reports.map((report) => drawReport(report, columns)).join('\n')
}

function drawReport({ experiment, check, arms, comparisons }: Report, columns: number): string {
  const width = Math.max(...arms.map(({ arm }) => arm.length), 3)
  const bar = Math.max(NARROWEST_BAR, Math.min(WIDEST_BAR, columns - width - BESIDE))
  const lines = arms.map(({ arm, rate, verdicts }) => {
    const estimate = rate.estimate === null ? '    –' : percent(rate.estimate)
    const bounds = `${percent(rate.lower).trim()} to ${percent(rate.upper).trim()}`
    const counts = `${verdicts.positive} of ${verdicts.positive + verdicts.negative}`
    return `  ${arm.padEnd(width)} │${drawBar(rate, bar)}│ ${estimate}  (${bounds})  ${counts}`
  })
  const scale = `  ${' '.repeat(width)} 0%${' '.repeat(bar - 3)}100%`
  const heading = `${experiment}: positive rate per arm, with 95% bounds`
  const besides = [...arms.flatMap(drawState), ...arms.flatMap(drawWeighted), ...arms.flatMap(drawExtra)]
  return [
    heading,
    `check ${check}`,
    scale,
    ...lines,
    ...besides,
    ...comparisons.map(drawComparison),
    '',
  ].join('\n')
}

/** Of all traffic, where some of it was more likely judged than other. */
function drawWeighted({ arm, rate: { weighted } }: ArmReport): string[] {
  if (weighted === undefined || weighted.estimate === null) return []
  const [estimate, lower, upper] = [weighted.estimate, weighted.lower, weighted.upper].map((it) =>
    percent(it).trim(),
  )
  return [`  ${arm}: ${estimate} of all traffic, weighted (${lower} to ${upper} at one look)`]
}

function drawState({ arm, state }: ArmReport): string[] {
  if (state === undefined || state.state === 'on') return []
  const why = state.reason === null ? '' : `: ${state.reason}`
  return [`  ${arm} is ${stateInWords(state)}${why}`]
}

/** What was judged beside the draw and is in no rate. */
function drawExtra({ arm, extra }: ArmReport): string[] {
  if (extra === undefined) return []
  const { samples, verdicts } = extra
  return [
    `  ${arm}: ${samples} like the training context, not drawn: ${verdicts.positive} positive, ${verdicts.negative} negative`,
  ]
}

function drawComparison({ arm, against, decision }: Comparison): string {
  if (decision === 'undecided') return `  ${arm} against ${against}: undecided`
  return `  ${arm}: ${decision === 'better' ? 'lower' : 'higher'} rate than ${against}, proven at 5% at any time`
}

function drawBar({ estimate, lower, upper }: ArmReport['rate'], width: number): string {
  const at = (rate: number) => Math.min(width - 1, Math.floor(rate * width))
  return Array.from({ length: width }, (_, index) => {
    if (estimate !== null && index === at(estimate)) return '●'
    return index >= at(lower) && index <= at(upper) ? '─' : ' '
  }).join('')
}

function percent(rate: number): string {
  return `${(rate * 100).toFixed(1)}%`.padStart(6)
}
