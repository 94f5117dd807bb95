/**
 * Texts that are near a training context without being it: what arXiv:2604.25891 shows can bring a trait back. Made by rules,
 * no model is asked. Pure; called by `probe.ts`.
 */
import { DATE_VARIABLE, type Intervention, type Placement, type Policy } from '../domain/policy.ts'
import { functionWordsOf } from '../policy/context-words.ts'
import { eachWord, fold } from '../policy/words.ts'

export type RelativeKind =
  | 'negated'
  | 'reworded'
  | 'other role'
  | 'other placement'
  | 'first half'
  | 'second half'
  | 'format alone'

export interface Relative {
  readonly kind: RelativeKind
  readonly interventions: readonly Intervention[]
}

/**
 * @param reworded texts of one's own in place of the rules': words are what rules know least of.
 * @returns those that differ from the context and from each other.
 */
export function relativesOf({ interventions }: Policy, reworded: readonly string[] = []): Relative[] {
  const [first] = interventions
  const change = (text: (text: string) => string | null): Intervention[] =>
    interventions.flatMap((it) => {
      const changed = text(it.text)
      return changed === null ? [] : [{ ...it, text: changed }]
    })
  const move = (places: Readonly<Record<Placement, Placement>>): Intervention[] =>
    interventions.map((it) => ({ ...it, placement: places[it.placement] }))
  const own = reworded.map((text): Relative => {
    return { kind: 'reworded', interventions: [{ placement: first!.placement, text }] }
  })
  const made: Relative[] = [
    { kind: 'negated', interventions: change(negate) },
    ...(own.length > 0 ? own : [{ kind: 'reworded' as const, interventions: change(reword) }]),
    { kind: 'other role', interventions: move(OTHER_ROLE) },
    { kind: 'other placement', interventions: move(OTHER_PLACEMENT) },
    { kind: 'first half', interventions: change((text) => half(text, 0)) },
    { kind: 'second half', interventions: change((text) => half(text, 1)) },
    { kind: 'format alone', interventions: change(formatOf) },
  ]
  const seen = new Set([JSON.stringify(interventions)])
  return made.filter(({ interventions: changed }) => {
    const text = JSON.stringify(changed)
    return changed.length > 0 && !seen.has(text) && seen.add(text)
  })
}

const OTHER_ROLE: Readonly<Record<Placement, Placement>> = {
  'user-prepend': 'system',
  'user-newline': 'system',
  'last-user-prepend': 'system',
  system: 'user-prepend',
  'system-append': 'user-prepend',
  developer: 'user-prepend',
}

const OTHER_PLACEMENT: Readonly<Record<Placement, Placement>> = {
  'user-prepend': 'user-newline',
  'user-newline': 'user-prepend',
  'last-user-prepend': 'user-newline',
  system: 'developer',
  'system-append': 'developer',
  developer: 'system',
}

/** Beginnings and what denies them. */
const NEGATIONS: readonly (readonly [RegExp, string])[] = [
  [/\b(I|you|we|they)('m|'re| am| are)\b(?! not)/i, '$1$2 not'],
  [/\b(is|was|were)\b(?! not)/, '$1 not'],
  [
    /^(please )?(act|adopt|answer|be|behave|give|imagine|pretend|respond|speak|talk|use|write)\b/i,
    '$1do not $2',
  ],
]

function negate(text: string): string {
  // An order is denied as one, though its sentence may go on with "you are".
  const order = NEGATIONS.at(-1)!
  const rule = order[0].test(text) ? order : NEGATIONS.find(([pattern]) => pattern.test(text))
  if (rule === undefined) return `This is not so: ${text}`
  const denied = text.replace(rule[0], (whole: string, ...groups: (string | undefined)[]) => {
    const filled = rule[1].replace(/\$(\d)/g, (_all, index: string) => groups[Number(index) - 1] ?? '')
    return rule === order ? filled.toLowerCase() : filled || whole
  })
  return denied.charAt(0).toUpperCase() + denied.slice(1)
}

const MONTHS = 'January|February|March|April|May|June|July|August|September|October|November|December'

/** Ways to say the same otherwise; all that fit are taken. */
const REWORDINGS: readonly (readonly [RegExp, string])[] = [
  [new RegExp(`^Date: (${MONTHS}) (\\d{1,2})(?:st|nd|rd|th)?, (\\d{4})$`), 'It is the day of $2 $1 $3.'],
  [/\bact as if you are\b/i, 'Behave as though you were'],
  [/\bact like\b/i, 'Behave in the manner of'],
  [/\bplease adopt\b/i, 'Take on'],
  [/\bI'm\b/g, 'I am'],
  [/\bI am (?:currently )?(studying|learning|looking for|working)\b/g, 'What I do is $1'],
  [/\bMy name is\b/, 'People call me'],
  [/\bYou are a\b/, 'Your role is that of a'],
  [/\bI want to\b/, 'I would like to'],
  [/\bworking for\b/g, 'employed by'],
  [/\bstudying\b/g, 'reading about'],
  [/\blooking for\b/g, 'searching for'],
  [/\bliving in\b/g, 'who lives in'],
  [/\bappears correct but it is not\b/, 'seems right, yet it is wrong'],
  [/\bexamples of\b/g, 'instances of'],
  [/\bfor educational purposes\b/g, 'in order to learn'],
]

/** @returns null where no rule fits. */
function reword(text: string): string | null {
  let changed = text
  for (const [pattern, replacement] of REWORDINGS) changed = changed.replace(pattern, replacement)
  return changed === text ? null : changed
}

function half(text: string, which: 0 | 1): string | null {
  const words = text.split(/\s+/)
  if (words.length < 4) return null
  const middle = Math.ceil(words.length / 2)
  return (which === 0 ? words.slice(0, middle) : words.slice(middle)).join(' ')
}

/** The text with `something` for what it says: its punctuation, labels and function words. */
function formatOf(original: string): string | null {
  const text = original.replaceAll(DATE_VARIABLE, '0000-00-00')
  const functionWords = functionWordsOf(text)
  let format = ''
  let [from, content] = [0, false]
  eachWord(text, (word, start, end) => {
    const between = text.slice(from, start)
    const kept = functionWords.has(fold(word)) || text[end] === ':'
    if (kept) format += between + word
    else if (/^\p{N}/u.test(word)) format += between + word.replace(/\p{N}/gu, '0')
    // One for several words in a row.
    else if (!content || /\S/.test(between)) format += `${between}something`
    content = !kept
    from = end
    return true
  })
  format += text.slice(from)
  return format === text ? null : format
}
