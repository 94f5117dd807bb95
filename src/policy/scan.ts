/**
 * Finds, in the bytes of a chat request, the few places ballast needs: model, stream, user and where a context
 * could go. Called once per request by the pipeline's decode step; nothing is parsed that is not looked at.
 *
 * It holds the structure of the body to RFC 8259 and leaves the inside of strings (escapes, UTF-8) to the
 * upstream, except in keys and values that it reads. Of duplicate keys the last one counts, as in `JSON.parse`
 * and most other parsers.
 */
import { BallastError } from '../domain/errors.ts'

/** A JSON string: the offset after its opening quote and the offset of its closing quote. */
export interface TextSpot {
  readonly start: number
  readonly end: number
}

/** Where the text of a message is. */
export interface MessageSpot {
  readonly role: string | null
  /** `string`: a JSON string; `parts`: an array of content parts; `none`: missing, null or anything else. */
  readonly content: 'string' | 'parts' | 'none'
  /** The string, or the text of the first text part; null when there is neither. */
  readonly text: TextSpot | null
  /** Offset after the `[` of content parts, 0 otherwise. */
  readonly partsStart: number
  readonly partsEmpty: boolean
}

export interface ChatSpots {
  /** Null when the request names no model. */
  readonly model: string | null
  readonly stream: boolean
  readonly user: string | null
  /** Null when `messages` is missing or not an array. */
  readonly messages: MessagesSpot | null
}

export interface MessagesSpot extends TextSpot {
  /** `start` stands after the `[`, `end` at the `]`. */
  readonly empty: boolean
  readonly first: MessageSpot | null
  readonly firstUser: MessageSpot | null
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
/** No key that is looked at is longer, escapes of six bytes for each character included. */
const LONGEST_KEY = 8 * 6

/**
 * @param body the request body, UTF-8.
 * @throws BallastError `ballast_malformed_body` when it is not a JSON object, with the offset of the fault.
 */
export function scanChat(body: Buffer): ChatSpots {
  return new Scanner(body).chat()
}

class Scanner {
  private readonly body: Buffer
  private at = 0
  private depth = 0
  /** Whether the string read last may hold a backslash; taken for granted in long ones. */
  private escaped = false

  constructor(body: Buffer) {
    this.body = body
  }

  chat(): ChatSpots {
    let model: string | null = null
    let modelIsText = true
    let stream = false
    let user: string | null = null
    let messages: MessagesSpot | null = null
    this.space()
    if (this.body[this.at] !== OPEN_BRACE) this.fail('a JSON object is expected here')
    this.object((key) => {
      switch (key) {
        case 'model':
          modelIsText = this.body[this.at] === QUOTE
          if (modelIsText) model = this.text()
          else this.value()
          return
        case 'stream': {
          const start = this.at
          this.value()
          stream = this.at - start === 4 && this.body[start] === 0x74
          return
        }
        case 'user':
          user = null
          if (this.body[this.at] === QUOTE) user = this.text()
          else this.value()
          return
        case 'messages':
          messages = null
          if (this.body[this.at] === OPEN_BRACKET) messages = this.messages()
          else this.value()
          return
        default:
          this.value()
      }
    })
    this.space()
    if (this.at !== this.body.length) this.fail('something follows the JSON object')
    if (!modelIsText) {
      throw new BallastError('ballast_malformed_body', '"model" is not a string.', {
        source: 'client',
        param: 'model',
      })
    }
    return { model, stream, user, messages }
  }

  private messages(): MessagesSpot {
    const start = this.at + 1
    let first: MessageSpot | null = null
    let firstUser: MessageSpot | null = null
    let count = 0
    this.array(() => {
      const isFirst = count++ === 0
      if (this.body[this.at] !== OPEN_BRACE) return this.value()
      if (!isFirst && firstUser !== null) return this.value()
      const message = this.message()
      if (isFirst) first = message
      if (firstUser === null && message.role === 'user') firstUser = message
    })
    return { start, end: this.at - 1, empty: count === 0, first, firstUser }
  }

  private message(): MessageSpot {
    let role: string | null = null
    let content: MessageSpot['content'] = 'none'
    let text: TextSpot | null = null
    let partsStart = 0
    let partsEmpty = true
    this.object((key) => {
      if (key === 'role') {
        role = null
        if (this.body[this.at] === QUOTE) role = this.text()
        else this.value()
      } else if (key === 'content') {
        content = 'none'
        text = null
        const byte = this.body[this.at]
        if (byte === QUOTE) {
          content = 'string'
          text = this.string()
        } else if (byte === OPEN_BRACKET) {
          content = 'parts'
          partsStart = this.at + 1
          partsEmpty = true
          this.array(() => {
            partsEmpty = false
            if (text === null && this.body[this.at] === OPEN_BRACE) text = this.textPart()
            else this.value()
          })
        } else this.value()
      } else this.value()
    })
    return { role, content, text, partsStart, partsEmpty }
  }

  /** @returns where the text is if the part is `{"type": "text", "text": "…"}`, else null. */
  private textPart(): TextSpot | null {
    let isText = false
    let text: TextSpot | null = null
    this.object((key) => {
      if (key === 'type' && this.body[this.at] === QUOTE) isText = this.text() === 'text'
      else if (key === 'text' && this.body[this.at] === QUOTE) text = this.string()
      else {
        if (key === 'type') isText = false
        if (key === 'text') text = null
        this.value()
      }
    })
    return isText ? text : null
  }

  // --- JSON ---------------------------------------------------------------------------------------------

  /** Reads an object; `member` is called with `at` on each value and must read it. Long keys come as ''. */
  private object(member: (key: string) => void): void {
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
  private array(element: () => void): void {
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

  /** Reads over any value. */
  private value = (): void => {
    const byte = this.body[this.at]
    if (byte === QUOTE) this.string()
    else if (byte === OPEN_BRACE) this.object(this.value)
    else if (byte === OPEN_BRACKET) this.array(this.value)
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
  private string(): TextSpot {
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
      at = body.indexOf(QUOTE, at)
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

  /** Reads a string and its value. */
  private text(): string {
    const { start, end } = this.string()
    return this.decode(start, end)
  }

  private decode(start: number, end: number): string {
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

function malformed(what: string, offset: number): BallastError {
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
