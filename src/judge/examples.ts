/**
 * What a check makes of the examples in its own file, without a judge: their replies stand for what one would say.
 * Called by `ballast check`.
 */
import type { Check } from '../domain/check.ts'
import type { Score, VerdictKind } from '../domain/verdict.ts'
import { decide } from './decide.ts'
import { parseReply } from './parse.ts'

/** An example whose verdict does not follow from its replies. */
export interface WrongExample {
  readonly index: number
  readonly scores: Readonly<Record<string, Score>>
  /** What follows from them instead. */
  readonly verdict: VerdictKind
}

export function findWrongExamples(check: Check): WrongExample[] {
  return check.examples.flatMap((example, index) => {
    const scores = Object.fromEntries(
      check.rubrics.map((rubric) => [rubric.id, parseReply(rubric, example.replies[rubric.id]!)]),
    )
    const verdict = decide(check, scores)
    return verdict === example.verdict ? [] : [{ index, scores, verdict }]
  })
}
