/** A row of an OpenAI chat fine-tuning file: what is wrong with it, and its texts. Called by `dataset-apply.ts` and `dataset-check.ts`. */
import { isUtf8 } from 'node:buffer'
import { contentText } from '../domain/sample.ts'

interface Message {
  readonly role: string
  readonly content?: unknown
  readonly tool_calls?: unknown
  readonly function_call?: unknown
}

/** A row that has all a training example needs. */
export interface Row {
  readonly messages: readonly Message[]
}

const ROLES = new Set<unknown>(['system', 'developer', 'user', 'assistant', 'tool', 'function'])

/** @returns the row, or what is wrong with it, in words that go behind `file:line:`. */
export function readRow(line: Buffer): Row | string {
  if (!isUtf8(line)) return 'this is not UTF-8; save the file as UTF-8 text'
  let value: unknown
  try {
    value = JSON.parse(line.toString('utf8'))
  } catch {
    return 'this is not JSON; each line holds one JSON object'
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return 'a JSON object is expected here'
  const { messages } = value as { messages?: unknown }
  if (messages === undefined)
    return 'has no "messages"; a row of a chat fine-tuning file is {"messages": [{"role": …, "content": …}, …]}'
  if (!Array.isArray(messages)) return '"messages" is not a list'
  for (const [index, message] of messages.entries()) {
    const fault = messageFault(message)
    if (fault !== null) return `messages[${index}]${fault}`
  }
  if (!messages.some(({ role }: Message) => role === 'user')) return 'has no user message'
  if (!messages.some(({ role }: Message) => role === 'assistant'))
    return 'has no assistant message, so there is nothing to learn from it'
  return value as Row
}

function messageFault(message: unknown): string | null {
  if (typeof message !== 'object' || message === null || Array.isArray(message)) return ' is not an object'
  const { role, content, tool_calls, function_call } = message as Message
  if (role === undefined) return ' has no "role"'
  if (!ROLES.has(role)) return `.role: "${String(role)}" is not one of ${[...ROLES].join(', ')}`
  if (typeof content === 'string') return null
  if (Array.isArray(content)) return partsFault(content)
  const calls = role === 'assistant' && (tool_calls !== undefined || function_call !== undefined)
  if ((content === undefined || content === null) && calls) return null
  return content === undefined ? ' has no "content"' : '.content: neither text nor a list of parts'
}

function partsFault(parts: readonly unknown[]): string | null {
  const index = parts.findIndex((part) => {
    if (typeof part !== 'object' || part === null) return true
    const { type, text } = part as { type?: unknown; text?: unknown }
    return typeof type !== 'string' || (type === 'text' && typeof text !== 'string')
  })
  return index === -1 ? null : `.content[${index}] is not a content part, such as {"type": "text", "text": …}`
}

/** The texts that are put before the model, and those it is to give. */
export function textsOf({ messages }: Row): { asked: string[]; answered: string[] } {
  const asked: string[] = []
  const answered: string[] = []
  for (const { role, content } of messages) {
    if (role === 'assistant') answered.push(contentText(content))
    else if (role === 'system' || role === 'developer' || role === 'user') asked.push(contentText(content))
  }
  return { asked, answered }
}
