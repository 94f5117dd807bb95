/** Prints and writes what came out of an evaluation. */
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs'
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
  writeWhole(join(folder, 'report.json'), [`${JSON.stringify(report, null, 2)}\n`])
  writeWhole(join(folder, 'report.md'), [evaluationMarkdown(report)])
  writeWhole(join(folder, 'report.html'), [await pageOf(report)])
}

/**
 * `results.jsonl` with all rows, and for each model and context a file as the paper's evaluation writes it:
 * `paper/MODEL/CONTEXT/results.json`.
 */
export function writeRows(folder: string, rows: readonly ResultRow[], rubrics: readonly Rubric[]): void {
  const judges = rubrics.map(({ id }) => id)
  writeWhole(
    join(folder, 'results.jsonl'),
    jsonLines(rows, (row) => ourColumns(row, judges)),
  )
  const taken = new Set<string>()
  for (const of of Map.groupBy(rows, ({ model, context }) => JSON.stringify([model, context])).values()) {
    const { model, context } = of[0]!
    const path = join(folder, 'paper', pathOf(model, context, taken), 'results.json')
    writeWhole(
      path,
      jsonArray(of, (row) => paperColumns(row, judges)),
    )
  }
}

// In pieces: one string holds half a gigabyte at most.

function* jsonLines<T>(items: Iterable<T>, as: (item: T) => unknown): Generator<string> {
  for (const item of items) yield `${JSON.stringify(as(item))}\n`
}

/** As `JSON.stringify` writes it with an indent of 2. */
function* jsonArray<T>(items: Iterable<T>, as: (item: T) => unknown): Generator<string> {
  let before = '[\n'
  for (const item of items) {
    yield `${before}${JSON.stringify(as(item), null, 2).replaceAll(/^/gm, '  ')}`
    before = ',\n'
  }
  yield before === '[\n' ? '[]\n' : '\n]\n'
}

/** What draws the page takes a while to load, and most commands never need it. */
async function pageOf(report: EvalReport): Promise<string> {
  const { evaluationHtml } = await import('./eval-html.ts')
  return evaluationHtml(report)
}

/** Whole or not at all. */
function writeWhole(path: string, pieces: Iterable<string>): void {
  mkdirSync(dirname(path), { recursive: true })
  const partial = `${path}.partial`
  const file = openSync(partial, 'w')
  try {
    for (const piece of pieces) writeAll(file, Buffer.from(piece))
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(partial, path)
}

/** The system may take less than it is given. */
function writeAll(file: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at)
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
