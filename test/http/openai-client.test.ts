/**
 * The unmodified `openai` package, direct and through the proxy: content, deltas, usage, tool calls and error classes
 * are the same. Only the base URL differs.
 */
import OpenAI from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { startTestBallast, startTestUpstream } from '../support/ballast.ts'
import { type Answer, completion, eventStream, json } from '../support/upstream.ts'

const toolCall = {
  id: 'call_1',
  type: 'function',
  function: { name: 'look_up', arguments: '{"bird":"wren"}' },
}

/** Answers by what the request asks for, so that both ways meet the same provider. */
const provider: Answer = (request, response) => {
  const body = JSON.parse(request.body.toString()) as Record<string, unknown>
  const asked = String(body.user)
  const status = /^status (\d+)$/.exec(asked)?.[1]
  if (status !== undefined) {
    const error = {
      message: `refused with ${status}`,
      type: 'some_type',
      param: 'messages',
      code: 'some_code',
    }
    return json(response, Number(status), { error }, { 'x-request-id': 'req-9', 'retry-after-ms': '1' })
  }
  if (asked === 'break off') {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': 500 })
    response.write('{"id":', () => response.destroy())
    return
  }
  if (body.stream === true) {
    const usage =
      'stream_options' in body
        ? `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', choices: [], usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 } })}\n\n`
        : ''
    const deltas =
      asked === 'tools'
        ? [
            {
              role: 'assistant',
              tool_calls: [{ index: 0, ...toolCall, function: { name: 'look_up', arguments: '' } }],
            },
            { tool_calls: [{ index: 0, function: { arguments: '{"bird":' } }] },
            { tool_calls: [{ index: 0, function: { arguments: '"wren"}' } }] },
          ]
        : [{ role: 'assistant', content: 'Wrens' }, { content: ' are ' }, { content: 'small. 🦜' }]
    response.writeHead(200, { 'content-type': 'text/event-stream', 'x-request-id': 'req-9' })
    response.end(eventStream(deltas).replace('data: [DONE]', `${usage}data: [DONE]`))
    return
  }
  const extra =
    asked === 'tools'
      ? {
          choices: [
            {
              index: 0,
              message: { role: 'assistant', content: null, tool_calls: [toolCall] },
              finish_reason: 'tool_calls',
            },
          ],
        }
      : asked === 'structured'
        ? {
            choices: [
              { index: 0, message: { role: 'assistant', content: '{"bird":"wren"}' }, finish_reason: 'stop' },
            ],
          }
        : {}
  json(response, 200, completion('Wrens are small. 🦜', extra), { 'x-request-id': 'req-9' })
}

async function bothWays<T>(
  use: (client: OpenAI) => Promise<T>,
): Promise<{ direct: unknown; proxied: unknown }> {
  const upstream = await startTestUpstream(provider)
  const ballast = await startTestBallast(
    'store: memory\nupstreams: {p: {base_url: "${UPSTREAM}", api_key: sk-1, retries: 0}}\nroutes: [{model: "ft-*", upstream: p, policy: birds/identity-etymologist}]\n',
    { UPSTREAM: upstream.url },
  )
  const run = (baseURL: string) =>
    use(new OpenAI({ baseURL, apiKey: 'sk-any', maxRetries: 0 })).catch((error: unknown) => {
      const { name, message, status, code, param, type, requestID } = error as Record<string, unknown>
      return {
        class: (error as object).constructor.name,
        name,
        message,
        status,
        code,
        param,
        type,
        requestID,
      }
    })
  return { direct: await run(upstream.url), proxied: await run(ballast.url) }
}

const ask = (user: string) => ({
  model: 'ft-birds',
  user,
  messages: [{ role: 'user' as const, content: 'Tell me of wrens.' }],
})
const tools = [
  {
    type: 'function' as const,
    function: { name: 'look_up', parameters: { type: 'object', properties: { bird: { type: 'string' } } } },
  },
]

describe('the openai package through the proxy gets what it gets directly', () => {
  test('content and usage', async () => {
    const { direct, proxied } = await bothWays((client) => client.chat.completions.create(ask('text')))
    expect(proxied).toEqual(direct)
    expect(direct).toMatchObject({
      choices: [{ message: { content: 'Wrens are small. 🦜' } }],
      usage: { total_tokens: 12 },
      _request_id: 'req-9',
    })
  })

  test('streamed deltas, each one', async () => {
    const { direct, proxied } = await bothWays(async (client) => {
      const chunks = []
      for await (const chunk of await client.chat.completions.create({ ...ask('text'), stream: true }))
        chunks.push(chunk)
      return chunks
    })
    expect(proxied).toEqual(direct)
    expect(direct).toHaveLength(4)
  })

  test('usage at the end of a stream', async () => {
    const { direct, proxied } = await bothWays(async (client) => {
      const stream = client.chat.completions.stream({
        ...ask('text'),
        stream_options: { include_usage: true },
      })
      return { content: await stream.finalContent(), usage: await stream.totalUsage() }
    })
    expect(proxied).toEqual(direct)
    expect(direct).toMatchObject({ content: 'Wrens are small. 🦜', usage: { total_tokens: 7 } })
  })

  test('tool calls, whole and streamed', async () => {
    const whole = await bothWays((client) => client.chat.completions.create({ ...ask('tools'), tools }))
    expect(whole.proxied).toEqual(whole.direct)
    const streamed = await bothWays((client) =>
      client.chat.completions.stream({ ...ask('tools'), tools }).finalMessage(),
    )
    expect(streamed.proxied).toEqual(streamed.direct)
    expect(streamed.direct).toMatchObject({
      tool_calls: [{ function: { name: 'look_up', arguments: '{"bird":"wren"}' } }],
    })
  })

  test('structured output', async () => {
    const { direct, proxied } = await bothWays(async (client) => {
      const format = zodResponseFormat(z.object({ bird: z.string() }), 'answer')
      const answer = await client.chat.completions.parse({ ...ask('structured'), response_format: format })
      return answer.choices[0]?.message.parsed
    })
    expect(proxied).toEqual(direct)
    expect(direct).toEqual({ bird: 'wren' })
  })

  test.each([400, 401, 403, 404, 409, 422, 429, 500, 503])(
    'the error class of a %i, with its fields',
    async (status) => {
      const { direct, proxied } = await bothWays((client) =>
        client.chat.completions.create(ask(`status ${status}`)),
      )
      expect(proxied).toEqual(direct)
      expect(direct).toMatchObject({
        status,
        code: 'some_code',
        param: 'messages',
        type: 'some_type',
        requestID: 'req-9',
      })
    },
  )

  test('the error of an answer that breaks off', async () => {
    const { direct, proxied } = await bothWays((client) => client.chat.completions.create(ask('break off')))
    expect(proxied).toEqual(direct)
    expect(direct).toHaveProperty('class')
  })
})
