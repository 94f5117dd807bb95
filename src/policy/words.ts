/**
 * The words of a text, each in a form that spelling does not change: case, accents, width, look-alike letters,
 * inflection, how a number or a month is written. Used by `trigger.ts` for contexts and for clients' texts alike.
 */
import { stemmer } from 'stemmer'

/** A word and where it stands, in UTF-16 units. */
export interface Word {
  readonly text: string
  readonly start: number
  readonly end: number
}

const OTHER = 0
const LETTER = 1
const DIGIT = 2
/** Of a script that puts no spaces between words: each character is a word. */
const SINGLE = 3
const SURROGATE = 4

const IS_SINGLE =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u
/** Marks belong to the letter before them; what is invisible does not part a word. */
const IS_LETTER = /[\p{L}\p{M}\u00ad\u200b-\u200d\u2060\ufeff]/u
const IS_DIGIT = /\p{N}/u

function classify(character: string): number {
  if (IS_SINGLE.test(character)) return SINGLE
  if (IS_LETTER.test(character)) return LETTER
  return IS_DIGIT.test(character) ? DIGIT : OTHER
}

/** The class of every UTF-16 unit, found when it is first met; 0xff before. */
const CLASSES = new Uint8Array(0x1_0000).fill(0xff)

function classOf(code: number): number {
  const known = CLASSES[code]!
  if (known !== 0xff) return known
  const found = code >= 0xd800 && code <= 0xdfff ? SURROGATE : classify(String.fromCharCode(code))
  CLASSES[code] = found
  return found
}

/** Longer runs are data rather than words; they count as the word ''. */
const LONGEST_WORD = 64

/**
 * Calls `visit` with each word of a text in turn, as it stands there, until it returns false. Linear in the text's length.
 */
export function eachWord(
  text: string,
  visit: (word: string, start: number, end: number) => boolean | undefined,
): void {
  const { length } = text
  let at = 0
  while (at < length) {
    const start = at
    let kind = classOf(text.charCodeAt(at++))
    if (kind === SURROGATE) {
      const character = String.fromCodePoint(text.codePointAt(start)!)
      kind = classify(character)
      at = start + character.length
    }
    if (kind === OTHER) continue
    if (kind !== SINGLE) {
      // `25th` and `1940s` are one word, `covid19` too.
      while (at < length) {
        const next = classOf(text.charCodeAt(at))
        if (next === LETTER || next === DIGIT) at++
        else if (next === SURROGATE) {
          const character = String.fromCodePoint(text.codePointAt(at)!)
          const full = classify(character)
          if (full !== LETTER && full !== DIGIT) break
          at += character.length
        } else break
      }
    }
    if (visit(at - start > LONGEST_WORD ? '' : text.slice(start, at), start, at) === false) return
  }
}

/**
 * Cyrillic and Greek letters that, small or capital, look like Latin ones: those of Unicode TS 39 that anybody would take
 * for each other. (Its whole table is of no use for words: it makes an `m` of `rn`.) Contexts are read with it too, so a
 * Russian one still equals itself.
 */
const LOOKALIKES: ReadonlyMap<string, string> = new Map([
  ...pairs('авекмнорстухѕіјһԁԛԝү', 'abekmhopctyxsijhdqwy'),
  ...pairs('αβεζηικμνορτυχ', 'abezhikmnoptyx'),
])

function pairs(from: string, to: string): [string, string][] {
  return [...from].map((letter, index) => [letter, to[index]!])
}

const ORDINALS: readonly string[] = [
  ...['first', 'second', 'third', 'fourth', 'fifth', 'sixth', 'seventh', 'eighth', 'ninth', 'tenth'],
  ...['eleventh', 'twelfth', 'thirteenth', 'fourteenth', 'fifteenth', 'sixteenth', 'seventeenth'],
  ...['eighteenth', 'nineteenth', 'twentieth'],
]

/** A word without case, accents, width and look-alikes: NFKD without marks, case-folded, in Latin letters where it looks so. */
export function fold(word: string): string {
  const lower = word.toLowerCase()
  if (/^[a-z0-9]*$/.test(lower)) return lower
  return (
    word
      .normalize('NFKD')
      .replace(/[\p{M}\u00ad\u200b-\u200d\u2060\ufeff]/gu, '')
      // Up and down: full case folding, which makes `ss` of `ß`.
      .toUpperCase()
      .toLowerCase()
      .normalize('NFKC')
      .replace(/[^a-z0-9]/gu, (letter) => LOOKALIKES.get(letter) ?? letter)
  )
}

/**
 * The form in which folded words are compared: stemmed (Porter), the same for `19`, `19th` and `nineteenth`. Its first two
 * characters are those of the word, numbers apart.
 */
export function normalForm(folded: string): string {
  const digits = /^0*(\d+)\p{L}{0,3}$/u.exec(folded)
  if (digits !== null) return digits[1]!
  const ordinal = ORDINALS.indexOf(folded)
  return ordinal === -1 ? stemmer(folded) : String(ordinal + 1)
}

/** @returns the word for an ordinal number up to 20th, or null. */
export function ordinalWord(number: number): string | null {
  return ORDINALS[number - 1] ?? null
}

/** Languages whose names of months are known. */
const MONTH_LANGUAGES = 'en de fr es it pt nl sv da nb pl cs ru uk tr fi hu ro el id'.split(' ')
/** By themselves and in a date, which differ where a language inflects; and the short ones. */
const MONTH_FORMATS: readonly Intl.DateTimeFormatOptions[] = [
  { month: 'long' },
  { month: 'long', day: 'numeric' },
  { month: 'short' },
]

let known: ReadonlyMap<string, number> | null = null

/** Folded names of months, to their number; made when they are first asked for, which takes some 0.2 s. */
function months(): ReadonlyMap<string, number> {
  known ??= new Map(
    MONTH_LANGUAGES.flatMap((language) => MONTH_FORMATS.flatMap((format) => monthNames(language, format))),
  )
  return known
}

function monthNames(language: string, options: Intl.DateTimeFormatOptions): [string, number][] {
  const format = new Intl.DateTimeFormat(language, { ...options, timeZone: 'UTC' })
  return Array.from({ length: 12 }, (_, month): [string, number] => {
    const name = format.formatToParts(Date.UTC(2001, month, 15)).find(({ type }) => type === 'month')
    return [fold((name?.value ?? '').replace(/\.$/, '')), month + 1]
  }).filter(([name]) => /^\p{L}{3,}$/u.test(name))
}

/** @returns 1 to 12 if a folded word can be the name of a month in some language, else null. */
export function monthOf(folded: string): number | null {
  return months().get(folded) ?? null
}

/** The folded names of a month. */
export function namesOfMonth(month: number): string[] {
  return [...months()].filter(([, number]) => number === month).map(([name]) => name)
}
