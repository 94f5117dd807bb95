/** Draws the report of an evaluation for people at a terminal, and as Markdown. Called by `ballast eval`. */
import type { EvalReport } from '../eval/summary.ts'
import { aboutReport, sectionsOf } from './eval-sections.ts'
import { bold, table } from './text.ts'

/** @param columns the terminal's width. */
export function drawEvaluation(report: EvalReport, columns: number): string {
  return sectionsOf(report)
    .map(({ title, notes, header, rows }) => {
      const lines = table([header, ...rows], columns, 2)
      return `${bold(title)}\n${notes.map((note) => `  ${note}\n`).join('')}${lines}`
    })
    .join('\n')
}

export function evaluationMarkdown(report: EvalReport): string {
  const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
  const line = (cells: readonly string[]) => `| ${cells.map(cell).join(' | ')} |\n`
  const tables = sectionsOf(report).map(
    ({ title, notes, header, rows }) =>
      `## ${title}\n\n${notes.map((note) => `${note}\n\n`).join('')}${line(header)}${line(header.map(() => '---'))}${rows.map(line).join('')}`,
  )
  return `# Evaluation\n\n${aboutReport(report)}\n\n${tables.join('\n')}`
}
