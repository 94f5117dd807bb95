/**
 * Shows where a policy puts its texts in a conversation: the code that injects is run over it, and what it put in is
 * marked. For people who look at samples, of which the client's messages are kept without what was injected. Pure; used by
 * `node/shown-samples.ts`.
 */
import type { Placement, Policy } from '../domain/policy.ts'
import { type ChatMessage, contentText } from '../domain/sample.ts'
import { decodeChat } from './chat.ts'
import { splice } from './inject.ts'
import { preparePolicy } from './prepare.ts'

/** A stretch of a message's text. */
export interface MarkedPiece {
  readonly text: string
  /** Null: it is the client's. */
  readonly injected: Placement | null
}

export interface MarkedMessage {
  readonly role: string
  readonly pieces: readonly MarkedPiece[]
}

export type Marked =
  /** `standing`: the client's messages held the texts, so that nothing was put in. `no-place`: they have none for it. */
  { readonly outcome: 'marked' | 'standing' | 'no-place'; readonly messages: readonly MarkedMessage[] }

/** Characters for private use, which mark where an intervention begins, by its number, and where it ends. */
const FIRST_MARK = 0xf0000
const END_MARK = 0xf8fff
const MARKS = /[\u{F0000}-\u{F8FFF}]/gu

/** @param at when the request came in, milliseconds since the epoch: `{{date}}` depends on it. */
export function markInjected(messages: readonly ChatMessage[], policy: Policy, at: number): Marked {
  const json = JSON.stringify({ model: '', messages }).replace(MARKS, '\u{FFFD}')
  const body = Buffer.from(json)
  const unmarked = () => messagesIn(json).map((message) => markedMessage(message, []))
  try {
    const decoded = decodeChat(body)
    const places = decoded.plan(preparePolicy(policy)(at)).map((it) => it.at)
    if (places.length === 0) return { outcome: 'standing', messages: unmarked() }
    const splices = decoded.plan(preparePolicy(withMarks(policy))(at))
    // A text that stood there already is put in where it carries a mark.
    const made = splices.filter((it) => places.includes(it.at))
    const placements = policy.interventions.map(({ placement }) => placement)
    return {
      outcome: 'marked',
      messages: messagesIn(splice(body, made).toString()).map((it) => markedMessage(it, placements)),
    }
  } catch {
    return { outcome: 'no-place', messages: unmarked() }
  }
}

/** Messages in which nothing was injected. */
export function unmarkedMessages(messages: readonly ChatMessage[]): MarkedMessage[] {
  return messages.map((message) => markedMessage(message, []))
}

function withMarks(policy: Policy): Policy {
  return {
    ...policy,
    interventions: policy.interventions.map((it, index) => ({
      ...it,
      text: `${String.fromCodePoint(FIRST_MARK + index)}${it.text}${String.fromCodePoint(END_MARK)}`,
    })),
  }
}

function messagesIn(json: string): ChatMessage[] {
  return (JSON.parse(json) as { messages: ChatMessage[] }).messages
}

function markedMessage(message: ChatMessage, placements: readonly Placement[]): MarkedMessage {
  const { role, content, tool_calls: calls } = message
  const text = [contentText(content), ...(calls === undefined ? [] : [JSON.stringify(calls)])]
    .filter((it) => it !== '')
    .join('\n')
  return { role: typeof role === 'string' ? role : 'message', pieces: piecesOf(text, placements) }
}

function piecesOf(text: string, placements: readonly Placement[]): MarkedPiece[] {
  const pieces: MarkedPiece[] = []
  let injected: Placement | null = null
  let from = 0
  const upTo = (end: number) => {
    if (end > from) pieces.push({ text: text.slice(from, end), injected })
  }
  for (const { 0: mark, index } of text.matchAll(MARKS)) {
    upTo(index)
    from = index + mark.length
    const number = mark.codePointAt(0)! - FIRST_MARK
    injected = number === END_MARK - FIRST_MARK ? null : (placements[number] ?? null)
  }
  upTo(text.length)
  return pieces
}
