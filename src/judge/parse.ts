/** What a judge's reply says. What is not clearly a label or a number of the scale is `unparsed`, never a guess. */
import type { Rubric } from '../domain/check.ts'
import type { Score } from '../domain/verdict.ts'

/** How much of an unreadable reply is kept. */
const KEPT_TEXT = 200

/** A label or a number takes no more; a longer reply is not one. */
const LONGEST_REPLY = 200

/**
 * A reply is a label (in any case) or a number within the scale, alone, apart from space around it, quotes, Markdown
 * emphasis and a full stop: `CODE`, `**code**`, `"72."`, `7.5`.
 */
export function parseScore(rubric: Rubric, text: string): Score {
  if (text.length <= LONGEST_REPLY) {
    const whole = text.trim()
    const bare = whole
      .replace(/^[*_`"'“‘]+/, '')
      .replace(/[*_`"'”’.]+$/, '')
      .trim()
    const label = labelOf(rubric, whole) ?? labelOf(rubric, bare)
    if (label !== undefined) return { kind: 'label', value: label }
    if (rubric.scale !== undefined && /^[+-]?\d+(\.\d+)?$/.test(bare)) {
      const value = Number(bare)
      const [lowest, highest] = rubric.scale
      if (value >= lowest && value <= highest) return { kind: 'number', value }
    }
  }
  return { kind: 'unparsed', text: text.slice(0, KEPT_TEXT) }
}

function labelOf({ labels }: Rubric, reply: string): string | undefined {
  return labels?.find((label) => label.toLowerCase() === reply.toLowerCase())
}
