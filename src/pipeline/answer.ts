/**
 * Reads what a model answered, streamed or not: the first choice's text, then its tool calls as JSON. Called by
 * `record.ts` for sampled exchanges, after the client has had its answer.
 */
import { z } from 'zod'
import { contentText } from '../domain/sample.ts'
import type { SurfaceName } from '../policy/surface.ts'

const ToolCall = z.looseObject({
  index: z.number().optional(),
  id: z.string().nullish(),
  type: z.string().nullish(),
  function: z.looseObject({ name: z.string().nullish(), arguments: z.string().nullish() }).nullish(),
})
type ToolCall = z.infer<typeof ToolCall>

const Message = z.looseObject({
  content: z.union([z.string(), z.array(z.unknown())]).nullish(),
  refusal: z.string().nullish(),
  tool_calls: z.array(ToolCall).nullish(),
})

const Completion = z.looseObject({
  choices: z.array(z.looseObject({ index: z.number().optional(), message: Message })),
})
const Chunk = z.looseObject({
  choices: z.array(z.looseObject({ index: z.number().optional(), delta: Message.nullish() })).nullish(),
})
/** Whole or a chunk: both have the text in the same place. */
const TextCompletion = z.looseObject({
  choices: z.array(z.looseObject({ index: z.number().optional(), text: z.string().nullish() })).nullish(),
})
const OutputItem = z.looseObject({
  type: z.string(),
  content: z.array(z.looseObject({ text: z.string().optional(), refusal: z.string().optional() })).optional(),
})
const ResponseObject = z.looseObject({ object: z.literal('response'), output: z.array(OutputItem) })
const ResponseEvent = z.looseObject({ type: z.string(), response: z.unknown().optional() })

type Reader = (text: string, streamed: boolean) => string | null

const READERS: Record<SurfaceName, Reader> = {
  chat: (text, streamed) => (streamed ? readChatStream(text) : readChat(text)),
  completions: (text, streamed) => readCompletion(streamed ? events(text) : [parse(text)]),
  responses: (text, streamed) => readResponse(streamed ? lastResponse(text) : parse(text)),
}

/**
 * @param streamed whether the body is Server-Sent Events.
 * @returns the answer, or null when the body is not a whole answer of this surface.
 */
export function readAnswer(surface: SurfaceName, body: Buffer, streamed: boolean): string | null {
  return READERS[surface](body.toString('utf8'), streamed)
}

function isFirst({ index }: { index?: number | undefined }): boolean {
  return (index ?? 0) === 0
}

function readChat(text: string): string | null {
  const choice = Completion.safeParse(parse(text)).data?.choices.find(isFirst)
  if (choice === undefined) return null
  const { content, refusal, tool_calls } = choice.message
  return join(contentText(content) || (refusal ?? ''), tool_calls ?? [])
}

function readChatStream(text: string): string | null {
  let seen = false
  let answer = ''
  let refusal = ''
  const calls = new Map<number, ToolCall>()
  for (const event of events(text)) {
    const chunk = Chunk.safeParse(event)
    if (!chunk.success || 'error' in chunk.data) return null
    const delta = chunk.data.choices?.find(isFirst)?.delta
    if (delta === undefined || delta === null) continue
    seen = true
    answer += contentText(delta.content)
    refusal += delta.refusal ?? ''
    for (const call of delta.tool_calls ?? []) mergeCall(calls, call)
  }
  if (!seen) return null
  const ordered = [...calls.entries()].sort(([a], [b]) => a - b)
  return join(
    answer || refusal,
    ordered.map(([, call]) => call),
  )
}

/** A tool call arrives in pieces: the first names it, the others go on with its arguments. */
function mergeCall(calls: Map<number, ToolCall>, piece: ToolCall): void {
  const { index = 0, ...call } = piece
  const known = calls.get(index)
  if (known === undefined) {
    calls.set(index, call)
    return
  }
  calls.set(index, {
    ...known,
    function: {
      ...known.function,
      name: known.function?.name ?? call.function?.name,
      arguments: (known.function?.arguments ?? '') + (call.function?.arguments ?? ''),
    },
  })
}

function readCompletion(pieces: Iterable<unknown>): string | null {
  let answer: string | null = null
  for (const piece of pieces) {
    const parsed = TextCompletion.safeParse(piece)
    if (!parsed.success || 'error' in parsed.data) return null
    const text = parsed.data.choices?.find(isFirst)?.text
    if (typeof text === 'string') answer = (answer ?? '') + text
  }
  return answer
}

/** The events of a response end with one that holds all of it. */
function lastResponse(text: string): unknown {
  let last: unknown
  for (const event of events(text)) {
    const { type, response } = ResponseEvent.safeParse(event).data ?? {}
    if (type === 'response.completed' || type === 'response.incomplete') last = response
  }
  return last
}

function readResponse(value: unknown): string | null {
  const response = ResponseObject.safeParse(value)
  if (!response.success) return null
  const { output } = response.data
  const texts = output
    .filter(({ type }) => type === 'message')
    .flatMap(({ content = [] }) => content.map(({ text, refusal }) => text ?? refusal ?? ''))
  return join(
    texts.join(''),
    output.filter(({ type }) => type.endsWith('_call')),
  )
}

function join(text: string, calls: readonly unknown[]): string {
  if (calls.length === 0) return text
  const json = JSON.stringify(calls)
  return text === '' ? json : `${text}\n${json}`
}

/** The events of a stream, parsed, up to `[DONE]`. */
function* events(text: string): Generator<unknown> {
  for (const data of eventData(text)) {
    if (data === '[DONE]') return
    yield parse(data)
  }
}

/** The data of each event of an event stream (WHATWG HTML section 9.2.6). */
export function* eventData(text: string): Generator<string> {
  let data: string[] = []
  for (const line of text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/)) {
    if (line === '') {
      if (data.length > 0) yield data.join('\n')
      data = []
    } else if (line.startsWith('data')) {
      if (line.length === 4) data.push('')
      else if (line[4] === ':') data.push(line.slice(line[5] === ' ' ? 6 : 5))
    }
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
