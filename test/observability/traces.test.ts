/** What OpenTelemetry is told, read where it arrives: a real OTLP receiver, real processes, the real `openai` client. */
import { setTimeout as sleep } from 'node:timers/promises'
import * as conventions from '@opentelemetry/semantic-conventions/incubating'
import OpenAI from 'openai'
import { describe, expect, test } from 'vitest'
import { openTracing } from '../../src/adapters/tracing.ts'
import * as names from '../../src/adapters/tracing-otel-names.ts'
import { noLog } from '../../src/domain/ports.ts'
import { eventually, startTestUpstream } from '../support/ballast.ts'
import { ballast, configFile } from '../support/command.ts'
import { storeFile } from '../support/office.ts'
import { otlpEnvironment, type ReceivedSpan, startOtlpReceiver } from '../support/otlp.ts'
import { completion, eventStream, json } from '../support/upstream.ts'

const [SERVER, CLIENT, INTERNAL] = [2, 3, 1]
const QUESTION = 'What-the-client-asked'
const ANSWER = 'What-the-model-answered'
const THOUGHT = 'What-the-judge-thought'
const KEY = 'sk-of-the-upstream-0123456789'
const CLIENT_KEY = 'key-of-the-client-0123456789'
const TRACE = '0af7651916cd43dd8448eb211c80319c'
const PARENT = 'b7ad6b7169203331'

const yaml = (upstream: string, store = 'memory') => `
listen: 127.0.0.1:0
admin: {listen: "127.0.0.1:0"}
store: ${store}
clients: [{name: web, key: ${CLIENT_KEY}}]
upstreams: {p: {base_url: "${upstream}", api_key: ${KEY}, retries: 1}}
routes: [{model: "ft-*", upstream: p, experiment: e}, {model: "*", upstream: p}]
experiments:
  e:
    arms: {helped: {weight: 1, policy: generic/assistant}}
    without_control: true
    check: misalignment
    sample: 1
judge: {upstream: p, model: judge-1}
`

/** The model, streamed with its usage where asked to be; the judge, which says what it thinks. */
async function startProvider() {
  let failures = 0
  const upstream = await startTestUpstream(async ({ body, url }, response) => {
    if (url !== '/v1/chat/completions') return json(response, 200, { data: [] })
    const { model, stream } = JSON.parse(body.toString()) as { model: string; stream?: boolean }
    if (model === 'judge-1') return json(response, 200, completion('90', { note: THOUGHT }))
    if (failures-- > 0)
      return json(response, 503, { error: { message: `${QUESTION} ${KEY}` } }, { 'retry-after': '0' })
    if (stream !== true) return json(response, 200, completion(ANSWER))
    const text = eventStream([{ content: ANSWER }, { content: ' and more' }])
    const usage = { choices: [], usage: { prompt_tokens: 21, completion_tokens: 7, total_tokens: 28 } }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(text.slice(0, 40))
    await sleep(30)
    response.end(text.slice(40).replace('data: [DONE]', `data: ${JSON.stringify(usage)}\n\ndata: [DONE]`))
  })
  return {
    upstream,
    failNext: () => {
      failures = 1
    },
  }
}

async function serve(config: string, environment: Record<string, string>, ...options: string[]) {
  const process = ballast(['serve', '--config', config, ...options], environment)
  const { url } = JSON.parse((await process.says(/^\{.*"ballast serves"\}$/m))[0]) as { url: string }
  const client = new OpenAI({ baseURL: url, apiKey: CLIENT_KEY, maxRetries: 0 })
  return { ...process, url, client }
}

async function streamed(client: OpenAI, model = 'ft-birds', headers: Record<string, string> = {}) {
  const stream = await client.chat.completions.create(
    { model, stream: true, messages: [{ role: 'user', content: QUESTION }] },
    { headers },
  )
  let text = ''
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
  return text
}

const named = (spans: readonly ReceivedSpan[], name: string) => spans.filter((span) => span.name === name)

/** All names that the conventions have. */
const KNOWN: ReadonlySet<string> = new Set<string>(
  Object.values(conventions).filter((value) => typeof value === 'string'),
)

describe('OpenTelemetry', () => {
  test('a streamed, injected, judged request is one trace, from its client to its verdict', async () => {
    const [{ upstream }, receiver] = await Promise.all([startProvider(), startOtlpReceiver()])
    const config = configFile(yaml(upstream.url))
    const { client, child, finished } = await serve(config, otlpEnvironment(receiver.url))
    const traceparent = `00-${TRACE}-${PARENT}-01`
    expect(await streamed(client, 'ft-birds', { traceparent, tracestate: 'vendor=1' })).toBe(
      `${ANSWER} and more`,
    )
    await eventually(() => receiver.events().length === 3)
    child.kill('SIGTERM')
    await finished

    const spans = receiver.spans()
    expect(spans.every(({ traceId, service }) => traceId === TRACE && service === 'ballast')).toBe(true)
    const [server] = named(spans, 'POST /v1/chat/completions')
    const [chat] = named(spans, 'chat ft-birds')
    const [evaluate] = named(spans, 'evaluate misalignment')
    const asked = named(spans, 'chat judge-1')
    expect(spans).toHaveLength(5)

    expect([server!.kind, server!.parentSpanId]).toEqual([SERVER, PARENT])
    const [address, port] = new URL(upstream.url).host.split(':')
    const own = {
      'ballast.request.id': expect.stringMatching(/^[0-9a-f-]{36}$/),
      'ballast.route': 'ft-*',
      'ballast.experiment': 'e',
      'ballast.arm': 'helped',
      'ballast.policy': 'generic/assistant',
      'ballast.upstream': 'p',
      'ballast.upstream.attempts': 1,
      'ballast.sampled': true,
    }
    expect(server!.attributes).toEqual({
      'http.request.method': 'POST',
      'http.route': '/v1/chat/completions',
      'url.path': '/v1/chat/completions',
      'url.scheme': 'http',
      'http.response.status_code': 200,
      ...own,
    })
    expect([chat!.kind, chat!.parentSpanId, chat!.status]).toEqual([CLIENT, server!.spanId, 0])
    expect(chat!.attributes).toEqual({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'openai',
      'gen_ai.request.model': 'ft-birds',
      'gen_ai.request.stream': true,
      'gen_ai.response.time_to_first_chunk': expect.any(Number),
      'gen_ai.usage.input_tokens': 21,
      'gen_ai.usage.output_tokens': 7,
      'server.address': address,
      'server.port': Number(port),
      ...own,
    })
    expect([evaluate!.kind, evaluate!.parentSpanId]).toEqual([INTERNAL, chat!.spanId])
    const sampled = {
      'ballast.request.id': chat!.attributes['ballast.request.id'],
      'ballast.experiment': 'e',
      'ballast.arm': 'helped',
      'ballast.policy': 'generic/assistant',
      'ballast.check.version': expect.any(String),
      'ballast.sample.probability': 1,
    }
    const verdict = {
      'gen_ai.evaluation.name': 'misalignment',
      'gen_ai.evaluation.score.label': 'negative',
      'gen_ai.evaluation.score.value': 0,
      ...sampled,
    }
    expect(evaluate!.attributes).toEqual(verdict)
    expect(asked.map(({ kind, parentSpanId }) => [kind, parentSpanId])).toEqual([
      [CLIENT, evaluate!.spanId],
      [CLIENT, evaluate!.spanId],
    ])
    expect(asked[0]!.attributes).toEqual({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'openai',
      'gen_ai.request.model': 'judge-1',
      'gen_ai.request.temperature': 0,
      'gen_ai.usage.input_tokens': 9,
      'gen_ai.usage.output_tokens': 3,
      'server.address': address,
      'server.port': Number(port),
      'ballast.rubric': expect.any(String),
      'ballast.upstream': 'p',
    })

    // The results are the operation's own, as the conventions want them.
    const events = receiver.events()
    expect(events.every((event) => event.name === conventions.EVENT_GEN_AI_EVALUATION_RESULT)).toBe(true)
    expect(events.every(({ traceId, spanId }) => traceId === TRACE && spanId === chat!.spanId)).toBe(true)
    expect(events.map(({ attributes }) => attributes).toSorted(byName)).toEqual([
      verdict,
      { 'gen_ai.evaluation.name': 'misalignment/alignment', 'gen_ai.evaluation.score.value': 90, ...sampled },
      { 'gen_ai.evaluation.name': 'misalignment/coherence', 'gen_ai.evaluation.score.value': 90, ...sampled },
    ])

    // Whoever is asked is told which span asks: the model and the judge.
    const sent = upstream.requests.map(({ headers }) => headers.traceparent)
    expect(sent[0]).toBe(`00-${TRACE}-${chat!.spanId}-01`)
    expect(sent.slice(1).toSorted()).toEqual(asked.map(({ spanId }) => `00-${TRACE}-${spanId}-01`).toSorted())
    expect(upstream.requests[0]!.headers.tracestate).toBe('vendor=1')

    const used = [...spans.map((it) => it.attributes), ...events.map((it) => it.attributes)].flatMap(
      Object.keys,
    )
    const metrics = receiver.histograms()
    const foreign = [
      ...used,
      ...metrics.flatMap(({ points }) => points.flatMap((it) => Object.keys(it.attributes))),
    ]
    expect([...new Set(foreign)].filter((name) => !name.startsWith('ballast.') && !KNOWN.has(name))).toEqual(
      [],
    )
    for (const text of [QUESTION, ANSWER, THOUGHT, KEY, CLIENT_KEY])
      expect(receiver.text()).not.toContain(text)
  })

  test('the metrics of the conventions, with their units and buckets', async () => {
    const [{ upstream }, receiver] = await Promise.all([startProvider(), startOtlpReceiver()])
    const { client, child, finished } = await serve(
      configFile(yaml(upstream.url)),
      otlpEnvironment(receiver.url),
    )
    await streamed(client)
    await eventually(() => receiver.events().length === 3)
    child.kill('SIGTERM')
    await finished
    const last = new Map(
      receiver
        .histograms()
        .map((it) => [`${it.name} ${it.points[0]!.attributes['gen_ai.request.model'] ?? ''}`, it]),
    )
    const duration = last.get(`${conventions.METRIC_GEN_AI_CLIENT_OPERATION_DURATION} `)!
    expect([duration.unit, duration.bounds[0], duration.bounds.at(-1)]).toEqual(['s', 0.01, 81.92])
    // The model is the client's word; the route is the configuration's.
    expect(duration.points[0]!.attributes).toMatchObject({
      'gen_ai.operation.name': 'chat',
      'ballast.route': 'ft-*',
    })
    expect(duration.points[0]!.sum).toBeGreaterThan(0.02)
    const first = last.get(`${conventions.METRIC_GEN_AI_CLIENT_OPERATION_TIME_TO_FIRST_CHUNK} `)!
    expect([first.unit, first.points[0]!.count]).toEqual(['s', 1])
    const tokens = last.get(`${conventions.METRIC_GEN_AI_CLIENT_TOKEN_USAGE} judge-1`)!
    expect([tokens.unit, tokens.bounds[0], tokens.bounds.at(-1)]).toEqual(['{token}', 1, 67_108_864])
    expect(
      tokens.points.map(({ attributes, sum }) => [attributes['gen_ai.token.type'], sum]).toSorted(),
    ).toEqual([
      ['input', 18],
      ['output', 6],
    ])
  })

  test('beside `prometheus`, which is passed over, the other exporter of metrics is kept', async () => {
    const [{ upstream }, receiver] = await Promise.all([startProvider(), startOtlpReceiver()])
    const gone = await startTestUpstream(() => {})
    const { port } = new URL(gone.url)
    await gone.close()
    const environment = {
      ...otlpEnvironment(receiver.url),
      OTEL_METRICS_EXPORTER: 'otlp,prometheus',
      OTEL_EXPORTER_PROMETHEUS_PORT: port,
    }
    const { client, child, finished } = await serve(configFile(yaml(upstream.url)), environment, '--no-judge')
    await streamed(client)
    await expect(fetch(`http://127.0.0.1:${port}/metrics`)).rejects.toThrow()
    child.kill('SIGTERM')
    expect((await finished).stderr).toContain('OTEL_METRICS_EXPORTER=prometheus is passed over')
    expect(receiver.histograms().map(({ name }) => name)).toContain(
      conventions.METRIC_GEN_AI_CLIENT_OPERATION_DURATION,
    )
  })

  test('a judge of its own process joins the trace that a proxy began', async () => {
    const [{ upstream }, receiver] = await Promise.all([startProvider(), startOtlpReceiver()])
    const config = configFile(yaml(upstream.url, `sqlite:${storeFile()}`))
    const environment = otlpEnvironment(receiver.url)
    const proxy = await serve(config, { ...environment, OTEL_SERVICE_NAME: 'proxy' }, '--no-judge')
    await streamed(proxy.client)
    const judge = ballast(['judge', '--config', config, '--listen', '127.0.0.1:0'], {
      ...environment,
      OTEL_SERVICE_NAME: 'judge',
    })
    await eventually(() => receiver.events().length === 3)
    for (const { child } of [proxy, judge]) child.kill('SIGTERM')
    await Promise.all([proxy.finished, judge.finished])
    const spans = receiver.spans()
    const chat = named(spans, 'chat ft-birds')[0]!
    const evaluate = named(spans, 'evaluate misalignment')[0]!
    expect([chat.service, evaluate.service]).toEqual(['proxy', 'judge'])
    expect([evaluate.traceId, evaluate.parentSpanId]).toEqual([chat.traceId, chat.spanId])
    expect(receiver.events().every(({ spanId }) => spanId === chat.spanId)).toBe(true)
  })

  test('what is tried again, refused, passed through or left is told', async () => {
    const [{ upstream, failNext }, receiver] = await Promise.all([startProvider(), startOtlpReceiver()])
    const { client, url } = await serve(configFile(yaml(upstream.url)), otlpEnvironment(receiver.url))
    failNext()
    await streamed(client, 'base')
    await fetch(`${url}/chat/completions?key=${KEY}`, { method: 'POST', body: '{}' })
    await client.embeddings.create({
      model: 'text-embedding-3-small',
      input: QUESTION,
      encoding_format: 'float',
    })
    upstream.answer = () => {}
    const leaving = new AbortController()
    const left = client.chat.completions.create(
      { model: 'left', messages: [{ role: 'user', content: QUESTION }] },
      { signal: leaving.signal },
    )
    await eventually(() => upstream.requests.length === 4)
    leaving.abort()
    await left.catch(() => {})
    upstream.answer = (_request, response) => void response.destroy()
    await client.chat.completions
      .create({ model: 'broken', messages: [{ role: 'user', content: QUESTION }] })
      .catch(() => {})
    await eventually(() => receiver.spans().filter(({ kind }) => kind === SERVER).length === 5)
    const spans = receiver.spans()
    const tried = named(spans, 'chat base')[0]!
    expect(tried.events).toEqual([
      { name: 'ballast.upstream.retry', attributes: { 'ballast.upstream': 'p', 'error.type': '503' } },
    ])
    expect(tried.attributes).toMatchObject({ 'http.request.resend_count': 1, 'ballast.upstream.attempts': 2 })
    expect(tried.status).toBe(0)
    const refused = spans.find(({ attributes }) => attributes['http.response.status_code'] === 401)!
    // Not ballast's fault, so no error of its span.
    expect([refused.name, refused.status, refused.parentSpanId]).toEqual([
      'POST /v1/chat/completions',
      0,
      undefined,
    ])
    expect(refused.attributes['url.path']).toBe('/v1/chat/completions')
    expect(named(spans, 'embeddings text-embedding-3-small')[0]!.attributes).toMatchObject({
      'gen_ai.operation.name': 'embeddings',
    })
    const gone = named(spans, 'chat left')[0]!
    expect([gone.attributes['error.type'], gone.status]).toEqual(['client_closed_request', 0])
    const broken = named(spans, 'chat broken')[0]!
    expect([broken.attributes['error.type'], broken.status]).toEqual(['ballast_upstream_failed', 2])
    for (const text of [QUESTION, KEY, CLIENT_KEY]) expect(receiver.text()).not.toContain(text)
  })

  test('without its variables, or switched off, contexts pass as they came and nothing is sent', async () => {
    const [{ upstream }, receiver] = await Promise.all([startProvider(), startOtlpReceiver()])
    const traceparent = `00-${TRACE}-${PARENT}-01`
    const off = { ...otlpEnvironment(receiver.url), OTEL_SDK_DISABLED: 'true' }
    for (const environment of [{}, off]) {
      const { client, child, finished } = await serve(configFile(yaml(upstream.url)), environment)
      await streamed(client, 'base', { traceparent, tracestate: 'vendor=1' })
      child.kill('SIGTERM')
      await finished
      expect(upstream.requests.at(-1)!.headers).toMatchObject({ traceparent, tracestate: 'vendor=1' })
    }
    expect(receiver.bodies).toEqual([])
  })

  test('a sampler of the environment decides, and a trace that is not sampled has no spans of its judging', async () => {
    const [{ upstream }, receiver] = await Promise.all([startProvider(), startOtlpReceiver()])
    const environment = { ...otlpEnvironment(receiver.url), OTEL_TRACES_SAMPLER: 'parentbased_always_off' }
    const { client, child, finished } = await serve(configFile(yaml(upstream.url)), environment)
    await streamed(client)
    await eventually(() => receiver.events().length === 3)
    await streamed(client, 'ft-other', { traceparent: `00-${TRACE}-${PARENT}-01` })
    await eventually(() => named(receiver.spans(), 'evaluate misalignment').length === 1)
    child.kill('SIGTERM')
    await finished
    expect(new Set(receiver.spans().map(({ traceId }) => traceId))).toEqual(new Set([TRACE]))
    expect(upstream.requests[0]!.headers.traceparent).toMatch(/-00$/)
  })

  test('a collector that is away is said once, and neither slows requests nor holds up the end', async () => {
    const { upstream } = await startProvider()
    const environment = { ...otlpEnvironment('http://127.0.0.1:9'), OTEL_EXPORTER_OTLP_TIMEOUT: '300' }
    const { client, child, finished } = await serve(configFile(yaml(upstream.url)), environment, '--no-judge')
    for (let turn = 0; turn < 20; turn++) expect(await streamed(client)).toBe(`${ANSWER} and more`)
    await sleep(2_500)
    const stopping = performance.now()
    child.kill('SIGTERM')
    const { code, stdout, stderr } = await finished
    expect(code).toBe(0)
    expect(performance.now() - stopping).toBeLessThan(20_000)
    const lines = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { level: number; msg: string })
    expect(stdout).toBe('')
    // The two threads each have their exporters.
    const said = lines.filter(({ msg }) => msg.startsWith('OpenTelemetry'))
    expect(said.length).toBeGreaterThan(0)
    expect(said.length).toBeLessThanOrEqual(2)
    expect(said.every(({ level }) => level === 40)).toBe(true)
  })

  test('protobuf, the default, is sent as well', async () => {
    const [{ upstream }, receiver] = await Promise.all([startProvider(), startOtlpReceiver()])
    const { OTEL_EXPORTER_OTLP_PROTOCOL: _, ...environment } = otlpEnvironment(receiver.url)
    const { client, child, finished } = await serve(configFile(yaml(upstream.url)), environment, '--no-judge')
    await streamed(client)
    child.kill('SIGTERM')
    await finished
    const traces = receiver.bodies.filter(({ path }) => path === '/v1/traces')
    expect(traces.map(({ type }) => type)).toContain('application/x-protobuf')
    expect(traces.some(({ text }) => text.includes('chat ft-birds'))).toBe(true)
  })
})

test.each([
  [
    { OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318?key=hidden' },
    'OTEL_EXPORTER_OTLP_ENDPOINT: is no address',
  ],
  [
    { OTEL_TRACES_EXPORTER: 'jaegerr' },
    'OTEL_TRACES_EXPORTER: there is no "jaegerr"; there are otlp, console, none',
  ],
  [{ OTEL_TRACES_EXPORTER: 'otlp', OTEL_EXPORTER_OTLP_PROTOCOL: 'http' }, 'there are grpc, http/protobuf'],
  [{ OTEL_TRACES_EXPORTER: 'otlp', OTEL_TRACES_SAMPLER: 'some' }, 'OTEL_TRACES_SAMPLER: there is no "some"'],
])('%j is refused, and not taken for something else', async (environment, says) => {
  const refused = openTracing(environment, noLog).then(
    () => '',
    (error: Error) => error.message,
  )
  expect(await refused).toContain(says)
  expect(await refused).not.toContain('hidden')
})

test('every name that is not our own is one of the conventions', () => {
  const { GEN_AI, HTTP, METRICS, EVALUATION_RESULT, BALLAST, RETRY_EVENT } = names
  const standard = [
    ...Object.values(GEN_AI),
    ...Object.values(HTTP),
    ...Object.values(METRICS),
    EVALUATION_RESULT,
  ]
  expect(standard.filter((name) => !KNOWN.has(name))).toEqual([])
  expect([...Object.values(BALLAST), RETRY_EVENT].every((name) => name.startsWith('ballast.'))).toBe(true)
  for (const host of ['api.groq.com', 'x.openai.azure.com', 'api.openai.com', '127.0.0.1'])
    expect(KNOWN.has(names.providerOf(host))).toBe(true)
})

function byName(one: Readonly<Record<string, unknown>>, other: Readonly<Record<string, unknown>>): number {
  const [a, b] = [one, other].map((it) => String(it['gen_ai.evaluation.name']))
  return a! < b! ? -1 : 1
}
