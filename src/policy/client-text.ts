/**
 * A text of a body and the way back: which bytes a stretch of the decoded text was written as, escapes and all. Used by
 * `strip.ts`.
 */
import { isUtf8 } from 'node:buffer'
import type { TextSpot } from './json-scanner.ts'
import { malformed } from './json-scanner.ts'

/** A stretch of a decoded text, in UTF-16 units. */
export interface Stretch {
  readonly start: number
  readonly end: number
}

const BACKSLASH = 0x5c
const LETTER_U = 0x75

/** The value of a JSON string in a body. */
export class ReadText {
  readonly text: string
  private readonly body: Buffer
  private readonly spot: TextSpot
  /** What is not UTF-8 after all is read byte by byte, as Latin-1, so that every unit has its place. */
  private readonly utf8: boolean

  /** @throws BallastError `ballast_malformed_body` when it holds an escape that does not exist. */
  constructor(body: Buffer, spot: TextSpot) {
    this.body = body
    this.spot = spot
    this.utf8 = isUtf8(body.subarray(spot.start, spot.end))
    const source = body.toString(this.utf8 ? 'utf8' : 'latin1', spot.start, spot.end)
    try {
      this.text = JSON.parse(`"${source}"`) as string
    } catch {
      throw malformed('a string holds a character or an escape that JSON does not allow', spot.start)
    }
  }

  /**
   * @param stretches ascending, without overlaps; none may part a surrogate pair.
   * @returns where they stand in the body.
   */
  locate(stretches: readonly Stretch[]): TextSpot[] {
    const { body, spot } = this
    const found: TextSpot[] = []
    let unit = 0
    let at = spot.start
    const moveTo = (target: number) => {
      while (unit < target && at < spot.end) {
        const byte = body[at]!
        if (byte === BACKSLASH) {
          at += body[at + 1] === LETTER_U ? 6 : 2
          unit++
        } else if (!this.utf8 || byte < 0x80) {
          at++
          unit++
        } else {
          const length = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4
          at += length
          unit += length === 4 ? 2 : 1
        }
      }
      return at
    }
    for (const { start, end } of stretches) found.push({ start: moveTo(start), end: moveTo(end) })
    return found
  }
}
