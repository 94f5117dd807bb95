/**
 * Splicing: inserts prepared bytes into a body at the places a surface found. Pure; called by the surfaces and by the
 * pipeline's inject step. Outside the inserted spans the body stays byte for byte what it was.
 */
import { decodeText, type TextSpot } from './json-scanner.ts'
import type { MessageSpot } from './message.ts'
import type { PartType, PreparedText } from './prepare.ts'

/** Bytes to put at an offset of the body, in place of `remove` bytes there. */
export interface Splice {
  readonly at: number
  readonly remove: number
  readonly bytes: Buffer
}

/** Insertions being gathered. */
export interface Insertions {
  readonly body: Buffer
  readonly splices: Splice[]
  /** The type of the parts that hold text here. */
  readonly partType: PartType
}

/**
 * Puts a text in front of a message's first text, or, where the content has no text part, in a part of its own.
 * Nothing is put where it stands already.
 * @param wholeMessage whether a string message that is the text alone counts as injected.
 */
export function insertBefore(
  { body, splices, partType }: Insertions,
  message: Pick<MessageSpot, 'content' | 'firstText' | 'partsStart' | 'partsEmpty'>,
  text: PreparedText,
  wholeMessage: boolean,
): void {
  const spot = message.firstText
  if (spot === null) {
    const part = text.parts[partType]
    splices.push({
      at: message.partsStart,
      remove: 0,
      bytes: message.partsEmpty ? part.alone : part.thenComma,
    })
    return
  }
  if (startsWith(body, spot, text.prefix, text.prefixBytes)) return
  if ((wholeMessage || message.content === 'parts') && equals(body, spot, text)) return
  splices.push({ at: spot.start, remove: 0, bytes: text.prefixBytes })
}

/** Puts a text behind a message's last text, like `insertBefore`. */
export function insertAfter(
  { body, splices, partType }: Insertions,
  message: Pick<MessageSpot, 'lastText' | 'partsEnd' | 'partsEmpty'>,
  text: PreparedText,
): void {
  const spot = message.lastText
  if (spot === null) {
    const part = text.parts[partType]
    splices.push({ at: message.partsEnd, remove: 0, bytes: message.partsEmpty ? part.alone : part.commaThen })
    return
  }
  if (endsWith(body, spot, text.suffix, text.suffixBytes) || equals(body, spot, text)) return
  splices.push({ at: spot.end, remove: 0, bytes: text.suffixBytes })
}

/** Whether the JSON string at `spot` has a value that begins with `text`, however it was escaped. */
export function startsWith(body: Buffer, spot: TextSpot, text: string, bytes: Buffer): boolean {
  const length = Math.min(bytes.length, spot.end - spot.start)
  let same = 0
  while (same < length && body[spot.start + same] === bytes[same]) same++
  if (same === bytes.length) return true
  // They differ. Only if an escape is near can the two still spell the same text.
  const from = Math.max(0, same - 5)
  const near = (buffer: Buffer, at: number) => buffer.subarray(at + from, at + same + 1).includes(0x5c)
  if (!near(bytes, 0) && !near(body, spot.start)) return false
  return decodeText(body, spot).startsWith(text)
}

function endsWith(body: Buffer, spot: TextSpot, text: string, bytes: Buffer): boolean {
  // The last unit can only be spelled differently if one of the two is an escape or not ASCII.
  const [a, b] = [body[spot.end - 1], bytes[bytes.length - 1]]
  if (spot.end === spot.start) return text === ''
  const plain = !body.subarray(Math.max(spot.start, spot.end - 6), spot.end).includes(0x5c) && b! < 0x80
  if (plain && a !== b) return false
  return decodeText(body, spot).endsWith(text)
}

function equals(body: Buffer, spot: TextSpot, { text, textBytes }: PreparedText): boolean {
  // An escape takes at most six bytes for one UTF-16 unit.
  if (spot.end - spot.start > text.length * 6) return false
  return startsWith(body, spot, text, textBytes) && decodeText(body, spot) === text
}

/** The body with the splices made, ascending: one allocation, one copy. Without any, the body itself. */
export function splice(body: Buffer, splices: readonly Splice[]): Buffer {
  if (splices.length === 0) return body
  let length = body.length
  for (const { bytes, remove } of splices) length += bytes.length - remove
  const result = Buffer.allocUnsafe(length)
  let from = 0
  let to = 0
  for (const { at, remove, bytes } of splices) {
    to += body.copy(result, to, from, at)
    to += bytes.copy(result, to)
    from = at + remove
  }
  body.copy(result, to, from)
  return result
}

/** From here on a body is sent in pieces rather than copied: to set aside and fill so much again costs more. */
const APART_FROM = 1024 * 1024

/** Like `splice`; a large body comes as pieces in their order, those of `body` without a copy. */
export function spliceToSend(body: Buffer, splices: readonly Splice[]): Buffer | readonly Buffer[] {
  if (splices.length === 0 || body.length < APART_FROM) return splice(body, splices)
  const pieces: Buffer[] = []
  let from = 0
  for (const { at, remove, bytes } of splices) {
    pieces.push(body.subarray(from, at), bytes)
    from = at + remove
  }
  pieces.push(body.subarray(from))
  return pieces.filter(({ length }) => length > 0)
}
