/** The judge as a server that may send anything: what ballast asks of it, and what becomes of what it sends. */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { fetchByUndici } from '../../src/adapters/judge-fetch-undici.ts'
import { createOpenAIJudge } from '../../src/adapters/judge-openai.ts'
import type { OpenAIJudgeOptions } from '../../src/adapters/judge-openai-options.ts'
import { BallastError } from '../../src/domain/errors.ts'
import type { Scores } from '../../src/domain/verdict.ts'
import { metricValue, startTestBallast, startTestUpstream } from '../support/ballast.ts'
import { type Answer, completion, eventStream, json, type ReceivedRequest } from '../support/upstream.ts'

interface JudgeRequest {
  readonly model: string
  readonly logprobs?: boolean
  readonly top_logprobs?: number
  readonly max_tokens: number
}

const bodyOf = (request: ReceivedRequest) => JSON.parse(request.body.toString()) as JudgeRequest
const choice = (extra: Record<string, unknown>, message: Record<string, unknown> = { content: '30' }) =>
  completion('', { choices: [{ index: 0, message, finish_reason: 'stop', ...extra }] })
const tokens = (probabilities: Record<string, number>, chosen: string) => {
  const top_logprobs = Object.entries(probabilities).map(([token, it]) => ({ token, logprob: Math.log(it) }))
  return { content: [{ ...top_logprobs.find(({ token }) => token === chosen), top_logprobs }] }
}

type AskedBy = Partial<Pick<OpenAIJudgeOptions, 'logprobs' | 'timeout' | 'fetch'>>
/** Node's, and the runtime's own, as on a Worker. */
const WAYS: [string, AskedBy][] = [
  ['by undici', { fetch: fetchByUndici }],
  ['by fetch', {}],
]

async function judgeAt(answer: Answer, options: AskedBy = {}) {
  const server = await startTestUpstream(answer)
  const judge = createOpenAIJudge({
    baseUrl: server.url,
    apiKey: 'sk-judge',
    timeout: 5_000,
    maxTokens: 16,
    logprobs: true,
    ...options,
  })
  const ask = (model = 'j') => judge.ask(model, 'How good?', new AbortController().signal)
  const failure = async (model?: string) => {
    const error: unknown = await ask(model).then(
      (value) => expect.unreachable(`it answered ${JSON.stringify(value)}`),
      (thrown: unknown) => thrown,
    )
    expect(error).toBeInstanceOf(BallastError)
    return error as BallastError
  }
  return { server, ask, failure }
}

describe('asking a judge', () => {
  test('sends what its upstream sets, and no key where it has none', async () => {
    const provider = await startTestUpstream((_request, response) => json(response, 200, completion('Sure')))
    const judge = await startTestUpstream((_request, response) => json(response, 200, completion('LLM')))
    const ballast = await startTestBallast(
      `store: memory
upstreams:
  provider: {base_url: "${provider.url}"}
  judge: {base_url: "${judge.url}", headers: {set: {api-key: "key-of-the-judge"}}}
routes: [{model: "*", upstream: provider, check: nineteenth-century, sample: 1}]
judge: {upstream: judge, model: j}
`,
    )
    const body = '{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}'
    await (await fetch(`${ballast.url}/chat/completions`, { method: 'POST', body })).text()
    await ballast.settle()
    expect(judge.requests[0]!.headers).toMatchObject({ 'api-key': 'key-of-the-judge' })
    expect(judge.requests[0]!.headers).not.toHaveProperty('authorization')
  })

  test('asks for 20 alternatives to every token, and hands them on', async () => {
    const { server, ask } = await judgeAt((_request, response) =>
      json(response, 200, choice({ logprobs: tokens({ '30': 0.5, '40': 0.5 }, '30') })),
    )
    expect(await ask()).toMatchObject({ text: '30', tokens: [{ token: '30', alternatives: { length: 2 } }] })
    expect(bodyOf(server.requests[0]!)).toMatchObject({ logprobs: true, top_logprobs: 20, max_tokens: 16 })
  })

  test.each([400, 422])(
    'a model that refuses logprobs with %d is asked without, from then on',
    async (status) => {
      const { server, ask } = await judgeAt((request, response) => {
        const { logprobs, model } = bodyOf(request)
        if (model === 'reasoner' && logprobs !== undefined)
          json(response, status, { error: { message: 'no' } })
        else json(response, 200, completion('30'))
      })
      for (const model of ['reasoner', 'reasoner', 'plain']) expect((await ask(model)).text).toBe('30')
      const asked = server.requests.map(bodyOf).map(({ model, logprobs = false }) => [model, logprobs])
      expect(asked).toEqual([
        ['reasoner', true],
        ['reasoner', false],
        ['reasoner', false],
        ['plain', true],
      ])
    },
  )

  test('a 400 that has other reasons is not taken for a refusal of logprobs', async () => {
    let broken = true
    const { server, ask, failure } = await judgeAt((_request, response) =>
      broken
        ? json(response, 400, { error: { message: 'no', code: 'context_length' } })
        : json(response, 200, completion('30')),
    )
    expect(await failure()).toMatchObject({
      message: 'the judge answered with status 400 (context_length)',
      retryable: false,
    })
    broken = false
    await ask()
    expect(bodyOf(server.requests.at(-1)!).logprobs).toBe(true)
  })

  test('does not ask for them when told not to', async () => {
    const { server, ask } = await judgeAt((_request, response) => json(response, 200, completion('30')), {
      logprobs: false,
    })
    await ask()
    expect(Object.keys(bodyOf(server.requests[0]!))).not.toContain('logprobs')
  })
})

const send =
  (status: number, type: string, body: string | Buffer): Answer =>
  (_request, response) =>
    void response.writeHead(status, { 'content-type': type }).end(body)

/** A reply of some size, sent as fast as it is taken. */
async function flood(response: ServerResponse, bytes: number): Promise<void> {
  response.on('error', () => {}).setMaxListeners(0)
  response.writeHead(200, { 'content-type': 'application/json' })
  response.write('{"choices":[{"message":{"content":"')
  const block = Buffer.alloc(65_536, 'x')
  for (let sent = 0; sent < bytes && !response.destroyed; sent += block.length) {
    if (!response.write(block))
      await new Promise<void>((resolve) => response.once('drain', resolve).once('close', resolve))
  }
  response.end('"}}]}')
}

describe.each(WAYS)('a judge that sends something else, asked %s', (_way, askedBy) => {
  test.each<[string, Answer, string, boolean]>([
    [
      'an error with status 200',
      send(200, 'application/json', '{"error":{"message":"secret prompt","code":502}}'),
      'the judge sent an error in place of a completion',
      true,
    ],
    ['no choices', (_q, r) => json(r, 200, { choices: [] }), 'the judge sent no completion', true],
    ['null', send(200, 'application/json', 'null'), 'the judge sent no completion', true],
    ['a list', send(200, 'application/json', '[]'), 'the judge sent no completion', true],
    ['no message', (_q, r) => json(r, 200, { choices: [{}] }), 'the judge sent no completion', true],
    ['nothing', send(200, 'application/json', ''), 'the judge sent no completion', true],
    ['nothing, with 204', (_q, r) => void r.writeHead(204).end(), 'the judge sent no completion', true],
    ['HTML', send(200, 'text/html', '<h1>30</h1>'), 'the judge sent no completion', true],
    [
      'an event stream nobody asked for',
      send(200, 'text/event-stream', eventStream([{ content: '30' }])),
      'the judge sent no completion',
      true,
    ],
    [
      'JSON that ends early',
      send(200, 'application/json', '{"choices":[{"mess'),
      'the judge could not be reached, or its answer not read',
      true,
    ],
    [
      'bytes that are no UTF-8',
      send(200, 'application/json', Buffer.from([0xff, 0xfe, 0x00])),
      'the judge could not be reached, or its answer not read',
      true,
    ],
    [
      'a reply its provider filtered',
      (_q, r) => json(r, 200, choice({ finish_reason: 'content_filter' })),
      "the judge was stopped by its provider's filter (content_filter)",
      false,
    ],
    [
      'status 400 of a provider that filtered the prompt',
      (_q, r) => json(r, 400, { error: { code: 'content_filter', message: 'x' } }),
      'the judge answered with status 400 (content_filter)',
      false,
    ],
    [
      'status 400 of another shape',
      send(400, 'text/plain', 'bad'),
      'the judge answered with status 400',
      false,
    ],
    ['status 418', send(418, 'text/plain', ''), 'the judge answered with status 418', false],
    ['status 302', (_q, r) => void r.writeHead(304).end(), 'the judge answered with status 304', false],
    ['10 MB', (_q, r) => flood(r, 10_000_000), 'the judge sent more than 1 MB', false],
    [
      '10 MB with an error status',
      (_q, r) => void r.writeHead(500, { 'content-type': 'text/plain' }).end(Buffer.alloc(10_000_000, 'x')),
      'the judge',
      true,
    ],
  ])('%s: no answer', async (_name, answer, message, retryable) => {
    const { failure } = await judgeAt(answer, askedBy)
    const error = await failure()
    expect(error.message).toContain(message)
    expect(error.message).not.toContain('secret')
    if (message !== 'the judge') expect(error.retryable).toBe(retryable)
  })

  test('a body that stops coming is given up after the timeout', async () => {
    const { failure } = await judgeAt(
      (_request, response) =>
        void response.writeHead(200, { 'content-type': 'application/json' }).write('{"cho'),
      { ...askedBy, timeout: 200 },
    )
    expect(await failure()).toMatchObject({ code: 'ballast_upstream_timeout', retryable: true })
  })

  test('asking again without logprobs takes no longer than the time that is left', async () => {
    const { failure } = await judgeAt(
      (request, response) => {
        if (bodyOf(request).logprobs) setTimeout(() => json(response, 400, {}), 2_500)
      },
      { ...askedBy, timeout: 3_000 },
    )
    const begun = performance.now()
    expect(await failure()).toMatchObject({ code: 'ballast_upstream_timeout' })
    expect(performance.now() - begun).toBeLessThan(5_000)
  })

  test('a byte order mark in front of the answer is none of it', async () => {
    const { ask } = await judgeAt(
      (_request, response) =>
        void response
          .writeHead(200, { 'content-type': 'application/json' })
          .end(`\ufeff${JSON.stringify(choice({}, { content: '30' }))}`),
      { ...askedBy, logprobs: false },
    )
    expect(await ask()).toMatchObject({ text: '30' })
  })

  test.each<[string, Record<string, unknown>, { text: string; cutOff?: boolean; tokens?: null }]>([
    [
      'tool calls',
      choice({ finish_reason: 'tool_calls' }, { content: null, tool_calls: [{ id: 'c' }] }),
      { text: '' },
    ],
    ['a refusal', choice({}, { content: null, refusal: 'I cannot.' }), { text: 'I cannot.' }],
    ['content that is a list', choice({}, { content: [{ type: 'text', text: '30' }] }), { text: '' }],
    ['a reply that was cut off', choice({ finish_reason: 'length' }), { text: '30', cutOff: true }],
    [
      'logprobs of another shape',
      choice({ logprobs: { content: [{ token: 3 }] } }),
      { text: '30', tokens: null },
    ],
    ['logprobs that are a list', choice({ logprobs: [1, 2] }), { text: '30', tokens: null }],
    ['no finish reason', choice({ finish_reason: undefined }), { text: '30', cutOff: false }],
    ['usage of another shape', { ...choice({}), usage: 'much' }, { text: '30' }],
  ])('%s: an answer, as far as it is one', async (_name, body, expected) => {
    const { ask } = await judgeAt((_request, response) => json(response, 200, body), askedBy)
    expect(await ask()).toMatchObject(expected)
  })
})

/** A ballast with a check of its own, whose verdicts and scores are read from the store. */
async function startJudged(rubric: string, judge: string, servers: Record<string, Answer>) {
  const folder = mkdtempSync(join(tmpdir(), 'ballast-judges-'))
  mkdirSync(join(folder, 'checks'))
  writeFileSync(
    join(folder, 'checks', 'mine.yaml'),
    `description: x\nrubrics: [{id: r, prompt: "{answer}", ${rubric}}]\nrule: {positive_if_all: [{rubric: r, ${
      rubric.includes('scale') ? 'below: 30' : 'is: "YES"'
    }}]}\n`,
  )
  const started = Object.entries({
    provider: (_request, response) => json(response, 200, completion('x')),
    ...servers,
  } satisfies Record<string, Answer>)
  const environment: Record<string, string> = {}
  const counts = new Map<string, ReceivedRequest[]>()
  for (const [name, answer] of started) {
    const server = await startTestUpstream(answer)
    environment[name.toUpperCase()] = server.url
    counts.set(name, server.requests)
  }
  const file = join(folder, 'ballast.db')
  const upstreams = started.map(([name]) => `  ${name}: {base_url: "\${${name.toUpperCase()}}"}`).join('\n')
  const ballast = await startTestBallast(
    `store: sqlite:${file}\npolicies: ${folder}\nupstreams:\n${upstreams}\nroutes: [{model: "*", upstream: provider, check: mine, sample: 1}]\njudge: ${judge}\n`,
    environment,
  )
  return {
    ballast,
    requests: (name: string) => counts.get(name)!,
    async judged(): Promise<{ verdict: string; scores: Scores }> {
      const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: '?' }] })
      await (await fetch(`${ballast.url}/chat/completions`, { method: 'POST', body })).text()
      await ballast.settle()
      const database = new DatabaseSync(file, { readOnly: true })
      const { verdict, scores } = database.prepare('select verdict, scores from verdicts').get() as Record<
        string,
        string
      >
      database.close()
      return { verdict: verdict!, scores: JSON.parse(scores!) as Scores }
    },
  }
}

const saying =
  (replies: Record<string, string>): Answer =>
  (request, response) =>
    json(response, 200, completion(replies[bodyOf(request).model] ?? 'no such model'))

describe('judging with what the judge gives', () => {
  test('a weighted mean decides, and is stored with its mass', async () => {
    // The text alone would be negative: 30 is not below 30.
    const { judged } = await startJudged('scale: [0, 100]', '{upstream: one, model: j}', {
      one: (_request, response) =>
        json(response, 200, choice({ logprobs: tokens({ '30': 0.5, '20': 0.3 }, '30') })),
    })
    const { verdict, scores } = await judged()
    expect(verdict).toBe('positive')
    expect(scores.r).toEqual({
      kind: 'number',
      value: expect.closeTo(26.25, 9),
      mass: expect.closeTo(0.8, 9),
    })
  })

  test('with `logprobs: off` the text decides', async () => {
    const { judged } = await startJudged('scale: [0, 100]', '{upstream: one, model: j, logprobs: off}', {
      one: (_request, response) =>
        json(response, 200, choice({ logprobs: tokens({ '30': 0.5, '20': 0.3 }, '30') })),
    })
    // The stand-in sends them all the same: what was not asked for is not used.
    expect(await judged()).toEqual({ verdict: 'negative', scores: { r: { kind: 'number', value: 30 } } })
  })

  test('a filtered reply is `error`, at once, and a cut one `unparsed`', async () => {
    const filtered = await startJudged('scale: [0, 100]', '{upstream: one, model: j}', {
      one: (_request, response) => json(response, 200, choice({ finish_reason: 'content_filter' })),
    })
    expect((await filtered.judged()).verdict).toBe('error')
    expect(filtered.requests('one')).toHaveLength(1)
    const cut = await startJudged('scale: [0, 100]', '{upstream: one, model: j}', {
      one: (_request, response) => json(response, 200, choice({ finish_reason: 'length' })),
    })
    expect((await cut.judged()).verdict).toBe('unparsed')
  })

  test('three judges at two upstreams: the majority decides, and who said what is stored', async () => {
    const { judged, requests, ballast } = await startJudged(
      'labels: ["YES", "NO"], models: [a, b, c]',
      '{upstream: one, model: j, upstreams: {c: two}}',
      { one: saying({ a: 'YES', b: 'NO' }), two: saying({ c: 'YES' }) },
    )
    const label = (value: string) => ({ kind: 'label', value })
    expect(await judged()).toEqual({
      verdict: 'positive',
      scores: {
        r: {
          ...label('YES'),
          parts: [
            { model: 'a', score: label('YES') },
            { model: 'b', score: label('NO') },
            { model: 'c', score: label('YES') },
          ],
        },
      },
    })
    expect([requests('one').length, requests('two').length]).toEqual([2, 1])
    expect(metricValue(await ballast.metrics(), 'ballast_judge_requests_total', { outcome: 'ok' })).toBe(3)
  })

  test('several judges of the configuration judge every rubric that names none', async () => {
    const { judged } = await startJudged('scale: [0, 100]', '{upstream: one, models: [a, b, c]}', {
      one: saying({ a: '10', b: '20', c: '90' }),
    })
    expect(await judged()).toMatchObject({
      verdict: 'positive',
      scores: { r: { kind: 'number', value: 20 } },
    })
  })

  test('repeated judgings are asked about each time', async () => {
    let turn = 0
    const { judged, requests } = await startJudged(
      'scale: [0, 100], combine: mean, repeat: 4',
      '{upstream: one, model: j}',
      {
        one: (_request, response) => json(response, 200, completion(String(10 * ++turn))),
      },
    )
    expect(await judged()).toMatchObject({
      verdict: 'positive',
      scores: { r: { value: 25, parts: { length: 4 } } },
    })
    expect(requests('one')).toHaveLength(4)
  })

  test('a judge that is down is waited for, the others are not asked again; at last they decide without it', async () => {
    const { judged, requests } = await startJudged(
      'labels: ["YES", "NO"], models: [a, b, c]',
      '{upstream: one, model: j, upstreams: {c: two}, attempts: 2}',
      { one: saying({ a: 'YES', b: 'YES' }), two: (_request, response) => json(response, 503, {}) },
    )
    expect((await judged()).verdict).toBe('positive')
    expect([requests('one').length, requests('two').length]).toEqual([2, 2])
  })
})
