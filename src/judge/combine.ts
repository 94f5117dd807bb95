/** One score of several judgings of a rubric (docs/judging.md). Pure; called by `rater.ts`. */
import type { Rubric } from '../domain/check.ts'
import type { PlainScore, Score, ScorePart } from '../domain/verdict.ts'

/** More judgings than this are not quoted when they cannot be combined. */
const QUOTED_PARTS = 10

/**
 * A label that more than half of all judgings gave; else the mean or median (the default) of the numbers, if more than
 * half are numbers; else `error` if a judging failed, else `unparsed`. What failed or cannot be read is a vote for nothing.
 */
export function combineScores(rubric: Pick<Rubric, 'combine'>, parts: readonly ScorePart[]): Score {
  if (parts.length === 1) return parts[0]!.score
  return { ...together(rubric.combine, parts), parts }
}

function together(combine: Rubric['combine'], parts: readonly ScorePart[]): PlainScore {
  const isMost = (count: number) => count * 2 > parts.length
  const labels = Map.groupBy(
    parts.flatMap(({ score }) => (score.kind === 'label' ? [score.value] : [])),
    (label) => label,
  )
  for (const [value, { length }] of labels) if (isMost(length)) return { kind: 'label', value }
  const numbers = parts.flatMap(({ score }) => (score.kind === 'number' ? [score.value] : []))
  if (isMost(numbers.length))
    return { kind: 'number', value: combine === 'mean' ? mean(numbers) : median(numbers) }
  const failed = parts.find(({ score }) => score.kind === 'error')
  if (failed?.score.kind === 'error')
    return { kind: 'error', message: `${failed.model}: ${failed.score.message}` }
  const said = parts
    .slice(0, QUOTED_PARTS)
    .map(({ score }) => ('value' in score ? String(score.value) : 'unparsed'))
  return { kind: 'unparsed', text: `no majority among: ${said.join(', ')}` }
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, value) => sum + value / numbers.length, 0)
}

/** Of an even count, the mean of the two in the middle. */
function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
