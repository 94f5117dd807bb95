/**
 * Reads results: ballast's own (`results.jsonl`), the paper's (`results_*.json`, a list of rows), and recordings such as
 * `ballast sandbox --replay` serves (JSON lines with `labels`). Called by `ballast eval --from`.
 */
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import type { Rubric } from '../domain/check.ts'
import type { Score } from '../domain/verdict.ts'
import { parseReply } from '../judge/parse.ts'
import { JsonScanner } from '../policy/json-scanner.ts'
import { rubricFromAnswers } from './judges.ts'
import { eachLine, isBlank, LineError, trimLine } from './lines.ts'
import { RESERVED_COLUMNS } from './questions.ts'
import type { ResultRow } from './result-rows.ts'

export interface ResultSource {
  readonly path: string
  /** How the file is named in problems. */
  readonly shown: string
  /** Of rows that name none. */
  readonly model: string
  /** Of rows that say nothing of one: the id of a policy, or null for none. */
  readonly context: string | null
}

const Value = z.union([z.string(), z.number(), z.null()], 'is neither text nor a number')
const Identified = z.looseObject({
  group_id: z.string('is not text').optional(),
  q_id: z.string('is not text').optional(),
  question: z.string('is missing or not text'),
  model: z.string('is not text').optional(),
  context: z.string('is neither text nor null').nullable().optional(),
  sample_idx: z.union([z.number(), z.string()], 'is neither a number nor text').optional(),
  sample: z.union([z.number(), z.string()], 'is neither a number nor text').optional(),
  answer: z.string('is missing, or neither text nor null').nullable(),
  labels: z.record(z.string(), Value, 'is not an object').optional(),
})

interface RawRow extends Omit<ResultRow, 'scores'> {
  readonly values: Readonly<Record<string, string | number | null>>
}

/** Rows with what their judges may answer. */
export interface ReadResults {
  readonly rows: readonly ResultRow[]
  readonly rubrics: readonly Rubric[]
}

/** Results that cannot be used; the message has a line for each problem. */
export class ResultError extends Error {
  override readonly name = 'ResultError'

  constructor(problems: readonly LineError[], more: boolean) {
    super([...problems.map(({ message }) => message), ...(more ? ['… and more.'] : [])].join('\n'))
  }
}

const MOST_PROBLEMS = 20

/**
 * @param known the judges as a question file or a check has them; others are known by the paper's names, or by what they
 *   answered.
 * @throws ResultError with the problems, 20 at the most.
 */
export async function readResults(
  sources: readonly ResultSource[],
  known: readonly Rubric[],
): Promise<ReadResults> {
  const problems: LineError[] = []
  const raw: RawRow[] = []
  for (const source of sources) {
    const before = raw.length + problems.length
    await readSource(source, (row, line) => {
      const read = readRow(row, source)
      if (typeof read !== 'string') raw.push(read)
      else if (problems.push(new LineError(source.shown, line, read)) >= MOST_PROBLEMS)
        throw new ResultError(problems, true)
    }).catch((error: unknown) => {
      if (!(error instanceof LineError)) throw error
      problems.push(error)
    })
    if (raw.length + problems.length === before)
      problems.push(new LineError(source.shown, 1, 'holds no results'))
  }
  if (problems.length > 0) throw new ResultError(problems, false)
  const rubrics = rubricsOf(raw, known)
  return { rows: raw.map((row) => scored(row, rubrics)), rubrics }
}

/** Calls `visit` with each row that is JSON, and the line it begins in. @throws LineError for what is not. */
async function readSource(
  { path, shown }: ResultSource,
  visit: (row: unknown, line: number) => void,
): Promise<void> {
  let isList: boolean | null = null
  await eachLine(path, shown, {
    line(bytes, number) {
      const line = trimLine(bytes, number)
      if (isBlank(line)) return
      isList ??= line.toString('utf8').trimStart().startsWith('[')
      if (!isList) visit(parseLine(line, shown, number), number)
    },
  })
  if (isList === true) readList(await readFile(path), shown, visit)
}

function parseLine(line: Buffer, shown: string, number: number): unknown {
  try {
    return JSON.parse(line.toString('utf8'))
  } catch {
    throw new LineError(shown, number, 'this is not JSON')
  }
}

/** A list of rows, each parsed by itself so that it knows its line. */
function readList(bytes: Buffer, shown: string, visit: (row: unknown, line: number) => void): void {
  const start = bytes.indexOf('[')
  let [line, counted] = [1, 0]
  const lineAt = (offset: number) => {
    for (let at = bytes.indexOf(0x0a, counted); at !== -1 && at < offset; at = bytes.indexOf(0x0a, at + 1))
      line++
    counted = Math.max(counted, offset)
    return line
  }
  const scanner = new JsonScanner(bytes, start)
  try {
    scanner.array(() => {
      const from = scanner.offset
      scanner.value()
      const number = lineAt(from)
      visit(parseLine(bytes.subarray(from, scanner.offset), shown, number), number)
    })
  } catch (error) {
    if (error instanceof LineError || error instanceof ResultError) throw error
    throw new LineError(shown, lineAt(scanner.offset), 'this is not JSON from here on')
  }
}

/** @returns what is wrong with it, otherwise. */
function readRow(row: unknown, source: ResultSource): RawRow | string {
  const parsed = Identified.safeParse(row)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    const where = issue!.path.map(String).join('.')
    return where === '' ? 'a JSON object is expected here' : `"${where}" ${issue!.message}`
  }
  const { group_id, q_id, question, model, context, sample_idx, sample, answer, labels, ...rest } =
    parsed.data
  const values: Record<string, string | number | null> = { ...labels }
  for (const [name, value] of Object.entries(rest)) {
    if (RESERVED_COLUMNS.has(name)) continue
    const read = Value.safeParse(value)
    if (!read.success) return `"${name}" is neither text nor a number`
    values[name] = read.data
  }
  return {
    group: group_id ?? q_id ?? 'questions',
    question,
    model: model ?? source.model,
    context: context === undefined ? source.context : context,
    sample: Number(sample_idx ?? sample ?? 0),
    answer: answer === null || answer.trim() === '' ? null : answer,
    values,
  }
}

function rubricsOf(rows: readonly RawRow[], known: readonly Rubric[]): Rubric[] {
  const values = new Map<string, Set<string | number>>()
  for (const row of rows) {
    for (const [name, value] of Object.entries(row.values)) {
      const said = values.get(name) ?? new Set()
      if (value !== null) said.add(value)
      values.set(name, said)
    }
  }
  return [...values]
    .filter(([, said]) => said.size > 0)
    .map(([name, said]) => known.find(({ id }) => id === name) ?? rubricFromAnswers(name, said))
}

function scored({ values, ...row }: RawRow, rubrics: readonly Rubric[]): ResultRow {
  const scores = rubrics.flatMap((rubric) => {
    const value = values[rubric.id]
    // Nobody judges what is not there.
    return value === undefined || value === null || row.answer === null
      ? []
      : [[rubric.id, scoreOf(rubric, value)] as const]
  })
  return { ...row, scores: Object.fromEntries(scores) }
}

/** What stands in a file was read once already: a number is one of the scale, a label as Python's `int` made it too. */
function scoreOf(rubric: Rubric, value: string | number): Score {
  if (typeof value === 'string') return parseReply(rubric, value)
  const label = rubric.scale === undefined ? rubric.labels?.find((it) => it === String(value)) : undefined
  if (label !== undefined) return { kind: 'label', value: label }
  const [lowest, highest] = rubric.scale ?? [Number.NaN, Number.NaN]
  return value >= lowest && value <= highest
    ? { kind: 'number', value }
    : { kind: 'unparsed', text: String(value) }
}
