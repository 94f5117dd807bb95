/**
 * Finds keys and tokens. secretlint's rules know those of some thirty services by their exact form; beside them stand
 * wider patterns, for tokens of any service and for keys that were cut off or made up.
 */
import { lintSource } from '@secretlint/core'
import { rules } from '@secretlint/secretlint-rule-preset-recommend'
import { matches, type Span } from './redactor-spans.ts'

/** By a comment a text could switch the search off. */
const COMMENTS = '@secretlint/secretlint-rule-filter-comments'
const CONFIG: Parameters<typeof lintSource>[0]['options']['config'] = {
  rules: rules.filter(({ meta }) => meta.id !== COMMENTS).map((rule) => ({ id: rule.meta.id, rule })),
}
/** Between texts that are searched together: part of no secret. */
const APART = '\n\0\n'

/** A word of prose has none. */
const WITH_DIGIT = /\d/
const PATTERNS: readonly (readonly [RegExp, RegExp?])[] = [
  // OpenAI, Anthropic and who copies them; a digit tells one from a class of CSS.
  [/(?<![\w-])sk-[\w-]{16,}/g, WITH_DIGIT],
  [/(?<![\w-])(?:sk|rk|pk)_(?:live|test)_\w{10,}/g],
  [/(?<!\w)gh[pousr]_\w{20,}/g],
  [/(?<!\w)github_pat_\w{20,}/g],
  [/(?<!\w)(?:AKIA|ASIA|AGPA|AIDA|AROA|AIPA|ANPA|ANVA)[A-Z0-9]{16}(?!\w)/g],
  [
    /(?<!\w)aws_?(?:secret_?)?(?:access_?)?key["']?[ \t]{0,4}[:=]{1,2}>?[ \t]{0,4}["']?[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])/gi,
  ],
  [/(?<![\w-])AIza[\w-]{35}(?![\w-])/g],
  // A JSON Web Token, signed or encrypted.
  [/(?<![\w-])eyJ[\w-]{8,}(?:\.[\w-]*){2,4}/g],
  [/(?<!\w)bearer[ \t]{1,4}[\w.~+/=-]{16,}/gi, WITH_DIGIT],
  [/(?<!\w)authorization["']?[ \t]{0,4}[:=][ \t]{0,4}["']?(?:bearer|basic|token)[ \t]{1,4}[\w.~+/=-]{8,}/gi],
  [
    /(?<!\w)(?:api[_-]?key|access[_-]?token|client[_-]?secret)["']?[ \t]{0,4}[:=][ \t]{0,4}["']?[\w.~+/=-]{16,}/gi,
    WITH_DIGIT,
  ],
]
const KEY_BEGINS = /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----/g
const KEY_ENDS = /-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----/g
const LONGEST_KEY = 20_000
/** Lines of a key, with line ends as they are or as JSON writes them; the last one may be cut off. */
const KEY_LINES = /(?:(?:\s|\\[nr])*[A-Za-z0-9+/=]{16,})*(?:(?:\s|\\[nr])*[A-Za-z0-9+/=]+$)?/y

/** @returns for every text the spans in it. */
export async function findSecrets(texts: readonly string[]): Promise<Span[][]> {
  const spans = texts.map((text) => [
    ...PATTERNS.flatMap(([pattern, also]) =>
      matches(text, pattern, 'KEY', ({ 0: found }) => also === undefined || also.test(found)),
    ),
    ...findPrivateKeys(text),
  ])
  const content = texts.join(APART)
  const { messages } = await lintSource({
    source: { filePath: 'sample.txt', content, contentType: 'text', ext: '.txt' },
    options: { config: CONFIG, noPhysicFilePath: true },
  })
  const starts: number[] = []
  let length = 0
  for (const text of texts) {
    starts.push(length)
    length += text.length + APART.length
  }
  for (const { range } of messages) {
    const index = starts.findLastIndex((start) => start <= range[0])
    const start = starts[index]!
    const end = Math.min(range[1] - start, texts[index]!.length)
    spans[index]!.push({ start: range[0] - start, end, mark: 'KEY' })
  }
  return spans
}

/** From its first line to its last; one that was cut off, to where it ends. */
function findPrivateKeys(text: string): Span[] {
  const spans: Span[] = []
  const ends = [...text.matchAll(KEY_ENDS)].map(({ 0: line, index }) => ({ index, end: index + line.length }))
  let next = 0
  for (const { 0: line, index: start } of text.matchAll(KEY_BEGINS)) {
    const behind = start + line.length
    while (next < ends.length && ends[next]!.index < behind) next++
    const last = ends[next]
    KEY_LINES.lastIndex = behind
    const whole = last !== undefined && last.index - behind <= LONGEST_KEY
    const end = whole ? last.end : behind + KEY_LINES.exec(text)![0].length
    if (end > behind) spans.push({ start, end, mark: 'KEY' })
  }
  return spans
}
