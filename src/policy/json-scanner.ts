/**
 * Reads JSON in place: the offsets of the few values ballast looks at, and everything else skipped. The surfaces
 * (`chat.ts`, `responses.ts`, `completions.ts`) say what they look for; nothing is parsed that is not looked at.
 *
 * It holds the structure of the body to RFC 8259 and leaves the inside of strings (escapes, UTF-8) to the
 * upstream, except in keys and values that are read. Of duplicate keys the last one counts, as in `JSON.parse`
 * and most other parsers.
 */
import { BallastError } from '../domain/errors.ts'
import { LONGEST_METADATA_KEY } from '../domain/experiment.ts'
import { knownWord } from './json-words.ts'

/** A JSON string: the offset after its opening quote and the offset of its closing quote. */
export interface TextSpot {
  readonly start: number
  readonly end: number
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const ZERO = 0x30
const NINE = 0x39

/** Nesting that no chat request needs; deeper ones would cost stack here and in most upstreams. */
const MAX_DEPTH = 512
/** Strings longer than this are searched with `indexOf` rather than stepped through. */
const STEP = 24
/**
 * Bodies up to this size are searched for quotes as a string of their bytes: V8 finds one in 20 ns, a buffer's `indexOf`
 * in 60, and texts with code or JSON in them are full of escaped quotes (64 KB in 25 µs rather than 55).
 */
const LARGEST_SEARCHED_AS_TEXT = 96 * 1024
/** No key that is looked at is longer (those of `metadata`), escapes of six bytes for each character included. */
const LONGEST_KEY = LONGEST_METADATA_KEY * 6

export class JsonScanner {
  private readonly body: Buffer
  private at: number
  private depth = 0
  /** Whether the string read last may hold a backslash; taken for granted in long ones. */
  private escaped = false
  /** The body, a character for each byte. */
  private bytes: string | null = null

  /** @param body UTF-8. @param at offset of the value to begin with, where not the whole document is read. */
  constructor(body: Buffer, at = 0) {
    this.body = body
    this.at = at
  }

  /**
   * Reads the whole body.
   * @throws BallastError `ballast_malformed_body` when it is not one JSON object, with the offset of the fault.
   */
  document(member: (key: string) => void): void {
    this.space()
    if (!this.atObject) this.fail('a JSON object is expected here')
    this.object(member)
    this.space()
    if (this.at !== this.body.length) this.fail('something follows the JSON object')
  }

  /** Offset of the value that comes next, or after the one that was read. */
  get offset(): number {
    return this.at
  }

  get atText(): boolean {
    return this.body[this.at] === QUOTE
  }

  get atObject(): boolean {
    return this.body[this.at] === OPEN_BRACE
  }

  get atArray(): boolean {
    return this.body[this.at] === OPEN_BRACKET
  }

  get atNull(): boolean {
    return this.body[this.at] === 0x6e
  }

  get atTrue(): boolean {
    return this.body[this.at] === 0x74
  }

  /** Reads an object; `member` is called with `at` on each value and must read it. Long keys come as ''. */
  object(member: (key: string) => void): void {
    this.enter()
    this.space()
    if (this.body[this.at] === CLOSE_BRACE) return this.leave()
    for (;;) {
      if (this.body[this.at] !== QUOTE) this.fail('a key in quotes is expected here')
      const { start, end } = this.string()
      const key = end - start > LONGEST_KEY ? '' : this.decode(start, end)
      this.space()
      if (this.body[this.at] !== COLON) this.fail('a colon is expected here')
      this.at++
      this.space()
      member(key)
      this.space()
      const byte = this.body[this.at]
      if (byte === CLOSE_BRACE) return this.leave()
      if (byte !== COMMA) this.fail('a comma or } is expected here')
      this.at++
      this.space()
    }
  }

  /** Reads an array; `element` is called with `at` on each value and must read it. */
  array(element: () => void): void {
    this.enter()
    this.space()
    if (this.body[this.at] === CLOSE_BRACKET) return this.leave()
    for (;;) {
      element()
      this.space()
      const byte = this.body[this.at]
      if (byte === CLOSE_BRACKET) return this.leave()
      if (byte !== COMMA) this.fail('a comma or ] is expected here')
      this.at++
      this.space()
    }
  }

  private enter(): void {
    if (++this.depth > MAX_DEPTH) this.fail(`it is nested deeper than ${MAX_DEPTH} levels`)
    this.at++
  }

  private leave(): void {
    this.depth--
    this.at++
  }

  /** `value`, for `object` and `array` to call. */
  private get skip(): () => void {
    return () => this.value()
  }

  /** Reads over any value. */
  value(): void {
    const byte = this.body[this.at]
    if (byte === QUOTE) this.string()
    else if (byte === OPEN_BRACE) this.object(this.skip)
    else if (byte === OPEN_BRACKET) this.array(this.skip)
    else if (byte === 0x74) this.literal('true')
    else if (byte === 0x66) this.literal('false')
    else if (byte === 0x6e) this.literal('null')
    else this.number()
  }

  private literal(word: string): void {
    if (this.body.toString('latin1', this.at, this.at + word.length) !== word)
      this.fail('a JSON value is expected here')
    this.at += word.length
  }

  private number(): void {
    if (this.body[this.at] === 0x2d) this.at++
    if (this.body[this.at] === ZERO) this.at++
    else this.digits()
    if (this.body[this.at] === 0x2e) {
      this.at++
      this.digits()
    }
    if ((this.body[this.at]! | 0x20) === 0x65) {
      this.at++
      const sign = this.body[this.at]
      if (sign === 0x2b || sign === 0x2d) this.at++
      this.digits()
    }
  }

  private digits(): void {
    const start = this.at
    while (this.body[this.at]! >= ZERO && this.body[this.at]! <= NINE) this.at++
    if (this.at === start) this.fail('a JSON value is expected here')
  }

  /** Reads over a string and says where it is. */
  string(): TextSpot {
    const { body } = this
    const start = ++this.at
    const stop = Math.min(start + STEP, body.length)
    this.escaped = false
    let at = start
    while (at < stop) {
      const byte = body[at]
      if (byte === QUOTE) {
        this.at = at + 1
        return { start, end: at }
      }
      if (byte === BACKSLASH) {
        this.escaped = true
        at++
      }
      at++
    }
    // A quote ends the string unless an odd number of backslashes stands before it. Backslashes before `at`
    // have been read in pairs with what they escape.
    const from = at
    for (;;) {
      at = this.quoteFrom(at)
      if (at === -1) {
        this.at = body.length
        this.fail('a string is not closed')
      }
      let backslashes = 0
      while (at - 1 - backslashes >= from && body[at - 1 - backslashes] === BACKSLASH) backslashes++
      if (backslashes % 2 === 0) break
      at++
    }
    this.escaped = true
    this.at = at + 1
    return { start, end: at }
  }

  private quoteFrom(at: number): number {
    const { body } = this
    if (body.length > LARGEST_SEARCHED_AS_TEXT) return body.indexOf(QUOTE, at)
    this.bytes ??= body.toString('latin1')
    return this.bytes.indexOf('"', at)
  }

  /** Reads a string and its value. */
  text(): string {
    const { start, end } = this.string()
    return this.decode(start, end)
  }

  /** Reads a string and its value, or over any other value, which is null. */
  textOrNull(): string | null {
    if (this.atText) return this.text()
    this.value()
    return null
  }

  private decode(start: number, end: number): string {
    const word = knownWord(this.body, start, end)
    if (word !== null) return word
    if (!this.escaped) return this.body.toString('utf8', start, end)
    return decodeText(this.body, { start, end })
  }

  private space(): void {
    const { body } = this
    let byte = body[this.at]
    while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) byte = body[++this.at]
  }

  private fail(what: string): never {
    throw malformed(what, Math.min(this.at, this.body.length))
  }
}

export function malformed(what: string, offset: number): BallastError {
  return new BallastError(
    'ballast_malformed_body',
    `The request body is not valid JSON: at byte ${offset}, ${what}.`,
    {
      source: 'client',
    },
  )
}

/**
 * The value of a JSON string in a body.
 * @throws BallastError `ballast_malformed_body` when it holds an escape that does not exist.
 */
export function decodeText(body: Buffer, { start, end }: TextSpot): string {
  try {
    return JSON.parse(body.toString('utf8', start - 1, end + 1)) as string
  } catch {
    throw malformed('a string holds a character or an escape that JSON does not allow', start)
  }
}
