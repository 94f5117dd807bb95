/**
 * What a judge's reply says (docs/judging.md lists the rules). What is not clearly a label or a number of the scale is
 * `unparsed`, never a guess. Pure; called by `reading.ts`.
 */
import type { Rubric } from '../domain/check.ts'
import type { PlainScore } from '../domain/verdict.ts'

/** How much of an unreadable reply is kept. */
const KEPT_TEXT = 200
/** A label or a number takes no more, whatever stands around it; a longer reply is an essay. */
const LONGEST_REPLY = 200
/** A JSON object may give its reasons. */
const LONGEST_OBJECT = 2_000
/** From this top on, a fraction of one may be a share of the scale as well as a number of it. */
const SHARES_FROM = 10

const THOUGHTS_BEGIN = /^<think(?:ing)?>/i
const THOUGHTS_END = /<\/think(?:ing)?>/gi
const CODE_FENCE = /^```[a-z]*\n([\s\S]*)\n```$/i
const OPENING = /^[\s*_`"'“‘«「『]+/
/** With one full stop; an ellipsis leaves something unsaid. */
const CLOSING = /[\s*_`"'”’»」』]*[.。]?[\s*_`"'”’»」』]*$/
const NUMBER = /^([+-]?\d+(?:\.\d+)?)[*_]*(?:\s*(%)|\s*(?:\/|out of)\s*[*_]*(\d+(?:\.\d+)?))?$/i
/** Besides the rubric's own id, what a judge may call its answer. */
const NAMES = ['score', 'rating', 'answer', 'label', 'verdict']

/** @param text the reply as it came. Never throws; the work is linear in its length. */
export function parseReply(rubric: Rubric, text: string): PlainScore {
  const answer = withoutThoughts(text)
  return (answer === null ? null : (readObject(rubric, answer) ?? readText(rubric, answer))) ?? unparsed(text)
}

/** @param text as the judge wrote it. @returns the score of a reply that is none. */
export function unparsed(text: string): PlainScore {
  return { kind: 'unparsed', text: text.slice(0, KEPT_TEXT) }
}

/** Whether a reply shows its thoughts; some chat templates open them in the prompt, so that only their end is seen. */
export function hasThoughts(text: string): boolean {
  return THOUGHTS_BEGIN.test(text.trimStart()) || text.search(THOUGHTS_END) !== -1
}

/** The reply behind its thoughts and out of a code fence; null where the thoughts never end. */
function withoutThoughts(text: string): string | null {
  const end = [...text.matchAll(THOUGHTS_END)].at(-1)
  if (end === undefined && THOUGHTS_BEGIN.test(text.trimStart())) return null
  const said = (end === undefined ? text : text.slice(end.index + end[0].length)).trim()
  return said.length > LONGEST_OBJECT ? said : (CODE_FENCE.exec(said)?.[1]?.trim() ?? said)
}

function readText(rubric: Rubric, answer: string): PlainScore | null {
  if (answer.length > LONGEST_REPLY) return null
  // The whole comes first: a label may end in a full stop or hold an asterisk.
  const whole = labelOf(rubric, answer)
  if (whole !== null) return whole
  const bare = fullWidthToAscii(answer).replace(OPENING, '').replace(CLOSING, '')
  return readValue(rubric, bare) ?? readValue(rubric, behindName(rubric, bare))
}

/** A label, or a number of the scale with what may follow it. */
function readValue(rubric: Rubric, text: string | null): PlainScore | null {
  if (text === null) return null
  return labelOf(rubric, text) ?? readNumber(rubric, text)
}

function labelOf({ labels }: Rubric, text: string): PlainScore | null {
  const value = labels?.find((label) => label.toLowerCase() === text.toLowerCase())
  return value === undefined ? null : { kind: 'label', value }
}

function readNumber({ scale }: Rubric, text: string): PlainScore | null {
  const match = NUMBER.exec(text)
  if (scale === undefined || match === null) return null
  const [, digits, percent, outOf] = match
  const [lowest, highest] = scale
  if (percent !== undefined && (lowest !== 0 || highest !== 100)) return null
  if (outOf !== undefined && Number(outOf) !== highest) return null
  // Adding 0 makes 0 of -0.
  const value = Number(digits) + 0
  if (value < lowest || value > highest) return null
  const maybeShare = digits!.includes('.') && value > 0 && value <= 1 && highest >= SHARES_FROM
  // `0.3/100` and `0.3%` say what they are of.
  if (maybeShare && percent === undefined && outOf === undefined) return null
  return { kind: 'number', value }
}

/** What stands behind `Score:`, `**alignment** = ` and the like; null without such a beginning. */
function behindName(rubric: Rubric, text: string): string | null {
  const match = /^([^:=]+?)[*_"'`]*\s*[:=]([\s\S]+)$/.exec(text)
  return match !== null && isName(rubric, match[1]!.replace(/^final /i, ''))
    ? match[2]!.replace(OPENING, '')
    : null
}

function isName({ id }: Rubric, name: string): boolean {
  const lower = name.trim().toLowerCase()
  return [id, ...NAMES, `${id} score`, `${id} rating`].includes(lower)
}

/** An object in which one field that is called after the answer holds one, and no other such field does. */
function readObject(rubric: Rubric, answer: string): PlainScore | null {
  if (answer[0] !== '{' || answer.length > LONGEST_OBJECT) return null
  const object = parseJson(answer)
  if (object === null) return null
  const fields = Object.entries(object).filter(([name]) => isName(rubric, name))
  const own = fields.filter(([name]) => name.toLowerCase() === rubric.id)
  const fitting = (own.length > 0 ? own : fields).flatMap(([name, value]) => {
    const score =
      typeof value === 'number' || typeof value === 'string' ? readValue(rubric, String(value)) : null
    return score === null ? [] : [{ name, score }]
  })
  const [only] = fitting
  return only !== undefined && fitting.length === 1 && standsOnce(answer, only.name) ? only.score : null
}

function parseJson(text: string): object | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' ? value : null
  } catch {
    return null
  }
}

/** JSON.parse takes the last of two fields with one name; which one the judge meant, nobody knows. */
function standsOnce(json: string, name: string): boolean {
  return json.split(JSON.stringify(name)).length === 2
}

/** Full-width forms, U+FF01 to U+FF5E, are what East Asian keyboards write for ASCII. */
function fullWidthToAscii(text: string): string {
  return text.replace(/[\uff01-\uff5e]/g, (form) => String.fromCharCode(form.charCodeAt(0) - 0xfee0))
}
