/**
 * Injection: splices a prepared policy's bytes into a request body at the places `scan.ts` found. Pure; called by
 * the pipeline's inject step. Outside the inserted spans the body stays byte for byte what it was.
 */
import { BallastError } from '../domain/errors.ts'
import type { PreparedPolicy, PreparedText } from './prepare.ts'
import { type ChatSpots, decodeText, type MessageSpot, type TextSpot } from './scan.ts'

/** Bytes to insert in front of an offset of the body. */
export interface Splice {
  readonly at: number
  readonly bytes: Buffer
}

/**
 * Where a policy's texts go in a chat request.
 * @returns the insertions in ascending order; none where the context stands there already (a client's retry,
 *   two proxies in a row).
 * @throws BallastError `ballast_policy_not_applicable` when the request has no place for it.
 */
export function planInjection(body: Buffer, spots: ChatSpots, policy: PreparedPolicy): Splice[] {
  const { messages } = spots
  if (messages === null) throw notApplicable(policy, 'the request has no list of "messages"')
  const splices: Splice[] = []
  if (policy.system !== null) {
    const leading = messages.first
    if (leading !== null && (leading.role === 'system' || leading.role === 'developer')) {
      insertText(splices, body, leading, policy.system, () =>
        notApplicable(policy, `the leading ${leading.role} message has no content to merge with`),
      )
    } else {
      splices.push({
        at: messages.start,
        bytes: messages.empty ? policy.system.message : policy.system.messageThenComma,
      })
    }
  }
  if (policy.user !== null) {
    const user = messages.firstUser
    if (user === null) throw notApplicable(policy, 'the request has no user message')
    insertText(splices, body, user, policy.user, () =>
      notApplicable(policy, 'the first user message has no content'),
    )
  }
  return splices
}

function insertText(
  splices: Splice[],
  body: Buffer,
  message: MessageSpot,
  text: PreparedText,
  unsupported: () => BallastError,
): void {
  if (message.content === 'none') throw unsupported()
  if (message.text !== null) {
    if (startsWith(body, message.text, text.prefix, text.prefixBytes)) return
    const standsAlone = message.content === 'parts' || text.standsAlone
    if (standsAlone && equals(body, message.text, text.text, text.textBytes)) return
    splices.push({ at: message.text.start, bytes: text.prefixBytes })
    return
  }
  splices.push({ at: message.partsStart, bytes: message.partsEmpty ? text.part : text.partThenComma })
}

function notApplicable(policy: PreparedPolicy, reason: string): BallastError {
  return new BallastError(
    'ballast_policy_not_applicable',
    `Policy "${policy.id}" cannot be applied to this request: ${reason}. It was not sent.`,
    { source: 'client', param: 'messages' },
  )
}

function equals(body: Buffer, spot: TextSpot, text: string, bytes: Buffer): boolean {
  // An escape takes at most six bytes for one UTF-16 unit.
  return (
    spot.end - spot.start <= text.length * 6 &&
    startsWith(body, spot, text, bytes) &&
    decodeText(body, spot) === text
  )
}

/** Whether the JSON string at `spot` has a value that begins with `text`, however it was escaped. */
function startsWith(body: Buffer, spot: TextSpot, text: string, bytes: Buffer): boolean {
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

/** The body with the insertions made: one allocation, one copy. Without insertions, the body itself. */
export function splice(body: Buffer, splices: readonly Splice[]): Buffer {
  if (splices.length === 0) return body
  let length = body.length
  for (const { bytes } of splices) length += bytes.length
  const result = Buffer.allocUnsafe(length)
  let from = 0
  let to = 0
  for (const { at, bytes } of splices) {
    to += body.copy(result, to, from, at)
    to += bytes.copy(result, to)
    from = at
  }
  body.copy(result, to, from)
  return result
}
