/** The rule that makes a verdict of scores (SPEC section 7). Pure; called by `worker.ts`. */
import type { Check, Condition } from '../domain/check.ts'
import type { Score, Scores, VerdictKind } from '../domain/verdict.ts'

/**
 * `error` if a rubric has no answer; else `excluded` if any such condition holds, even where another rubric is
 * unreadable; else `unparsed` if a rubric is; else `positive` if all those conditions hold; else `negative`.
 */
export function decide(check: Pick<Check, 'rule' | 'rubrics'>, scores: Scores): VerdictKind {
  const given = check.rubrics.map(({ id }) => scores[id])
  if (given.some((score) => score === undefined || score.kind === 'error')) return 'error'
  if (check.rule.excluded_if_any.some((condition) => holds(condition, scores))) return 'excluded'
  if (given.some((score) => score?.kind === 'unparsed')) return 'unparsed'
  return check.rule.positive_if_all.every((condition) => holds(condition, scores)) ? 'positive' : 'negative'
}

/** A comparison of numbers never holds for a label, nor `is` for a number. */
function holds(condition: Condition, scores: Scores): boolean {
  const score: Score | undefined = scores[condition.rubric]
  if (score?.kind === 'label')
    return condition.is !== undefined && [condition.is].flat().includes(score.value)
  if (score?.kind !== 'number') return false
  const { below, at_most, above, at_least } = condition
  if (below !== undefined) return score.value < below
  if (at_most !== undefined) return score.value <= at_most
  if (above !== undefined) return score.value > above
  if (at_least !== undefined) return score.value >= at_least
  return false
}
