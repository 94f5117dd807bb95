/** From a judge's answer to a score: its text, and its token probabilities where it gave them. Called by `rater.ts`. */
import type { Rubric } from '../domain/check.ts'
import type { JudgeAnswer } from '../domain/ports.ts'
import type { PlainScore } from '../domain/verdict.ts'
import { hasThoughts, parseReply, unparsed } from './parse.ts'
import { weighNumber } from './token-mean.ts'

/** Below this share of probability on numbers of the scale the judge was not answering with one (Betley et al. 2025). */
const LEAST_MASS = 0.25

/**
 * What the text says decides between label, number and neither; a number is then replaced by its probability-weighted
 * mean where the tokens can be read cleanly. A reply that was cut off is `unparsed`: the rest could have said more.
 */
export function readAnswer(rubric: Rubric, { text, cutOff, tokens }: JudgeAnswer): PlainScore {
  if (cutOff) return unparsed(text)
  const said = parseReply(rubric, text)
  if (said.kind !== 'number' || rubric.scale === undefined || tokens === null || hasThoughts(text))
    return said
  const weighed = weighNumber(rubric.scale, said.value, tokens)
  if (weighed === null) return said
  return weighed.mass < LEAST_MASS ? unparsed(text) : { kind: 'number', ...weighed }
}
