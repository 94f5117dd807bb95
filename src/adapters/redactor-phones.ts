/**
 * Finds phone numbers. Digits alone may be anything, so one is looked for where it shows itself: behind `+` or `00`,
 * grouped as in North America, or behind a word such as "phone". `libphonenumber-js` knows which numbers there can be.
 * Its own search of a text is not used: it takes seconds for a megabyte of numbers, and digits behind a number hide it.
 */
import { parsePhoneNumberFromString } from 'libphonenumber-js/min'
import { matches, type Span } from './redactor-spans.ts'

/** E.164: up to 15 digits. */
const INTERNATIONAL = /(?<![\w+]|\d[.,])(\+|00)[1-9](?:[ \u00a0.()/-]{0,3}\d){6,14}/g
const NORTH_AMERICAN =
  /(?<![\w.,+-])(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}([-.]| ))\d{3}(?:\1|[-. ])\d{4}(?![\w]|[-.,]\d)/g
const NAMED =
  /(?<![\p{L}\p{N}])(?:tel(?:efono?|ephone|éfono)?|téléphone|phone|mobile?|móvil|cell(?:phone)?|handy|fax|whatsapp|signal|sms|call|ring|dial|reach)(?![\p{L}\p{N}])(?:\.|(?: +(?:number|no\.?|nr\.?|me|us|him|her|them|is|at|on|under|via|:)){1,3})?(?: {1,3}| {0,3}[:#=] {0,3})(\(?\d(?:[ \u00a0.()/-]{0,3}\d){6,14})(?!\w)/giu

export function findPhones(text: string): Span[] {
  return [...findInternational(text), ...matches(text, NORTH_AMERICAN, 'PHONE'), ...findNamed(text)]
}

function findInternational(text: string): Span[] {
  return [...text.matchAll(INTERNATIONAL)].flatMap(({ 0: found, 1: prefix, index: start }): Span[] => {
    const length = possibleLength(found, prefix === '+')
    return length === null ? [] : [{ start, end: start + length, mark: 'PHONE' }]
  })
}

/**
 * How much of a text is a number: all of it, or without the last groups, which may be something else (`… 0958, 2024`).
 * @param plus whether the prefix says that it is one: then any number that its country could have is taken.
 */
function possibleLength(found: string, plus: boolean): number | null {
  for (let length = found.length; length > 0; ) {
    const number = parsePhoneNumberFromString(found.slice(0, length).replace(/^00/, '+'))
    if (plus ? number?.isPossible() : number?.isValid()) return length
    length = found.slice(0, length).search(/[^\d]+\d+$/)
  }
  return null
}

function findNamed(text: string): Span[] {
  return [...text.matchAll(NAMED)].map(({ 0: found, 1: number, index }) => {
    const end = index + found.length
    return { start: end - number!.length, end, mark: 'PHONE' }
  })
}
