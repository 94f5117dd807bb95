/**
 * Reads what a model answered, streamed or not: the first choice's text, then its tool calls as JSON. Called by
 * `filing.ts` for sampled exchanges, after the client has had its answer.
 */
import { z } from 'zod'
import { contentText } from '../domain/sample.ts'
import type { SurfaceName } from '../policy/surface.ts'

const ToolCall = z.looseObject({
  index: z.number().nullish(),
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
  choices: z.array(z.looseObject({ index: z.number().nullish(), message: Message })),
})
const Chunk = z.looseObject({
  choices: z
    .array(
      z.looseObject({
        index: z.number().nullish(),
        delta: Message.nullish(),
        finish_reason: z.string().nullish(),
      }),
    )
    .nullish(),
})
/** Whole or a chunk: both have the text in the same place. */
const TextCompletion = z.looseObject({
  choices: z
    .array(
      z.looseObject({
        index: z.number().nullish(),
        text: z.string().nullish(),
        finish_reason: z.string().nullish(),
      }),
    )
    .nullish(),
})
const OutputItem = z.looseObject({
  type: z.string(),
  content: z.array(z.looseObject({ text: z.string().nullish(), refusal: z.string().nullish() })).nullish(),
})
const ResponseObject = z.looseObject({ object: z.literal('response'), output: z.array(OutputItem) })
const ResponseEvent = z.looseObject({ type: z.string(), response: z.unknown().optional() })

/** An answer, or why there is none: not whole, or not an answer of this surface. */
export type ReadAnswer = { readonly text: string } | 'incomplete' | 'unreadable'

type Reader = (text: string, streamed: boolean) => ReadAnswer

const READERS: Record<SurfaceName, Reader> = {
  chat: (text, streamed) => (streamed ? readChatStream(text) : readChat(text)),
  completions: (text, streamed) => readCompletion(streamed ? [...events(text)] : [parse(text), DONE]),
  responses: (text, streamed) => (streamed ? readResponseStream(text) : readResponse(parse(text))),
}

/**
 * @param streamed whether the body is Server-Sent Events.
 * A stream is whole when the first choice has its finish reason, or `[DONE]` has come.
 */
export function readAnswer(surface: SurfaceName, body: Buffer, streamed: boolean): ReadAnswer {
  return READERS[surface](body.toString('utf8'), streamed)
}

function isFirst({ index }: { index?: number | null | undefined }): boolean {
  return (index ?? 0) === 0
}

function readChat(text: string): ReadAnswer {
  const choice = Completion.safeParse(parse(text)).data?.choices.find(isFirst)
  if (choice === undefined) return 'unreadable'
  const { content, refusal, tool_calls } = choice.message
  return join(contentText(content) || (refusal ?? ''), tool_calls ?? [])
}

function readChatStream(text: string): ReadAnswer {
  let [seen, whole] = [false, false]
  let [answer, refusal] = ['', '']
  const calls = new Map<number, ToolCall>()
  for (const event of events(text)) {
    if (event === DONE) {
      whole = true
      break
    }
    const chunk = Chunk.safeParse(event)
    if (!chunk.success || hasError(chunk.data)) return 'unreadable'
    const choice = chunk.data.choices?.find(isFirst)
    if (choice === undefined) continue
    seen = true
    if (typeof choice.finish_reason === 'string') whole = true
    const { delta } = choice
    answer += contentText(delta?.content)
    refusal += delta?.refusal ?? ''
    for (const call of delta?.tool_calls ?? []) mergeCall(calls, call)
  }
  if (!seen) return 'unreadable'
  if (!whole) return 'incomplete'
  const ordered = [...calls.entries()].sort(([a], [b]) => a - b)
  return join(
    answer || refusal,
    ordered.map(([, call]) => call),
  )
}

/** A tool call arrives in pieces: the first names it, the others go on with its arguments. */
function mergeCall(calls: Map<number, ToolCall>, piece: ToolCall): void {
  const { index: given, ...call } = piece
  const index = given ?? 0
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

function readCompletion(pieces: readonly unknown[]): ReadAnswer {
  let whole = false
  let answer: string | null = null
  for (const piece of pieces) {
    if (piece === DONE) {
      whole = true
      break
    }
    const parsed = TextCompletion.safeParse(piece)
    if (!parsed.success || hasError(parsed.data)) return 'unreadable'
    const choice = parsed.data.choices?.find(isFirst)
    if (typeof choice?.text === 'string') answer = (answer ?? '') + choice.text
    if (typeof choice?.finish_reason === 'string') whole = true
  }
  if (answer === null) return 'unreadable'
  return whole ? { text: answer } : 'incomplete'
}

/** The events of a response end with one that holds all of it. */
function readResponseStream(text: string): ReadAnswer {
  let seen = false
  for (const event of events(text)) {
    const { type, response } = ResponseEvent.safeParse(event).data ?? {}
    if (type === 'response.completed' || type === 'response.incomplete') return readResponse(response)
    if (type === 'error' || type === 'response.failed') return 'unreadable'
    seen ||= type !== undefined
  }
  return seen ? 'incomplete' : 'unreadable'
}

function readResponse(value: unknown): ReadAnswer {
  const response = ResponseObject.safeParse(value)
  if (!response.success) return 'unreadable'
  const { output } = response.data
  const texts = output
    .filter(({ type }) => type === 'message')
    .flatMap(({ content }) => (content ?? []).map(({ text, refusal }) => text ?? refusal ?? ''))
  return join(
    texts.join(''),
    output.filter(({ type }) => type.endsWith('_call')),
  )
}

function join(text: string, calls: readonly unknown[]): ReadAnswer {
  if (calls.length === 0) return { text }
  const json = JSON.stringify(calls)
  return { text: text === '' ? json : `${text}\n${json}` }
}

/** What `[DONE]` is read as. */
const DONE = Symbol('done')

/** The events of a stream, parsed. */
function* events(text: string): Generator<unknown> {
  for (const data of eventData(text)) yield data === '[DONE]' ? DONE : parse(data)
}

function hasError(event: Record<string, unknown>): boolean {
  return event.error !== undefined && event.error !== null
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
