/**
 * Reads what a model answered out of a chat completion, streamed or not: the first choice's text, then its tool
 * calls as JSON. Called by `record.ts` for sampled exchanges, after the client has had its answer.
 */
import { z } from 'zod'
import { contentText } from '../domain/sample.ts'

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

/**
 * @param streamed whether the body is Server-Sent Events.
 * @returns the answer, or null when the body is not a chat completion that is whole.
 */
export function readAnswer(body: Buffer, streamed: boolean): string | null {
  return streamed ? readStream(body.toString('utf8')) : readCompletion(body.toString('utf8'))
}

function readCompletion(text: string): string | null {
  const completion = Completion.safeParse(parse(text))
  const choice = completion.data?.choices.find(({ index }) => (index ?? 0) === 0)
  if (choice === undefined) return null
  const { content, refusal, tool_calls } = choice.message
  return join(contentText(content) || (refusal ?? ''), tool_calls ?? [])
}

function readStream(text: string): string | null {
  let seen = false
  let answer = ''
  let refusal = ''
  const calls = new Map<number, ToolCall>()
  for (const data of eventData(text)) {
    if (data === '[DONE]') break
    const chunk = Chunk.safeParse(parse(data))
    if (!chunk.success || 'error' in chunk.data) return null
    const delta = chunk.data.choices?.find(({ index }) => (index ?? 0) === 0)?.delta
    if (delta === undefined || delta === null) continue
    seen = true
    answer += contentText(delta.content)
    refusal += delta.refusal ?? ''
    for (const call of delta.tool_calls ?? []) mergeCall(calls, call)
  }
  if (!seen) return null
  return join(
    answer || refusal,
    [...calls.entries()].sort(([a], [b]) => a - b).map(([, call]) => call),
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

function join(text: string, calls: readonly ToolCall[]): string {
  if (calls.length === 0) return text
  const json = JSON.stringify(calls)
  return text === '' ? json : `${text}\n${json}`
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
