/**
 * Injection into a parsed request, written from SPEC section 5 without looking at bytes: what the byte-exact one is
 * compared with. Returns null where the policy cannot be applied.
 */
import type { Intervention, Placement } from '../../src/domain/policy.ts'
import type { SurfaceName } from '../../src/policy/surface.ts'

type Json = unknown
type Message = Record<string, Json>

interface Texts {
  readonly text: string
  readonly prefix: string
  readonly suffix: string
}

const isObject = (value: Json): value is Message =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const SEPARATOR: Partial<Record<Placement, string>> = {
  'user-prepend': ' ',
  'user-newline': '\n',
  'last-user-prepend': ' ',
}

/** Several texts on one place, in the order of the list; null for none. */
function texts(interventions: readonly Intervention[], ...placements: Placement[]): Texts | null {
  const mine = interventions.filter(
    ({ placement }) => placements.length === 0 || placements.includes(placement),
  )
  if (mine.length === 0) return null
  let [text, prefix] = ['', '']
  for (const { placement, text: own } of mine) {
    text = prefix + own
    prefix = text + (SEPARATOR[placement] ?? '\n\n')
  }
  return { text, prefix, suffix: `\n\n${text}` }
}

export function referenceInject(
  surface: SurfaceName,
  request: Json,
  interventions: readonly Intervention[],
): Json | null {
  const result = structuredClone(request) as Message
  const applied = { chat: injectChat, completions: injectCompletions, responses: injectResponses }[surface]
  return applied(result, interventions) ? result : null
}

function injectChat(request: Message, interventions: readonly Intervention[]): boolean {
  if (!Array.isArray(request.messages)) return false
  const messages = request.messages as Json[]
  const alone = texts(interventions, 'system', 'developer', 'system-append')
  // Looked up first: what is put in front of the list is no user message of the client.
  const users = messages.filter((message) => isObject(message) && message.role === 'user') as Message[]
  if (alone !== null) {
    const inOrder = [
      ...interventions.filter(({ placement }) => placement === 'system' || placement === 'developer'),
      ...interventions.filter(({ placement }) => placement === 'system-append'),
    ]
    const whole = texts(inOrder)!
    const leading = messages[0]
    if (isObject(leading) && (leading.role === 'system' || leading.role === 'developer')) {
      const before = texts(interventions, 'system', 'developer')
      const after = texts(interventions, 'system-append')
      if (!surround(leading, before, after, whole)) return false
    } else {
      const role = inOrder[0]!.placement === 'developer' ? 'developer' : 'system'
      messages.unshift({ role, content: whole.text })
    }
  }
  const first = texts(interventions, 'user-prepend', 'user-newline')
  const last = texts(interventions, 'last-user-prepend')
  return injectUsers(users, first, last, interventions, 'text')
}

function injectUsers(
  users: readonly Message[],
  first: Texts | null,
  last: Texts | null,
  interventions: readonly Intervention[],
  partType: string,
): boolean {
  if (first === null && last === null) return true
  if (users.length === 0) return false
  if (users.length === 1) {
    const both = texts([
      ...(first === null ? [] : interventions.filter(({ placement }) => placement.startsWith('user-'))),
      ...interventions.filter(({ placement }) => placement === 'last-user-prepend'),
    ])!
    return putInFront(users[0]!, both, partType)
  }
  return (
    (first === null || putInFront(users[0]!, first, partType)) &&
    (last === null || putInFront(users.at(-1)!, last, partType))
  )
}

const isTextPart = (type: string) => (part: Json) =>
  isObject(part) && part.type === type && typeof part.text === 'string'

function putInFront(message: Message, { prefix, text }: Texts, partType: string): boolean {
  const { content } = message
  if (typeof content === 'string') {
    if (!content.startsWith(prefix)) message.content = prefix + content
    return true
  }
  if (!Array.isArray(content)) return false
  const part = content.find(isTextPart(partType)) as { text: string } | undefined
  if (part === undefined) content.unshift({ type: partType, text })
  else if (!part.text.startsWith(prefix) && part.text !== text) part.text = prefix + part.text
  return true
}

/** Puts texts before and after what a leading system message says. */
function surround(message: Message, before: Texts | null, after: Texts | null, whole: Texts): boolean {
  const { content } = message
  const changed = (original: string, isFirst: boolean, isLast: boolean) => {
    let value = original
    if (isFirst && before !== null && !original.startsWith(before.prefix) && original !== before.text) {
      value = before.prefix + value
    }
    if (isLast && after !== null && !original.endsWith(after.suffix) && original !== after.text)
      value += after.suffix
    return value
  }
  if (typeof content === 'string') {
    message.content = changed(content, true, true)
    return true
  }
  if (!Array.isArray(content)) return false
  const parts = content.filter(isTextPart('text')) as { text: string }[]
  if (parts.length === 0) content.unshift({ type: 'text', text: whole.text })
  for (const [index, part] of parts.entries())
    part.text = changed(part.text, index === 0, index === parts.length - 1)
  return true
}

function injectCompletions(request: Message, interventions: readonly Intervention[]): boolean {
  const { prefix } = texts(interventions)!
  const put = (prompt: string) => (prompt.startsWith(prefix) ? prompt : prefix + prompt)
  const { prompt } = request
  if (typeof prompt === 'string') request.prompt = put(prompt)
  else if (Array.isArray(prompt) && prompt.length > 0 && prompt.every((it) => typeof it === 'string')) {
    request.prompt = prompt.map(put)
  } else return false
  return true
}

function injectResponses(request: Message, interventions: readonly Intervention[]): boolean {
  const whole = texts([
    ...interventions.filter(({ placement }) => placement === 'system' || placement === 'developer'),
    ...interventions.filter(({ placement }) => placement === 'system-append'),
  ])
  if (whole !== null) {
    const instructions = Object.hasOwn(request, 'instructions') ? request.instructions : null
    if (instructions === null) request.instructions = whole.text
    else if (typeof instructions === 'string') {
      const message: Message = { content: instructions }
      surround(
        message,
        texts(interventions, 'system', 'developer'),
        texts(interventions, 'system-append'),
        whole,
      )
      request.instructions = message.content
    } else return false
  }
  const has = (key: string) => Object.hasOwn(request, key) && request[key] !== null
  const continued = has('previous_response_id') || has('conversation')
  const first = continued ? null : texts(interventions, 'user-prepend', 'user-newline')
  const last = texts(interventions, 'last-user-prepend')
  if (first === null && last === null) return true
  const { input } = request
  if (typeof input === 'string') {
    const message: Message = { content: input }
    injectUsers([message], first, last, interventions, 'input_text')
    request.input = message.content
    return true
  }
  const items = Array.isArray(input) ? (input as Json[]) : []
  const users = items.filter(
    (item) =>
      isObject(item) && item.role === 'user' && (typeof item.type !== 'string' || item.type === 'message'),
  ) as Message[]
  if (users.length === 0) return continued
  return injectUsers(users, first, last, interventions, 'input_text')
}

/** What `when` asks of a conversation, of a parsed request. */
export function referenceTurns(
  surface: SurfaceName,
  request: Message,
): { systemAbsent: boolean; firstTurn: boolean } {
  const own = (key: string) => (Object.hasOwn(request, key) ? request[key] : undefined)
  if (surface === 'completions') return { systemAbsent: true, firstTurn: true }
  const list = own(surface === 'chat' ? 'messages' : 'input')
  const items = Array.isArray(list) ? list.filter(isObject) : []
  const isMessage = ({ type }: Message) =>
    surface === 'chat' || typeof type !== 'string' || type === 'message'
  const lastUser = items.findLastIndex((it) => isMessage(it) && it.role === 'user')
  const before = lastUser === -1 ? items : items.slice(0, lastUser)
  const continued =
    surface === 'responses' &&
    ['previous_response_id', 'conversation'].some((key) => (own(key) ?? null) !== null)
  const instructed = surface === 'responses' && (own('instructions') ?? null) !== null
  return {
    systemAbsent:
      !instructed && !items.some((it) => isMessage(it) && (it.role === 'system' || it.role === 'developer')),
    firstTurn: !continued && !before.some((it) => !isMessage(it) || it.role === 'assistant'),
  }
}
