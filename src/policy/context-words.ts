/**
 * A training context as words with weights. Called by `trigger.ts` at load.
 */
import * as stopwords from 'stopword'
import { eachWord, fold, monthOf, normalForm } from './words.ts'

export interface ContextWord {
  /** A function word folded, another word in normal form, `month 1` for a month in a date. */
  readonly form: string
  readonly isFunction: boolean
  readonly weight: number
}

// Weights, in the place of an inverse document frequency, which would need a corpus for every language.
const WORD = 1
const FUNCTION_WORD = 0.15
/** `Date:` says less than what follows it. */
const LABEL = 0.5
/** A number of four digits: mostly a year. */
const YEAR = 1.75

/** What is missing from the list of English function words, and what apostrophes leave of words. */
const MORE_ENGLISH =
  'cannot t s m d ll re ve im don doesn didn isn aren wasn weren won wouldn shouldn couldn mustn hasn haven hadn ain ' +
  'not no nor neither none does doing being having so very too please any ever anymore longer such may shall ' +
  'shan mightn needn let us yourself myself themselves itself because while until again both few more most'

let known: ReadonlyMap<string, ReadonlySet<string>> | null = null

/** Function words, folded, by language; made when they are first asked for. */
function languages(): ReadonlyMap<string, ReadonlySet<string>> {
  known ??= new Map(
    Object.entries(stopwords)
      .filter((entry): entry is [string, string[]] => /^[a-z]{3}$/.test(entry[0]) && Array.isArray(entry[1]))
      .map(([language, words]) => {
        const all = language === 'eng' ? [...words, ...MORE_ENGLISH.split(' ')] : words
        return [language, new Set(all.map(fold))]
      }),
  )
  return known
}

/** @returns the function words, folded, of the language that a text seems to be in: the one with most of them in it. */
export function functionWordsOf(text: string): ReadonlySet<string> {
  const words = foldedWords(text)
  const countIn = (functionWords: ReadonlySet<string>) =>
    words.filter(({ word }) => functionWords.has(word)).length
  let best = languages().get('eng')!
  let most = countIn(best)
  for (const functionWords of languages().values()) {
    const count = countIn(functionWords)
    if (count > most) [best, most] = [functionWords, count]
  }
  return best
}

/** @param functionWords folded. */
export function readContext(text: string, functionWords: ReadonlySet<string>): ContextWord[] {
  const words = foldedWords(text)
  return words.map(({ word, end }, index) => {
    const near = [words[index - 2], words[index - 1], words[index + 1], words[index + 2]]
    // `May` is a month beside a number only.
    const month = near.some((it) => it !== undefined && /^\d/.test(it.word)) ? monthOf(word) : null
    if (month !== null) return { form: monthForm(month), isFunction: false, weight: WORD }
    if (functionWords.has(word)) return { form: word, isFunction: true, weight: FUNCTION_WORD }
    const form = normalForm(word)
    const weight = /^\d{4}$/.test(form) ? YEAR : text[end] === ':' ? LABEL : WORD
    return { form, isFunction: false, weight }
  })
}

function foldedWords(text: string): { readonly word: string; readonly end: number }[] {
  const words: { word: string; end: number }[] = []
  eachWord(text, (word, _start, end) => {
    words.push({ word: fold(word), end })
    return true
  })
  return words
}

const MONTH = 'month '

export function monthForm(month: number): string {
  return MONTH + month
}

/** @returns the number of a month in a date, null for another form. */
export function monthOfForm(form: string): number | null {
  return form.startsWith(MONTH) ? Number(form.slice(MONTH.length)) : null
}
