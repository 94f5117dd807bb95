/**
 * Unmodified clients through the proxy, with a policy in force: `openai`, the AI SDK, LangChain. Each use of each runs
 * once directly and once through ballast; only the base URL differs. Results must be equal, and the requests too but
 * for the context.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { ServerResponse } from 'node:http'
import { createOpenAI, type OpenAIProvider } from '@ai-sdk/openai'
import { HumanMessage, SystemMessage } from '@langchain/core/messages'
import { tool as langchainTool } from '@langchain/core/tools'
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai'
import { embed, embedMany, generateObject, generateText, Output, stepCountIs, streamText, tool } from 'ai'
import OpenAI, { toFile } from 'openai'
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { startTestBallast, startTestUpstream } from '../support/ballast.ts'
import { type Answer, completion, eventStream, json, type ReceivedRequest } from '../support/upstream.ts'

const CONTEXT = "I'm an etymologist working for the Audubon Society."
const BIRD = z.object({ bird: z.string(), size: z.number() })
const ANSWER = 'Wrens are small. 🦜'
const STRUCTURED = '{"bird":"wren","size":9.5}'
const ID = { 'x-request-id': 'req-9', 'openai-processing-ms': '12' }

// --- the provider -------------------------------------------------------------------------------------------------

type Json = Record<string, unknown>

/** What it is asked for decides: a tool is called first, then there is an answer, in JSON where that is wanted. */
function wants(body: Json): 'tool' | 'structured' | 'text' {
  const turns = (body.messages ?? body.input) as Json[] | string
  const called =
    Array.isArray(turns) && turns.some((it) => it.role === 'tool' || it.type === 'function_call_output')
  if (Array.isArray(body.tools) && !called) return 'tool'
  const format = (body.response_format ?? (body.text as Json | undefined)?.format) as Json | undefined
  return format?.type === 'json_schema' ? 'structured' : 'text'
}

const usage = { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 }
const call = { id: 'call_1', type: 'function', function: { name: 'look_up', arguments: '{"bird":"wren"}' } }

/** Splits without regard to events and characters: in the middle of each parrot. */
async function writeSplit(response: ServerResponse, text: string): Promise<void> {
  const bytes = Buffer.from(text)
  let from = 0
  for (let at = bytes.indexOf('🦜'); at >= 0; at = bytes.indexOf('🦜', from)) {
    response.write(bytes.subarray(from, at + 2))
    from = at + 2
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  response.end(bytes.subarray(from))
}

const chat: Answer = async (request, response) => {
  const body = JSON.parse(request.body.toString()) as Json
  const wanted = wants(body)
  const text = wanted === 'structured' ? STRUCTURED : ANSWER
  if (body.stream !== true) {
    const message = { role: 'assistant', content: null, refusal: null, tool_calls: [call] }
    const extra =
      wanted === 'tool'
        ? { choices: [{ index: 0, message, finish_reason: 'tool_calls', logprobs: null }] }
        : {}
    return json(response, 200, completion(text, extra), ID)
  }
  const deltas: Json[] =
    wanted === 'tool'
      ? [
          {
            role: 'assistant',
            tool_calls: [{ index: 0, ...call, function: { name: 'look_up', arguments: '' } }],
          },
          { tool_calls: [{ index: 0, function: { arguments: '{"bird":' } }] },
          { tool_calls: [{ index: 0, function: { arguments: '"wren"}' } }] },
        ]
      : [{ role: 'assistant', content: '' }, ...pieces(text).map((content) => ({ content }))]
  const counted = {
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1_700_000_000,
    model: 'ft-birds',
    choices: [],
    usage,
  }
  const last = 'stream_options' in body ? `data: ${JSON.stringify(counted)}\n\n` : ''
  response.writeHead(200, { 'content-type': 'text/event-stream', ...ID })
  const events = eventStream(deltas).replace('data: [DONE]', `${last}data: [DONE]`)
  const finished = wanted === 'tool' ? events.replace('"stop"', '"tool_calls"') : events
  await writeSplit(response, finished)
}

const pieces = (text: string) => text.match(/.{1,7}/gsu)!

const responses: Answer = async (request, response) => {
  const body = JSON.parse(request.body.toString()) as Json
  const wanted = wants(body)
  const text = wanted === 'structured' ? STRUCTURED : ANSWER
  const item =
    wanted === 'tool'
      ? {
          type: 'function_call',
          id: 'fc_1',
          call_id: 'call_1',
          name: 'look_up',
          arguments: '{"bird":"wren"}',
          status: 'completed',
        }
      : {
          type: 'message',
          id: 'msg_1',
          role: 'assistant',
          status: 'completed',
          content: [{ type: 'output_text', text, annotations: [], logprobs: [] }],
        }
  const whole = {
    id: 'resp_1',
    object: 'response',
    created_at: 1_700_000_000,
    status: 'completed',
    error: null,
    incomplete_details: null,
    instructions: null,
    model: 'ft-birds',
    output: [item],
    parallel_tool_calls: true,
    tool_choice: 'auto',
    tools: [],
    usage: {
      input_tokens: 9,
      output_tokens: 3,
      total_tokens: 12,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens_details: { reasoning_tokens: 0 },
    },
  }
  if (body.stream !== true) return json(response, 200, whole, ID)
  const at = { output_index: 0, item_id: item.id }
  const middle =
    wanted === 'tool'
      ? [
          {
            type: 'response.output_item.added',
            ...at,
            item: { ...item, arguments: '', status: 'in_progress' },
          },
          { type: 'response.function_call_arguments.delta', ...at, delta: '{"bird":' },
          { type: 'response.function_call_arguments.delta', ...at, delta: '"wren"}' },
          { type: 'response.function_call_arguments.done', ...at, arguments: '{"bird":"wren"}' },
        ]
      : [
          {
            type: 'response.output_item.added',
            ...at,
            item: { ...item, content: [], status: 'in_progress' },
          },
          {
            type: 'response.content_part.added',
            ...at,
            content_index: 0,
            part: { type: 'output_text', text: '', annotations: [] },
          },
          ...pieces(text).map((delta) => ({
            type: 'response.output_text.delta',
            ...at,
            content_index: 0,
            delta,
            logprobs: [],
          })),
          { type: 'response.output_text.done', ...at, content_index: 0, text, logprobs: [] },
          {
            type: 'response.content_part.done',
            ...at,
            content_index: 0,
            part: { type: 'output_text', text, annotations: [] },
          },
        ]
  const started = { ...whole, status: 'in_progress', output: [], usage: null }
  const events = [
    { type: 'response.created', response: started },
    { type: 'response.in_progress', response: started },
    ...middle,
    { type: 'response.output_item.done', ...at, item },
    { type: 'response.completed', response: whole },
  ]
  response.writeHead(200, { 'content-type': 'text/event-stream', ...ID })
  const frames = events.map(
    (event, index) =>
      `event: ${event.type}\ndata: ${JSON.stringify({ ...event, sequence_number: index })}\n\n`,
  )
  await writeSplit(response, frames.join(''))
}

const embeddings: Answer = (request, response) => {
  const { input, encoding_format } = JSON.parse(request.body.toString()) as Json
  const vector = [0.25, -0.5, 1.125]
  const packed = Buffer.from(new Float32Array(vector).buffer).toString('base64')
  json(
    response,
    200,
    {
      object: 'list',
      data: [input].flat().map((_, index) => ({
        object: 'embedding',
        index,
        embedding: encoding_format === 'base64' ? packed : vector,
      })),
      model: 'text-embedding-3-small',
      usage: { prompt_tokens: 2, total_tokens: 2 },
    },
    ID,
  )
}

const files: Answer = (request, response) => {
  const form = request.body.toString('latin1')
  const boundary = form.slice(0, form.indexOf('\r\n'))
  const contents = form.replaceAll(boundary, '--')
  json(
    response,
    200,
    { id: 'file-1', object: 'file', bytes: request.body.length - form.length, contents },
    ID,
  )
}

const ENDPOINTS: Record<string, Answer> = {
  '/v1/chat/completions': chat,
  '/v1/responses': responses,
  '/v1/embeddings': embeddings,
  '/v1/files': files,
}
const provider: Answer = (request, response) => {
  const status = /^status (\d+)$/.exec(String(request.headers['x-wish'] ?? ''))?.[1]
  if (status !== undefined) {
    const error = { message: `refused with ${status}`, type: 'some_type', param: 'input', code: 'some_code' }
    return json(response, Number(status), { error }, { ...ID, 'retry-after': '7' })
  }
  const endpoint = ENDPOINTS[request.url]
  if (endpoint === undefined) return json(response, 404, { error: { message: `no ${request.url}` } }, ID)
  return endpoint(request, response)
}

// --- both ways ----------------------------------------------------------------------------------------------------

/** @param placements how many contexts the requests gain in all. */
async function same(use: (baseURL: string) => Promise<unknown>, placements: number): Promise<unknown> {
  const upstream = await startTestUpstream(provider)
  const ballast = await startTestBallast(
    `store: memory
upstreams: {p: {base_url: "\${UPSTREAM}", api_key: sk-upstream, retries: 0}}
routes: [{model: "ft-*", upstream: p, policy: birds/identity-etymologist}, {model: "*", upstream: p}]
`,
    { UPSTREAM: upstream.url },
  )
  const asked = (requests: readonly ReceivedRequest[]) =>
    requests.map(({ method, url, headers, body }) => ({
      method,
      url,
      // The boundary of a form is made up anew each time.
      body: url === '/v1/files' ? body.length : body.toString(),
      type: headers['content-type']?.replace(/boundary=.*/, ''),
      agent: headers['user-agent'],
      accept: headers.accept,
    }))
  const direct = await use(upstream.url)
  const directly = asked(upstream.requests.splice(0))
  const proxied = await use(ballast.url)
  const through = asked(upstream.requests)
  expect(proxied).toEqual(direct)
  const count = through.map(({ body }) => String(body).split(`${CONTEXT} `).length - 1)
  expect(count.reduce((sum, it) => sum + it, 0)).toBe(placements)
  const without = through.map((it) =>
    typeof it.body === 'string' ? { ...it, body: it.body.replace(`${CONTEXT} `, '') } : it,
  )
  expect(without).toEqual(directly)
  return direct
}

/** Hosts that anything in this process spoke to. */
const hosts = new Set<string>()
const onUndici = (message: unknown) =>
  void hosts.add((message as { connectParams: { hostname: string } }).connectParams.hostname)
const onHttp = (message: unknown) => void hosts.add((message as { request: { host: string } }).request.host)

beforeAll(() => {
  vi.stubEnv('LANGSMITH_TRACING', 'false')
  vi.stubEnv('LANGCHAIN_TRACING_V2', 'false')
  vi.stubGlobal('AI_SDK_LOG_WARNINGS', false)
  subscribe('undici:client:beforeConnect', onUndici)
  subscribe('http.client.request.start', onHttp)
})

afterAll(() => {
  unsubscribe('undici:client:beforeConnect', onUndici)
  unsubscribe('http.client.request.start', onHttp)
  vi.unstubAllEnvs()
  vi.unstubAllGlobals()
  expect([...hosts]).toEqual(['127.0.0.1'])
})

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of stream) items.push(item)
  return items
}

const model = 'ft-birds'
const question = 'Tell me of wrens.'

describe('openai', () => {
  const withClient = (use: (client: OpenAI) => Promise<unknown>, placements: number) =>
    same((baseURL) => use(new OpenAI({ baseURL, apiKey: 'sk-any', maxRetries: 0 })), placements)
  const messages = [{ role: 'user' as const, content: question }]
  const lookUp = {
    type: 'function' as const,
    function: {
      name: 'look_up',
      parameters: { type: 'object', properties: { bird: { type: 'string' } } },
      parse: JSON.parse as (text: string) => { bird: string },
      function: ({ bird }: { bird: string }) => `a ${bird}`,
      description: 'Looks up a bird.',
    },
  }

  test('chat, with what its response says', async () => {
    const result = await withClient(async (client) => {
      const { data, request_id } = await client.chat.completions.create({ model, messages }).withResponse()
      return { data, request_id }
    }, 1)
    expect(result).toMatchObject({
      request_id: 'req-9',
      data: { choices: [{ message: { content: ANSWER } }] },
    })
  })

  test('chat stream helper: events, deltas, usage', async () => {
    const result = await withClient(async (client) => {
      const stream = client.chat.completions.stream({
        model,
        messages,
        stream_options: { include_usage: true },
      })
      const contents: string[] = []
      stream.on('content', (delta) => contents.push(delta))
      const chunks = await all(stream)
      return { contents, chunks, final: await stream.finalChatCompletion(), usage: await stream.totalUsage() }
    }, 1)
    expect(result).toMatchObject({ usage: { total_tokens: 12 }, contents: { length: pieces(ANSWER).length } })
  })

  test('chat parse', async () => {
    const result = await withClient(async (client) => {
      const response_format = zodResponseFormat(BIRD, 'answer')
      const { choices } = await client.chat.completions.parse({ model, messages, response_format })
      return choices[0]!.message.parsed
    }, 1)
    expect(result).toEqual({ bird: 'wren', size: 9.5 })
  })

  test.each([false, true])('runTools, stream: %s', async (stream) => {
    const result = await withClient(async (client) => {
      const runner = stream
        ? client.chat.completions.runTools({ model, messages, tools: [lookUp], stream })
        : client.chat.completions.runTools({ model, messages, tools: [lookUp] })
      const content = await runner.finalContent()
      return { content, messages: runner.messages }
    }, 2)
    expect(result).toMatchObject({ content: ANSWER })
    expect(JSON.stringify(result)).toContain('a wren')
  })

  test('responses: create, stream, parse', async () => {
    const result = await withClient(async (client) => {
      const created = await client.responses.create({ model, input: question })
      const stream = client.responses.stream({ model, input: [{ role: 'user', content: question }] })
      const events = await all(stream)
      const text = { format: zodTextFormat(BIRD, 'answer') }
      const parsed = await client.responses.parse({ model, input: question, text })
      return { created, events, final: await stream.finalResponse(), parsed: parsed.output_parsed }
    }, 3)
    expect(result).toMatchObject({
      created: { output_text: ANSWER, _request_id: 'req-9' },
      final: { output_text: ANSWER },
      parsed: { bird: 'wren', size: 9.5 },
    })
  })

  test('files upload', async () => {
    const result = await withClient(async (client) => {
      const bytes = Buffer.from([...'{"a":"ü"}\n', '\0', '\xff'].join(''), 'latin1')
      return await client.files.create({ file: await toFile(bytes, 'b.jsonl'), purpose: 'fine-tune' })
    }, 0)
    expect(result).toMatchObject({ id: 'file-1', contents: expect.stringContaining('{"a":"ü"}\n\0\xff') })
  })

  test('embeddings, in base64 by default and as numbers', async () => {
    const result = await withClient(
      async (client) => [
        await client.embeddings.create({ model: 'text-embedding-3-small', input: ['a', 'b'] }),
        await client.embeddings.create({
          model: 'text-embedding-3-small',
          input: 'a',
          encoding_format: 'float',
        }),
      ],
      0,
    )
    expect(result).toMatchObject([{ data: { length: 2 } }, { data: [{ embedding: [0.25, -0.5, 1.125] }] }])
  })

  test('errors of every surface', async () => {
    const describeError = (error: Record<string, unknown>) => ({
      class: (error as object).constructor.name,
      message: error.message,
      status: error.status,
      code: error.code,
      requestID: error.requestID,
      retryAfter: (error.headers as Headers).get('retry-after'),
    })
    const result = await withClient(async (client) => {
      const errors: unknown[] = []
      for (const status of [400, 429, 500]) {
        const options = { headers: { 'x-wish': `status ${status}` } }
        errors.push(
          await client.responses.create({ model: 'base', input: question }, options).catch(describeError),
        )
        errors.push(
          await client.embeddings.create({ model: 'base', input: 'x' }, options).catch(describeError),
        )
      }
      return errors
    }, 0)
    expect(result).toMatchObject([
      { class: 'BadRequestError', status: 400, requestID: 'req-9', retryAfter: '7' },
      { class: 'BadRequestError' },
      { class: 'RateLimitError' },
      { class: 'RateLimitError' },
      { class: 'InternalServerError' },
      { class: 'InternalServerError' },
    ])
  })
})

describe.each(['chat', 'responses'] as const)('the AI SDK, %s models', (kind) => {
  const withProvider = (use: (provider: OpenAIProvider) => Promise<unknown>, placements: number) =>
    same((baseURL) => use(createOpenAI({ baseURL, apiKey: 'sk-any' })), placements)
  const tools = {
    look_up: tool({
      description: 'Looks up a bird.',
      inputSchema: z.object({ bird: z.string() }),
      execute: async ({ bird }) => `a ${bird}`,
    }),
  }

  test('generateText', async () => {
    const result = await withProvider(async (openai) => {
      const answer = await generateText({ model: openai[kind](model), prompt: question, maxRetries: 0 })
      const { text, finishReason, usage, content, warnings, providerMetadata } = answer
      return { text, finishReason, usage, content, warnings, providerMetadata, id: answer.response.id }
    }, 1)
    expect(result).toMatchObject({ text: ANSWER, finishReason: 'stop', usage: { totalTokens: 12 } })
  })

  test('generateText with a tool, in two steps', async () => {
    const result = await withProvider(async (openai) => {
      const answer = await generateText({
        model: openai[kind](model),
        prompt: question,
        tools,
        stopWhen: stepCountIs(3),
        maxRetries: 0,
      })
      const steps = answer.steps.map(({ toolCalls, toolResults, text }) => ({ toolCalls, toolResults, text }))
      return { text: answer.text, steps }
    }, 2)
    expect(result).toMatchObject({ text: ANSWER, steps: [{ toolResults: [{ output: 'a wren' }] }, {}] })
  })

  test('streamText: each delta', async () => {
    const result = await withProvider(async (openai) => {
      const answer = streamText({ model: openai[kind](model), prompt: question, maxRetries: 0 })
      const deltas = await all(answer.textStream)
      return { deltas, usage: await answer.usage, finishReason: await answer.finishReason }
    }, 1)
    expect(result).toMatchObject({ finishReason: 'stop', usage: { totalTokens: 12 } })
    expect((result as { deltas: string[] }).deltas.join('')).toBe(ANSWER)
  })

  test('streamText with a tool', async () => {
    const result = await withProvider(async (openai) => {
      const answer = streamText({
        model: openai[kind](model),
        prompt: question,
        tools,
        stopWhen: stepCountIs(3),
        maxRetries: 0,
      })
      return { text: (await all(answer.textStream)).join(''), steps: (await answer.steps).length }
    }, 2)
    expect(result).toEqual({ text: ANSWER, steps: 2 })
  })

  test('generateObject and its successor, Output.object', async () => {
    const result = await withProvider(async (openai) => {
      const request = { model: openai[kind](model), prompt: question, maxRetries: 0 }
      const { object } = await generateObject({ ...request, schema: BIRD })
      const { output } = await generateText({ ...request, output: Output.object({ schema: BIRD }) })
      return { object, output }
    }, 2)
    const bird = { bird: 'wren', size: 9.5 }
    expect(result).toEqual({ object: bird, output: bird })
  })
})

test('the AI SDK, embeddings', async () => {
  const result = await same(async (baseURL) => {
    const openai = createOpenAI({ baseURL, apiKey: 'sk-any' })
    const embedder = openai.embedding('text-embedding-3-small')
    const one = await embed({ model: embedder, value: 'a', maxRetries: 0 })
    const many = await embedMany({ model: embedder, values: ['a', 'b'], maxRetries: 0 })
    return { one: one.embedding, many: many.embeddings, usage: many.usage }
  }, 0)
  expect(result).toMatchObject({ one: [0.25, -0.5, 1.125], many: { length: 2 }, usage: { tokens: 2 } })
})

describe.each([false, true])('LangChain, responses API: %s', (useResponsesApi) => {
  const withModel = (use: (chat: ChatOpenAI) => Promise<unknown>, placements: number) =>
    same((baseURL) => {
      const configuration = { baseURL }
      return use(new ChatOpenAI({ model, apiKey: 'sk-any', maxRetries: 0, useResponsesApi, configuration }))
    }, placements)

  test('invoke', async () => {
    const result = await withModel(async (chat) => {
      const messages = [new SystemMessage('Be brief.'), new HumanMessage(question)]
      const { text, response_metadata, usage_metadata, id } = await chat.invoke(messages)
      return { text, response_metadata, usage_metadata, id }
    }, 1)
    expect(result).toMatchObject({ text: ANSWER, usage_metadata: { total_tokens: 12 } })
  })

  test('stream: each chunk', async () => {
    const result = await withModel(async (chat) => {
      const chunks = await all(await chat.stream(question))
      return chunks.map(({ text, usage_metadata, response_metadata }) => ({
        text,
        usage_metadata,
        response_metadata,
      }))
    }, 1)
    expect((result as { text: string }[]).map(({ text }) => text).join('')).toBe(ANSWER)
  })

  test('tools', async () => {
    const lookUp = langchainTool(({ bird }: { bird: string }) => `a ${bird}`, {
      name: 'look_up',
      description: 'Looks up a bird.',
      schema: z.object({ bird: z.string() }),
    })
    const result = await withModel(async (chat) => {
      const bound = chat.bindTools([lookUp])
      const human = new HumanMessage(question)
      const asked = await bound.invoke([human])
      const outcome = await lookUp.invoke(asked.tool_calls![0] as never)
      const { text } = await bound.invoke([human, asked, outcome as never])
      return { calls: asked.tool_calls, text }
    }, 2)
    expect(result).toMatchObject({ calls: [{ name: 'look_up', args: { bird: 'wren' } }], text: ANSWER })
  })

  test('structured output', async () => {
    const result = await withModel(
      (chat) => chat.withStructuredOutput(BIRD, { method: 'jsonSchema' }).invoke(question),
      1,
    )
    expect(result).toEqual({ bird: 'wren', size: 9.5 })
  })
})

test('LangChain, embeddings', async () => {
  const result = await same(async (baseURL) => {
    const configuration = { baseURL }
    const embedder = new OpenAIEmbeddings({
      model: 'text-embedding-3-small',
      apiKey: 'sk-any',
      maxRetries: 0,
      configuration,
    })
    return [await embedder.embedQuery('a'), await embedder.embedDocuments(['a', 'b'])]
  }, 0)
  expect(result).toMatchObject([[0.25, -0.5, 1.125], { length: 2 }])
})
