/** Shows what a run found: a Markdown table, the lines it is held to, or all of it as JSON. Called by `main.ts`. */
import { figure, median, paired, ratio } from './numbers.ts'
import type { Run } from './run.ts'
import type { Line, Row } from './suites.ts'

export interface Verdict {
  readonly number: string
  readonly text: string
  /** Null: it was not measured in this run. */
  readonly passed: boolean | null
  readonly figure: number | null
  readonly most: number
}

/** A row's rounds for one target, with what is shown over direct taken over direct. */
function shownRounds(run: Run, row: Row, target: string): (number | null)[] {
  const own = run.figures(row.id, target)
  if (row.overDirect !== true) return [...own]
  return paired(own, run.figures(row.id, 'direct'), (a, b) => a - b)
}

/** The table in Markdown: a row a figure, a column a target, then the ratios. */
export function formatTable(run: Run): string {
  const names = run.targets.map(({ name }) => name)
  const ratios = run.suite.ratios.filter(([target, base]) => names.includes(target) && names.includes(base))
  const header = ['', ...names, ...ratios.map(([target, base]) => `${target} / ${base}`)]
  const body = run.rows.map((row) => [
    row.title,
    ...names.map((name) =>
      row.overDirect === true && name === 'direct'
        ? figure(median(run.figures(row.id, name).filter((it) => it !== null)))
        : figure(median(shownRounds(run, row, name).filter((it) => it !== null))),
    ),
    // A ratio of differences that may be zero says nothing.
    ...ratios.map(([target, base]) =>
      row.overDirect === true || row.noRatio === true
        ? '–'
        : figure(ratio(run.figures(row.id, target), run.figures(row.id, base))),
    ),
  ])
  return formatMarkdown([header, ...body])
}

/** Aligned, so that it reads in a terminal as well. */
export function formatMarkdown([header, ...body]: readonly (readonly string[])[]): string {
  const widths = header!.map((_, column) =>
    Math.max(3, ...[header!, ...body].map((row) => row[column]!.length)),
  )
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join(' | ')} |`
  const rule = `|${widths.map((width, column) => (column === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`
  return [line(header!), rule, ...body.map(line)].join('\n')
}

/** What the run says on the lines it is held to. */
export function judgeLines(lines: readonly Line[], figures: Run['figures']): Verdict[] {
  return lines.map(({ number, title, most, unit, figure: of }) => {
    const value = of(figures)
    return {
      number,
      text: `${title}: ${figure(value)} ${unit} (at most ${most})`,
      passed: value === null ? null : value <= most,
      figure: value,
      most,
    }
  })
}

export function formatVerdicts(verdicts: readonly Verdict[]): string {
  const word = ({ passed }: Verdict) => (passed === null ? 'n/a ' : passed ? 'PASS' : 'FAIL')
  return verdicts.map((it) => `${word(it)}  ${it.number}  ${it.text}`).join('\n')
}

/** Everything a run found, for programs. */
export function toJson(run: Run): object {
  const names = run.targets.map(({ name }) => name)
  return {
    suite: run.suite.name,
    targets: run.targets.map((target) => ({ name: target.name, version: target.version() })),
    rows: run.rows.map((row) => ({
      id: row.id,
      title: row.title,
      targets: Object.fromEntries(
        names.map((name) => {
          const rounds = run.figures(row.id, name)
          return [name, { median: median(rounds.filter((it) => it !== null)), rounds }]
        }),
      ),
      ratios: Object.fromEntries(
        run.suite.ratios
          .filter(([target, base]) => names.includes(target) && names.includes(base))
          .map(([target, base]) => [
            `${target} / ${base}`,
            ratio(run.figures(row.id, target), run.figures(row.id, base)),
          ]),
      ),
    })),
    lines: judgeLines(run.suite.lines, run.figures),
    notes: run.notes,
  }
}
