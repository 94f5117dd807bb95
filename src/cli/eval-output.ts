/** Prints and writes what came out of an evaluation. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Rubric } from '../domain/check.ts'
import { ourColumns, paperColumns, type ResultRow } from '../eval/result-rows.ts'
import type { EvalReport } from '../eval/summary.ts'
import { drawEvaluation, evaluationMarkdown } from './eval-text.ts'
import { columnsOf } from './text.ts'

export type EvalFormat = 'text' | 'markdown' | 'json' | 'html'

export interface PrintOptions {
  readonly json: boolean
  readonly format?: EvalFormat
}

export async function printReport(
  report: EvalReport,
  { json, format = json ? 'json' : 'text' }: PrintOptions,
): Promise<void> {
  const texts = {
    json: () => `${JSON.stringify(report, null, 2)}\n`,
    markdown: () => evaluationMarkdown(report),
    html: () => pageOf(report),
    text: () => drawEvaluation(report, columnsOf(process.stdout)),
  }
  process.stdout.write(await texts[format]())
}

export async function writeReports(folder: string, report: EvalReport): Promise<void> {
  writeWhole(join(folder, 'report.json'), `${JSON.stringify(report, null, 2)}\n`)
  writeWhole(join(folder, 'report.md'), evaluationMarkdown(report))
  writeWhole(join(folder, 'report.html'), await pageOf(report))
}

/**
 * `results.jsonl` with all rows, and for each model and context a file as the paper's evaluation writes it:
 * `paper/MODEL/CONTEXT/results.json`.
 */
export function writeRows(folder: string, rows: readonly ResultRow[], rubrics: readonly Rubric[]): void {
  const judges = rubrics.map(({ id }) => id)
  const lines = rows.map((row) => `${JSON.stringify(ourColumns(row, judges))}\n`)
  writeWhole(join(folder, 'results.jsonl'), lines.join(''))
  const taken = new Set<string>()
  for (const of of Map.groupBy(rows, ({ model, context }) => JSON.stringify([model, context])).values()) {
    const { model, context } = of[0]!
    const path = join(folder, 'paper', pathOf(model, context, taken), 'results.json')
    writeWhole(
      path,
      `${JSON.stringify(
        of.map((row) => paperColumns(row, judges)),
        null,
        2,
      )}\n`,
    )
  }
}

/** What draws the page takes a while to load, and most commands never need it. */
async function pageOf(report: EvalReport): Promise<string> {
  const { evaluationHtml } = await import('./eval-html.ts')
  return evaluationHtml(report)
}

/** Whole or not at all. */
function writeWhole(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  const partial = `${path}.partial`
  writeFileSync(partial, text, { flush: true })
  renameSync(partial, path)
}

/** Names that only differ in what a file's name cannot have get a number, whatever letters the disk tells apart. */
function pathOf(model: string, context: string | null, taken: Set<string>): string {
  const path = join(fileName(model), fileName(context ?? 'no-context'))
  let free = path
  for (let number = 2; taken.has(free.toLowerCase()); number++) free = `${path}-${number}`
  taken.add(free.toLowerCase())
  return free
}

/** A name without what a path would take for its own. */
function fileName(name: string): string {
  return name.replace(/[^\w.-]+/g, '-').replace(/^\.+/, '') || '-'
}
