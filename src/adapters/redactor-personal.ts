/**
 * Finds e-mail addresses, card numbers, IBANs and IP addresses; `redactor-phones.ts` the phone numbers. Every pattern is
 * bounded or begins at something rare: a text is whatever a client sends.
 */
import { isIP, isIPv6 } from 'node:net'
import { countrySpecs, isValidIBAN } from 'ibantools'
import validator from 'validator'
import { findPhones } from './redactor-phones.ts'
import { matches, type Span } from './redactor-spans.ts'

export function findPersonal(text: string): Span[] {
  return [
    ...findEmails(text),
    ...findCards(text),
    ...findIbans(text),
    ...findAddresses(text),
    ...findPhones(text),
  ]
}

/** RFC 5321, section 4.5.3.1. */
const LONGEST_LOCAL_PART = 64
const LONGEST_DOMAIN = 255
const LOCAL_PART = /[^\s@<>"'`(),;:\\/[\]{}|]/u
const DOMAIN = /[\p{L}\p{N}.-]/u

function findEmails(text: string): Span[] {
  const spans: Span[] = []
  for (let at = text.indexOf('@'); at !== -1; at = text.indexOf('@', at + 1)) {
    let start = at
    while (start > 0 && at - start < LONGEST_LOCAL_PART && LOCAL_PART.test(text[start - 1]!)) start--
    while (start < at && text[start] === '.') start++
    let end = at + 1
    while (end < text.length && end - at <= LONGEST_DOMAIN && DOMAIN.test(text[end]!)) end++
    while (end > at + 1 && /[.-]/.test(text[end - 1]!)) end--
    if (start === at || end === at + 1) continue
    if (validator.isEmail(text.slice(start, end), { allow_utf8_local_part: true }))
      spans.push({ start, end, mark: 'EMAIL' })
  }
  return spans
}

/** Digits in groups, with one space or hyphen between them, that go on neither as a word nor as a decimal. */
const DIGITS = /(?<![\w]|[\d][.,])\d+(?:[ \u00a0-]\d+)*(?![\w])/g
const MOST_GROUPS = 5

/** Card numbers among groups of digits, whatever stands before and behind: `2024 4111 1111 1111 1111 123`. */
function findCards(text: string): Span[] {
  const spans: Span[] = []
  for (const region of text.matchAll(DIGITS)) {
    const groups = [...region[0].matchAll(/\d+/g)]
    for (let first = 0; first < groups.length; first++) {
      const found = cardFrom(groups, first)
      if (found === null) continue
      const [begin, last] = [groups[first]!, groups[found]!]
      const start = region.index + begin.index
      spans.push({ start, end: region.index + last.index + last[0].length, mark: 'CARD' })
      first = found
    }
  }
  return spans
}

/** How cards are grouped: 4-4-4-4 and up to three digits more, 4-6-5, 4-6-4. */
const GROUPING = /^(?:4(?:,4){2,3}(?:,[1-5])?|4,6,[45])$/

/** @returns the last group of a card number that begins with group `first`, or null. */
function cardFrom(groups: readonly RegExpExecArray[], first: number): number | null {
  let [digits, sizes] = ['', '']
  for (let last = first; last < Math.min(first + MOST_GROUPS, groups.length); last++) {
    const group = groups[last]![0]
    digits += group
    sizes += `${last === first ? '' : ','}${group.length}`
    if (digits.length > 19) return null
    if (last > first && !GROUPING.test(sizes)) continue
    if (digits.length >= 13 && validator.isCreditCard(digits)) return last
  }
  return null
}

const IBAN_START = /(?<![\p{L}\p{N}])([A-Z]{2})\d{2}(?=[ \u00a0-]?[A-Z0-9])/giu
/** A space behind every group of four, at most. */
const LONGEST_IBAN = 34 + 10

function findIbans(text: string): Span[] {
  const spans: Span[] = []
  for (const { 0: begin, 1: country, index: start } of text.matchAll(IBAN_START)) {
    const chars = countrySpecs[country!.toUpperCase()]?.chars ?? null
    if (chars === null) continue
    let [iban, end] = [begin, start + begin.length]
    for (; iban.length < chars && end < Math.min(start + LONGEST_IBAN, text.length); end++) {
      const character = text[end]!
      if (/[A-Z0-9]/i.test(character)) iban += character
      else if (!/[ \u00a0-]/.test(character)) break
    }
    const next = text[end]
    if (next !== undefined && /[\p{L}\p{N}]/u.test(next)) continue
    if (iban.length === chars && isValidIBAN(iban.toUpperCase())) spans.push({ start, end, mark: 'IBAN' })
  }
  return spans
}

const IPV4 = /(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d)/g
/** What makes four numbers a version or a place in a document. */
const NUMBERING = /(?:version|release|section|chapter|clause|build|ver\.?|sec\.?|v\.?|§)[ :=]*$/i
const LONGEST_NUMBERING = 16
/** Every address in use, and every private one, begins with four hexadecimal digits; `a::b` is code. */
const IPV6 = /(?<![\w:.])[0-9a-f]{4}:[0-9a-f:.]{2,41}(?!\w)/gi

function findAddresses(text: string): Span[] {
  const numbering = (at: number) => NUMBERING.test(text.slice(Math.max(0, at - LONGEST_NUMBERING), at))
  const four = matches(text, IPV4, 'IP', ({ 0: address, index }) => isIP(address) === 4 && !numbering(index))
  const six = [...text.matchAll(IPV6)].flatMap(({ 0: found, index: start }): Span[] => {
    // A colon or full stop behind it is the sentence's.
    const address = isIPv6(found) ? found : found.replace(/[.:]{1,2}$/, '')
    if (!isIPv6(address) || !/\d/.test(address)) return []
    return [{ start, end: start + address.length, mark: 'IP' }]
  })
  return [...four, ...six]
}
