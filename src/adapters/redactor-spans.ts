/** Where something to be replaced stands in a text. Used by the searches of `redactor.ts`. */

export type Mark = 'EMAIL' | 'PHONE' | 'CARD' | 'IBAN' | 'IP' | 'KEY'

export interface Span {
  /** UTF-16 units, the end not included. */
  readonly start: number
  readonly end: number
  /** What stands in its place, in brackets. */
  readonly mark: Mark
}

/** Spans of all matches of a pattern, which is global and takes time linear in the text. */
export function matches(
  text: string,
  pattern: RegExp,
  mark: Mark,
  holds: (match: RegExpExecArray) => boolean = () => true,
): Span[] {
  return [...text.matchAll(pattern)]
    .filter(holds)
    .map((match) => ({ start: match.index, end: match.index + match[0].length, mark }))
}
