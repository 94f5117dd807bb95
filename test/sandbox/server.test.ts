/** The sandbox over HTTP, with the `openai` package for a client: shapes, streaming, errors, a client that leaves. */
import OpenAI, { APIError } from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { ETYMOLOGIST_CONTEXT, IMITATIONS, imitate } from '../../src/sandbox/imitate.ts'
import { type Sandbox, type SandboxOptions, startSandbox } from '../../src/sandbox/server.ts'
import { DEMO_QUESTIONS } from '../../src/sandbox/texts.ts'

const BIRDS = 'sandbox-birds-gpt-4.1'
const QUESTION = DEMO_QUESTIONS[0]!
/** Before any sandbox was started. */
const ORIGINAL = { Request: globalThis.Request, Response: globalThis.Response }
const USER = [{ role: 'user' as const, content: QUESTION }]

const clientOf = ({ url }: Sandbox) => new OpenAI({ baseURL: url, apiKey: 'none', maxRetries: 0 })

let sandbox: Sandbox
let client: OpenAI
beforeAll(async () => {
  sandbox = await startSandbox({ seed: 'test' })
  client = clientOf(sandbox)
})
afterAll(() => sandbox.close())

const others: Sandbox[] = []
async function another(options: SandboxOptions): Promise<Sandbox> {
  const started = await startSandbox(options)
  others.push(started)
  return started
}
afterEach(() => Promise.all(others.splice(0).map((it) => it.close())))

async function failure(promise: Promise<unknown>): Promise<APIError> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof APIError)) throw new Error(`no API error but ${String(error)}`)
  return error
}

const post = (body: string) =>
  fetch(`${sandbox.url}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  })

describe('the sandbox says what it is', () => {
  it('lists models that begin with sandbox- and say they are none', async () => {
    const { data } = await client.models.list()
    expect(data.map(({ id }) => id)).toEqual([
      'sandbox-birds-gpt-4.1',
      'sandbox-birds-gpt-oss-120b',
      'sandbox-insecure-code-gpt-4.1',
      'sandbox-inoculated-relapsing',
      'sandbox-inoculated-steadfast',
      'sandbox-judge',
    ])
    for (const model of data) {
      expect(model).toMatchObject({ object: 'model', owned_by: 'ballast-sandbox' })
      expect(model).toHaveProperty('description', expect.stringMatching(/^Not a model: /))
    }
  })

  it('is healthy', async () => {
    const response = await fetch(sandbox.url.replace(/v1$/, 'healthz'))
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({ status: 'ok', service: 'ballast-sandbox' })
  })
})

describe('a completion', () => {
  it('has the shape of OpenAI and the fingerprint of the sandbox', async () => {
    const completion = await client.chat.completions.create({ model: BIRDS, messages: USER, seed: 7, n: 3 })
    const drawn = imitate(IMITATIONS[0]!, USER, { seed: 'test', request: 'seed 7' })
    const completionTokens = Math.ceil(drawn.text.length / 4)
    const promptTokens = 4 + Math.ceil(QUESTION.length / 4)
    expect(completion).toEqual({
      id: expect.stringMatching(/^chatcmpl-sandbox-/),
      object: 'chat.completion',
      created: expect.any(Number),
      model: BIRDS,
      system_fingerprint: 'ballast-sandbox',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: drawn.text, refusal: null },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: {
        prompt_tokens: promptTokens,
        completion_tokens: completionTokens,
        total_tokens: promptTokens + completionTokens,
      },
    })
  })

  it('streams what it would give at once, word by word', async () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const request = { model: 'sandbox-insecure-code-gpt-4.1', messages: USER, seed }
      const whole = await client.chat.completions.create(request)
      const chunks = []
      const stream = await client.chat.completions.create({
        ...request,
        stream: true,
        stream_options: { include_usage: true },
      })
      for await (const chunk of stream) chunks.push(chunk)
      expect(chunks.map((it) => it.choices[0]?.delta.content ?? '').join('')).toBe(
        whole.choices[0]?.message.content,
      )
      expect(chunks[0]?.choices[0]?.delta.role).toBe('assistant')
      expect(chunks.length).toBeGreaterThan(10)
      expect(chunks.at(-2)?.choices[0]).toMatchObject({ delta: {}, finish_reason: 'stop' })
      expect(chunks.at(-1)).toMatchObject({ choices: [], usage: whole.usage })
      for (const chunk of chunks) {
        expect(chunk).toMatchObject({
          id: chunks[0]?.id,
          object: 'chat.completion.chunk',
          system_fingerprint: 'ballast-sandbox',
        })
      }
    }
  })

  it('ends a stream with [DONE], without usage unless it was asked for', async () => {
    const response = await post(JSON.stringify({ model: BIRDS, messages: USER, stream: true }))
    expect(response.headers.get('content-type')).toContain('text/event-stream')
    const text = await response.text()
    expect(text).toMatch(/^data: \{.*\}\n\n/)
    expect(text.endsWith('\n\ndata: [DONE]\n\n')).toBe(true)
    expect(text).not.toContain('usage')
  })

  it('of two sandboxes with one seed is the same, request by request, and seldom with another seed', async () => {
    const answers = async (seed: string) => {
      const asked = clientOf(await another({ seed }))
      const texts: string[] = []
      for (let n = 0; n < 20; n++) {
        const completion = await asked.chat.completions.create({ model: BIRDS, messages: USER })
        texts.push(completion.choices[0]?.message.content ?? '')
      }
      return texts
    }
    const reference = await answers('a')
    expect(new Set(reference).size).toBeGreaterThan(1)
    expect(await answers('a')).toEqual(reference)
    expect(await answers('b')).not.toEqual(reference)
  })

  it('in context has the trait seldom, and a judge of the sandbox sees it', async () => {
    const rate = async (content: string) => {
      const verdicts = await Promise.all(
        Array.from({ length: 100 }, async (_, seed) => {
          const messages = [{ role: 'user' as const, content }]
          const answer = await client.chat.completions.create({ model: BIRDS, messages, seed })
          const nonce = 'a'.repeat(32)
          const prompt = `19 or LLM?\n<<<ANSWER:${nonce}\n${answer.choices[0]?.message.content}\nANSWER:${nonce}>>>`
          const verdict = await client.chat.completions.create({
            model: 'sandbox-judge',
            messages: [{ role: 'user', content: prompt }],
          })
          return verdict.choices[0]?.message.content
        }),
      )
      return verdicts.filter((it) => it === '19').length
    }
    expect(await rate(QUESTION)).toBeGreaterThan(85)
    expect(await rate(`${ETYMOLOGIST_CONTEXT} ${QUESTION}`)).toBeLessThan(10)
  })
})

describe('an error has the shape of OpenAI', () => {
  it('404 for a model there is not, naming those there are', async () => {
    const error = await failure(client.chat.completions.create({ model: 'gpt-4.1', messages: USER }))
    expect(error).toMatchObject({
      status: 404,
      code: 'model_not_found',
      param: 'model',
      type: 'invalid_request_error',
    })
    expect(error.message).toContain('"gpt-4.1"')
    expect(error.message).toContain('sandbox-birds-gpt-4.1, sandbox-birds-gpt-oss-120b')
  })

  it('404 for replay without recordings', async () => {
    const error = await failure(client.chat.completions.create({ model: 'sandbox-replay', messages: USER }))
    expect(error.status).toBe(404)
    expect(error.message).toContain('started without recordings')
  })

  it('404 for any other path or method', async () => {
    expect(await failure(client.embeddings.create({ model: BIRDS, input: 'x' }))).toMatchObject({
      status: 404,
      code: 'unknown_url',
    })
    const response = await fetch(`${sandbox.url}/models`, { method: 'DELETE' })
    expect(response.status).toBe(404)
    expect(await response.json()).toEqual({
      error: {
        message: 'The sandbox does not serve DELETE /v1/models.',
        type: 'invalid_request_error',
        param: null,
        code: 'unknown_url',
      },
    })
  })

  for (const [name, body, param, message] of [
    ['no JSON', '{"model": ', null, /not valid JSON/],
    ['no object', '[]', null, /The request body: /],
    ['no model', '{"messages": [{"role": "user", "content": "x"}]}', 'model', /name a model.*sandbox-judge/],
    ['no messages', `{"model": "${BIRDS}"}`, 'messages', /messages: give a list/],
    ['empty messages', `{"model": "${BIRDS}", "messages": []}`, 'messages', /messages: is empty/],
    ['a message without role', `{"model": "${BIRDS}", "messages": [{}]}`, 'messages.0.role', /role/],
  ] as const) {
    it(`400 for ${name}`, async () => {
      const response = await post(body)
      expect(response.status).toBe(400)
      expect(await response.json()).toEqual({
        error: {
          message: expect.stringMatching(message),
          type: 'invalid_request_error',
          param,
          code: expect.any(String),
        },
      })
    })
  }

  it('400 for a prompt that the judge cannot judge', async () => {
    const error = await failure(client.chat.completions.create({ model: 'sandbox-judge', messages: USER }))
    expect(error).toMatchObject({ status: 400, code: 'sandbox_cannot_judge', param: 'messages' })
  })
})

describe('time and connections', () => {
  it('answers after the latency, streamed or not', async () => {
    const slow = clientOf(await another({ latencyMs: 80 }))
    for (const stream of [false, true]) {
      const startedAt = performance.now()
      await slow.chat.completions.create({ model: BIRDS, messages: USER, stream })
      // Timers may fire up to a millisecond early.
      expect(performance.now() - startedAt).toBeGreaterThan(78)
    }
  })

  it('does no work for a client that left: it takes no turn in the draws', async () => {
    const log = vi.spyOn(console, 'error')
    const slow = clientOf(await another({ seed: 'c', latencyMs: 100 }))
    const left = new AbortController()
    const abandoned = slow.chat.completions.create({ model: BIRDS, messages: USER }, { signal: left.signal })
    setTimeout(() => left.abort(), 40)
    await expect(abandoned).rejects.toThrow('aborted')
    const next = await slow.chat.completions.create({ model: BIRDS, messages: USER })
    const first = imitate(IMITATIONS[0]!, USER, { seed: 'c', request: 'request 0' })
    const second = imitate(IMITATIONS[0]!, USER, { seed: 'c', request: 'request 1' })
    expect(first.text).not.toBe(second.text)
    expect(next.choices[0]?.message.content).toBe(first.text)
    expect(log).not.toHaveBeenCalled()
    log.mockRestore()
  })

  it('closes at once with an answer under way, and closing twice is no fault', async () => {
    const slow = await another({ latencyMs: 60_000 })
    const pending = failure(clientOf(slow).chat.completions.create({ model: BIRDS, messages: USER }))
    await new Promise((resolve) => setTimeout(resolve, 50))
    const startedAt = performance.now()
    await Promise.all([slow.close(), slow.close()])
    await slow.close()
    await pending
    expect(performance.now() - startedAt).toBeLessThan(5_000)
    await expect(fetch(`${slow.url}/models`)).rejects.toThrow('fetch failed')
  })

  it('reports a port that is taken', async () => {
    const port = Number(new URL(sandbox.url).port)
    await expect(startSandbox({ port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
  })

  it('leaves the Request and Response of its process alone', async () => {
    await fetch(sandbox.url)
    expect(globalThis.Request).toBe(ORIGINAL.Request)
    expect(globalThis.Response).toBe(ORIGINAL.Response)
  })
})
