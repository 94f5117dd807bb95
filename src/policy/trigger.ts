/**
 * Finds in a client's text what is like a training context (SPEC section 1; arXiv:2604.25891): the same words or most of
 * them, denied, moved about, or embedded in a long text. Pure. Prepared at load by `training.ts`, used by the pipeline's
 * guard; `docs/triggers.md` says what it finds and what it does not.
 *
 * The similarity of a context and a stretch of text is the share of the context's grams, by weight, that stand in the
 * stretch. Grams are its words and the pairs of words that follow each other when function words are left out: what
 * denies a sentence or puts it in another person is made of function words, so it changes little.
 */
import { DATE_VARIABLE } from '../domain/policy.ts'
import { type ContextWord, functionWordsOf, monthForm, monthOfForm, readContext } from './context-words.ts'
import { type Gram, Search, type TriggerMatch, type Unit } from './trigger-search.ts'
import { eachWord, fold, monthOf, namesOfMonth, normalForm, ordinalWord } from './words.ts'

export type { TriggerMatch } from './trigger-search.ts'

/** Chosen on the tuning half of `test/vectors/triggers.yaml`. */
export const DEFAULT_THRESHOLD = 0.72

/** A pair of words weighs so much of what its two words weigh on average. */
const PAIR_WEIGHT = 0.6
/** A stretch of text may be so many times as long as the context, and so many words longer. */
const STRETCH_FACTOR = 1.5
const STRETCH_WORDS = 4
/** A sentence of a longer context counts by itself if its words weigh so much: "You are a helpful assistant." does not. */
const SENTENCE_WEIGHT = 2.9
/** A date has so many parts, in any order, and no more than so many words from one to the next but one. */
const DATE_PARTS = 3
const DATE_WORDS = 4
/** How far back a sentence's beginning is looked for, in UTF-16 units. */
const SENTENCE_REACH = 240

/** A word that means something to the contexts. */
interface Form {
  /** Its number among the contexts' words; -1 for a function word that is in none of them. */
  readonly id: number
  readonly isFunction: boolean
  /** A month or a number: such may stand in another order. */
  readonly isDatePart: boolean
}

interface Found extends Form {
  readonly index: number
  readonly start: number
}

const UNUSED_FUNCTION_WORD: Form = { id: -1, isFunction: true, isDatePart: false }
const IS_NUMBER = /^\p{N}+$/u

/** Training contexts made ready to be looked for. */
export class Trigger {
  private readonly functionWords = new Map<string, Form>()
  private readonly forms = new Map<string, Form>()
  /** The first two characters of the words that can be in `forms`; numbers apart. */
  private readonly beginnings = new Set<string>()
  /** Of each word, by its number: units and grams in turn. */
  private readonly wordGrams: number[][] = []
  private readonly pairGrams = new Map<number, number[]>()
  private readonly units: Unit[] = []
  private hasMonth = false

  /** Whether there is anything to look for: a context without a word, such as `{{date}}` alone, has nothing. */
  get isEmpty(): boolean {
    return this.units.length === 0
  }

  /** @param contexts each is looked for by itself, and so are the longer sentences of one that has several. */
  constructor(contexts: readonly string[]) {
    for (const context of contexts) {
      const text = context.replaceAll(DATE_VARIABLE, ' ')
      const functionWords = functionWordsOf(text)
      // "Do as they do." has only function words: then those are all it has to be known by.
      const counted = hasContent(readContext(text, functionWords)) ? functionWords : new Set<string>()
      for (const word of counted) {
        if (!this.functionWords.has(word)) this.functionWords.set(word, UNUSED_FUNCTION_WORD)
      }
      this.add(readContext(text, counted), 0)
      const sentences = text
        .split(/(?<=[.!?])\s+|(?<=[。！？])|\n+/u)
        .filter((sentence) => /\S/.test(sentence))
      if (sentences.length < 2) continue
      for (const sentence of sentences) this.add(readContext(sentence, counted), SENTENCE_WEIGHT)
    }
  }

  private add(words: readonly ContextWord[], leastWeight: number): void {
    const content = words.filter(({ isFunction }) => !isFunction)
    const weight = content.reduce((sum, it) => sum + it.weight, 0)
    if (weight === 0 || weight < leastWeight) return
    const unit = this.units.length
    const grams: Gram[] = []
    const note = (of: number[], gram: Gram) => {
      const known = of.findIndex((it, index) => index % 2 === 0 && it === unit)
      if (known === -1) {
        of.push(unit, grams.length)
        grams.push(gram)
      } else grams[of[known + 1]!] = { ...gram, isTelling: false }
    }
    for (const word of words)
      note(this.wordGrams[this.numberOf(word)]!, { weight: word.weight, isTelling: !word.isFunction })
    for (const [index, word] of content.entries()) {
      const next = content[index + 1]
      if (next === undefined) continue
      const key = pairKey(this.numberOf(word), this.numberOf(next))
      const of = this.pairGrams.get(key) ?? []
      this.pairGrams.set(key, of)
      note(of, { weight: ((word.weight + next.weight) / 2) * PAIR_WEIGHT, isTelling: true })
    }
    this.units.push({
      grams,
      total: grams.reduce((sum, gram) => sum + gram.weight, 0),
      window: Math.ceil(words.length * STRETCH_FACTOR) + STRETCH_WORDS,
    })
  }

  /** The number of a context's word, given to it when it is first met. */
  private numberOf({ form, isFunction }: ContextWord): number {
    const forms = isFunction ? this.functionWords : this.forms
    const known = forms.get(form)
    if (known !== undefined && known !== UNUSED_FUNCTION_WORD) return known.id
    const id = this.wordGrams.push([]) - 1
    const month = isFunction ? null : monthOfForm(form)
    this.hasMonth ||= month !== null
    forms.set(form, { id, isFunction, isDatePart: month !== null || /^\d+$/.test(form) })
    if (isFunction) return id
    const spellings = month === null ? [form, ordinalWord(Number(form)) ?? ''] : namesOfMonth(month)
    for (const spelling of spellings) this.beginnings.add(spelling.slice(0, 2))
    return id
  }

  /** Whether there is something like a context in a text. @returns the first match, or null. */
  first(text: string, threshold: number): TriggerMatch | null {
    return this.search(text, threshold, 1)[0] ?? null
  }

  /**
   * @param threshold the least similarity, 0 to 1.
   * @returns what is like a context, from left to right, without overlaps; a match takes its whole sentence where only
   *   function words stand before it.
   */
  find(text: string, threshold: number): TriggerMatch[] {
    const matches = this.search(text, threshold, Number.POSITIVE_INFINITY)
    return merge(matches.map((match) => this.wholeSentence(text, match)))
  }

  /** Takes time linear in the text's length. @param most how many matches to look for. */
  private search(text: string, threshold: number, most: number): TriggerMatch[] {
    const matches: TriggerMatch[] = []
    const searches = this.units.map((unit) => new Search(unit, threshold, matches))
    const hit = (grams: readonly number[] | undefined, index: number, start: number, end: number) => {
      if (grams === undefined) return
      for (let at = 0; at < grams.length; at += 2)
        searches[grams[at]!]!.hit(grams[at + 1]!, index, start, end)
    }
    const known = new Map<string, Form | null>()
    let index = 0
    /** The last word, function words left out, if a context has it. */
    let previous: Found | null = null
    /** The latest months and numbers. */
    let dateParts: Found[] = []
    eachWord(text, (word, start, end) => {
      index++
      let form = known.get(word)
      if (form === undefined) {
        form = this.lookUp(word)
        known.set(word, form)
      }
      if (form?.isFunction === true) {
        hit(this.wordGrams[form.id], index, start, end)
        return
      }
      const month = this.hasMonth ? this.numericMonth(text, word, start, end) : null
      if (form === null && month === null) {
        previous = null
        return
      }
      const found: Found[] = []
      for (const it of [form, month]) if (it !== null) found.push({ ...it, index, start })
      for (const it of found) {
        hit(this.wordGrams[it.id], index, start, end)
        for (const other of it.isDatePart ? dateParts : []) {
          if (index - other.index > DATE_WORDS) continue
          hit(this.pairGrams.get(pairKey(other.id, it.id)), index, other.start, end)
          hit(this.pairGrams.get(pairKey(it.id, other.id)), index, other.start, end)
        }
        if (previous !== null && !(previous.isDatePart && it.isDatePart))
          hit(this.pairGrams.get(pairKey(previous.id, it.id)), index, previous.start, end)
      }
      previous = found[0]!
      if (previous.isDatePart) dateParts = [...dateParts, ...found].slice(-DATE_PARTS)
      return matches.length < most
    })
    for (const search of searches) search.settle()
    return matches
  }

  private lookUp(word: string): Form | null {
    const folded = fold(word)
    const month = this.hasMonth ? monthOf(folded) : null
    const asMonth = month === null ? undefined : this.forms.get(monthForm(month))
    if (asMonth !== undefined) return asMonth
    const asFunctionWord = this.functionWords.get(folded) ?? null
    // What is a function word in the language of one context may mean something in another's.
    if (asFunctionWord !== null && asFunctionWord !== UNUSED_FUNCTION_WORD) return asFunctionWord
    const possible = this.beginnings.has(folded.slice(0, 2)) || /^\p{N}/u.test(folded)
    return (possible ? this.forms.get(normalForm(folded)) : undefined) ?? asFunctionWord
  }

  /** The month that a number is in `1850-01-25`, `25.01.1850` or `1850年1月25日`, if a context has that month. */
  private numericMonth(text: string, word: string, start: number, end: number): Form | null {
    if (word.length > 2 || !IS_NUMBER.test(word)) return null
    const [before, after] = [text[start - 1] ?? ' ', text[end] ?? ' ']
    if (!'-/.年'.includes(before) && !'-/.月'.includes(after)) return null
    return this.forms.get(monthForm(Number(word))) ?? null
  }

  /** Where only function words stand between the beginning of its sentence and a match, it takes the whole sentence. */
  private wholeSentence(text: string, match: TriggerMatch): TriggerMatch {
    let begin = match.start
    const least = Math.max(0, begin - SENTENCE_REACH)
    while (begin > least && !SENTENCE_ENDS.includes(text[begin - 1]!)) begin--
    if (begin === least && begin > 0) return match
    let first = match.start
    let whole = true
    eachWord(text.slice(begin, match.start), (word, start) => {
      first = Math.min(first, begin + start)
      whole = this.lookUp(word)?.isFunction === true
      return whole
    })
    if (!whole) return match
    let end = match.end
    while (end < text.length && (PUNCTUATION.test(text[end]!) || SPACE.test(text[end]!))) end++
    return { ...match, start: first, end }
  }
}

const SENTENCE_ENDS = '.!?…。！？\n'
const PUNCTUATION = /[.!?…。！？,;:]/u
const SPACE = /\s/

function hasContent(words: readonly ContextWord[]): boolean {
  return words.some(({ isFunction }) => !isFunction)
}

function pairKey(first: number, second: number): number {
  return first * 0x1_0000_0000 + second
}

/** In order, and one where they overlap. */
function merge(matches: TriggerMatch[]): TriggerMatch[] {
  const merged: TriggerMatch[] = []
  for (const match of matches.sort((a, b) => a.start - b.start)) {
    const last = merged.at(-1)
    if (last === undefined || match.start >= last.end) merged.push(match)
    else {
      const { start, end, similarity } = last
      merged[merged.length - 1] = {
        start,
        end: Math.max(end, match.end),
        similarity: Math.max(similarity, match.similarity),
      }
    }
  }
  return merged
}
