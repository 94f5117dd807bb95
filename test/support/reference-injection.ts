/**
 * Injection into a parsed request, written from SPEC section 5 without looking at bytes: what the byte-exact one is
 * compared with. Returns null where the policy cannot be applied.
 */
import type { Intervention } from '../../src/domain/policy.ts'

type Json = unknown
type Message = { role?: Json; content?: Json }

const isObject = (value: Json): value is Record<string, Json> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export function referenceInject(request: Json, interventions: readonly Intervention[]): Json | null {
  const result = structuredClone(request) as { messages?: Json }
  if (!Array.isArray(result.messages)) return null
  const messages = result.messages as Json[]

  const system = interventions.filter(({ placement }) => placement === 'system').map(({ text }) => text)
  if (system.length > 0) {
    const text = system.join('\n\n')
    const leading = messages[0]
    if (isObject(leading) && (leading.role === 'system' || leading.role === 'developer')) {
      if (!putInFront(leading, `${text}\n\n`, text, true)) return null
    } else messages.unshift({ role: 'system', content: text })
  }

  const user = interventions.filter(({ placement }) => placement !== 'system')
  if (user.length > 0) {
    let prefix = ''
    for (const { placement, text } of user) prefix += text + (placement === 'user-newline' ? '\n' : ' ')
    const first = messages.find((message) => isObject(message) && message.role === 'user') as
      | Message
      | undefined
    if (first === undefined || !putInFront(first, prefix, prefix.slice(0, -1), false)) return null
  }
  return result
}

function putInFront(message: Message, prefix: string, text: string, wholeStandsAlone: boolean): boolean {
  const { content } = message
  const there = (value: string, alone: boolean) => value.startsWith(prefix) || (alone && value === text)
  if (typeof content === 'string') {
    if (!there(content, wholeStandsAlone)) message.content = prefix + content
    return true
  }
  if (!Array.isArray(content)) return false
  const part = content.find(
    (it: Json) => isObject(it) && it.type === 'text' && typeof it.text === 'string',
  ) as { text: string } | undefined
  if (part === undefined) content.unshift({ type: 'text', text })
  else if (!there(part.text, true)) part.text = prefix + part.text
  return true
}
