/** What a judge said of a model's answers behind a context: shares of its labels, and its numbers. Pure; called by `summary.ts`. */
import type { Rubric } from '../domain/check.ts'
import type { ResultRow } from './result-rows.ts'

export interface Distribution {
  readonly judge: string
  readonly model: string
  readonly context: string | null
  /** Answers that it judged. */
  readonly judged: number
  /** Those that it said something unreadable of, or nothing after all. */
  readonly unreadable: number
  /** How often it said each label; all of the judge's are there. */
  readonly labels: Readonly<Record<string, number>>
  /** Null where it gave no number. */
  readonly numbers: {
    readonly count: number
    readonly mean: number
    readonly median: number
    readonly lowest: number
    readonly highest: number
    /** Counts in ten equal parts of the scale; the last one has its upper end. */
    readonly histogram: readonly number[]
    readonly scale: readonly [lowest: number, highest: number]
  } | null
}

const PARTS = 10

export function distributionOf(
  rubric: Rubric,
  model: string,
  context: string | null,
  rows: readonly ResultRow[],
): Distribution {
  const labels: Record<string, number> = Object.fromEntries((rubric.labels ?? []).map((label) => [label, 0]))
  const numbers: number[] = []
  let [judged, unreadable] = [0, 0]
  for (const { scores } of rows) {
    const score = scores[rubric.id]
    if (score === undefined) continue
    judged++
    if (score.kind === 'label') labels[score.value] = (labels[score.value] ?? 0) + 1
    else if (score.kind === 'number') numbers.push(score.value)
    else unreadable++
  }
  return {
    judge: rubric.id,
    model,
    context,
    judged,
    unreadable,
    labels,
    numbers: describe(numbers, rubric.scale),
  }
}

function describe(numbers: number[], scale: Rubric['scale']): Distribution['numbers'] {
  if (numbers.length === 0 || scale === undefined) return null
  numbers.sort((a, b) => a - b)
  const [from, to] = scale
  const histogram = Array.from({ length: PARTS }, () => 0)
  for (const number of numbers) {
    const part = Math.floor(((number - from) / (to - from)) * PARTS)
    histogram[Math.min(PARTS - 1, Math.max(0, part))]!++
  }
  const middle = numbers.length >> 1
  return {
    count: numbers.length,
    mean: numbers.reduce((sum, it) => sum + it, 0) / numbers.length,
    median: numbers.length % 2 === 1 ? numbers[middle]! : (numbers[middle - 1]! + numbers[middle]!) / 2,
    lowest: numbers[0]!,
    highest: numbers.at(-1)!,
    histogram,
    scale,
  }
}
