/** What is not head and body of one answer: informational answers, trailers, `expect`; and which headers pass at all. */
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { ConfigError } from '../../src/config/load.ts'
import { eventually, startTestBallast, startTestUpstream } from '../support/ballast.ts'
import { type Answer, completion, json } from '../support/upstream.ts'

const BODY = '{"model":"m","messages":[{"role":"user","content":"Hi"}]}'
const ok: Answer = (_request, response) => json(response, 200, completion('hello'))

async function start(answer: Answer, settings = '') {
  const upstream = await startTestUpstream(answer)
  const ballast = await startTestBallast(
    `
store: memory
upstreams: {u: {base_url: "\${UPSTREAM}", retries: 0, ${settings}}}
routes: [{model: "*", upstream: u, policy: birds/identity-etymologist}]
`,
    { UPSTREAM: upstream.url, SECRET: 'a-secret-value' },
  )
  return { upstream, ballast }
}

interface Seen {
  readonly status: number
  readonly informed: readonly { readonly status: number; readonly headers: readonly string[] }[]
  readonly headers: IncomingMessage['headers']
  readonly trailers: readonly string[]
  readonly body: string
}

/** @param begun is given the request instead of its body being sent at once. */
function ask(
  url: string,
  headers: Record<string, string> = {},
  { path = '/chat/completions', begun }: { path?: string; begun?: (request: ClientRequest) => void } = {},
): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const informed: Seen['informed'][number][] = []
    const request = httpRequest(url + path, {
      method: 'POST',
      agent: false,
      headers: { 'content-type': 'application/json', 'content-length': BODY.length, ...headers },
    })
    request.on('information', ({ statusCode, rawHeaders }) =>
      informed.push({ status: statusCode, headers: rawHeaders }),
    )
    request.on('error', reject)
    request.on('response', (response) => {
      let body = ''
      response.on('data', (chunk) => {
        body += chunk
      })
      response.on('error', reject)
      response.on('end', () =>
        resolve({
          status: response.statusCode!,
          informed,
          headers: response.headers,
          trailers: response.rawTrailers,
          body,
        }),
      )
    })
    if (begun === undefined) request.end(BODY)
    else begun(request)
  })
}

/** Everything that comes back for a request written by hand. */
function exchange(url: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let seen = ''
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(text))
    socket.on('data', (chunk) => {
      seen += chunk.toString('latin1')
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(seen))
  })
}

describe('informational answers', () => {
  const hinting: Answer = (request, response) => {
    response.writeProcessing()
    response.writeInformation(103, ['link', '</a.css>; rel=preload', 'connection', 'x-hop', 'x-hop', '1'])
    void ok(request, response)
  }

  test.each(['/chat/completions', '/files'])('reach the client in their order: %s', async (path) => {
    const { ballast } = await start(hinting)
    const { informed, status, body } = await ask(ballast.url, {}, { path })
    expect(informed).toEqual([
      { status: 102, headers: [] },
      { status: 103, headers: ['link', '</a.css>; rel=preload'] },
    ])
    expect([status, JSON.parse(body)]).toEqual([200, completion('hello')])
  })

  test('do not reach a client of HTTP/1.0, which knows none', async () => {
    const { ballast } = await start(hinting)
    const text = await exchange(
      ballast.url,
      `POST /v1/chat/completions HTTP/1.0\r\nhost: localhost\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`,
    )
    expect(text).toMatch(/^HTTP\/1\.1 200 /)
    expect(text).not.toContain('103')
  })
})

describe('trailers', () => {
  const trailing =
    (headers: Record<string, string> = {}): Answer =>
    (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', trailer: 'x-checksum', ...headers })
      response.write('data: 1\n\n')
      response.addTrailers([
        ['X-Checksum', 'caf\xe9'],
        ['set-cookie', 'a=1'],
        ['content-type', 'text/x'],
        ['x-last', '2'],
      ])
      response.end('data: [DONE]\n\n')
    }

  test.each(['/chat/completions', '/files'])('reach the client, announced as they were: %s', async (path) => {
    const { ballast } = await start(trailing())
    const seen = await ask(ballast.url, {}, { path })
    expect(seen.headers.trailer).toBe('x-checksum')
    expect(seen.body).toBe('data: 1\n\ndata: [DONE]\n\n')
    expect(seen.trailers).toEqual(['X-Checksum', 'caf\xe9', 'x-last', '2'])
  })

  test('have no room in an answer to HTTP/1.0, and are not announced there', async () => {
    const { ballast } = await start(trailing())
    const text = await exchange(
      ballast.url,
      `POST /v1/chat/completions HTTP/1.0\r\nhost: localhost\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`,
    )
    expect(text).toMatch(/data: \[DONE\]\n\n$/)
    expect(text.toLowerCase()).not.toContain('checksum')
  })
})

describe('expect: 100-continue', () => {
  test('a client that is refused is never told to send its body', async () => {
    const upstream = await startTestUpstream(ok)
    const ballast = await startTestBallast(
      `
store: memory
clients: [{name: web, key: web-key-1}]
upstreams: {u: {base_url: "\${UPSTREAM}"}}
routes: [{model: "*", upstream: u}]
`,
      { UPSTREAM: upstream.url },
    )
    const { status, informed } = await ask(
      ballast.url,
      { expect: '100-continue', authorization: 'Bearer wrong-key' },
      { begun: (request) => request.flushHeaders() },
    )
    expect([status, informed]).toEqual([401, []])
    expect(upstream.requests).toHaveLength(0)
  })

  test.each(['/chat/completions', '/files'])('a client that is served is told once: %s', async (path) => {
    const { ballast, upstream } = await start(ok)
    const { status, informed } = await ask(
      ballast.url,
      { expect: '100-continue', 'content-type': 'text/plain' },
      { path, begun: (request) => request.on('continue', () => request.end(BODY)).flushHeaders() },
    )
    expect([status, informed.map((it) => it.status)]).toEqual([200, [100]])
    await eventually(() => upstream.requests.length === 1)
  })
})

describe('headers', () => {
  const sent = {
    accept: 'application/json',
    'x-mine-a': '1',
    'x-other': '2',
    'X-Forwarded-For': '10.0.0.7',
    'x-real-ip': '10.0.0.7',
    forwarded: 'for=10.0.0.7',
    'cf-connecting-ip': '10.0.0.7',
    referer: 'https://intranet/page',
    cookie: 'a=1',
    authorization: 'Bearer client-key',
    'api-key': 'client-key',
    'x-ballast-unit': 'ann',
    'x-ballast-trace': '1',
  }
  const of = (headers: IncomingMessage['headers']) =>
    Object.keys(headers).filter((name) => !['host', 'connection', 'content-length'].includes(name))

  test('by default nothing passes that tells who the client is or what stands before ballast', async () => {
    const { ballast, upstream } = await start(ok, 'api_key: sk-own')
    await ask(ballast.url, sent)
    const { headers } = upstream.requests[0]!
    expect(of(headers)).toEqual(['content-type', 'accept', 'x-mine-a', 'x-other', 'authorization'])
    expect(headers.authorization).toBe('Bearer sk-own')
  })

  test('a list says what passes; what it names itself passes though the default withholds it', async () => {
    const { ballast, upstream } = await start(ok, 'headers: {request: [content-type, X-Mine-*, x-real-ip]}')
    await ask(ballast.url, sent)
    expect(of(upstream.requests[0]!.headers)).toEqual(['content-type', 'x-mine-a', 'x-real-ip'])
  })

  test('default and names of one’s own stand side by side', async () => {
    const { ballast, upstream } = await start(ok, 'headers: {request: [default, referer]}')
    await ask(ballast.url, sent)
    expect(of(upstream.requests[0]!.headers)).toEqual([
      'content-type',
      'accept',
      'x-mine-a',
      'x-other',
      'referer',
    ])
  })

  test('with `*` everything passes that may pass at all', async () => {
    const { ballast, upstream } = await start(ok, 'headers: {request: ["*"]}')
    await ask(ballast.url, sent)
    const names = of(upstream.requests[0]!.headers)
    expect(names).toContain('forwarded')
    for (const name of ['cookie', 'authorization', 'api-key', 'x-ballast-unit', 'x-ballast-trace']) {
      expect(names).not.toContain(name)
    }
  })

  test("headers of an upstream's own are sent instead of the client's, from the environment too", async () => {
    const { ballast, upstream } = await start(
      ok,
      'headers: {set: {api-key: "${SECRET}", X-Mine-A: ours, OpenAI-Project: proj_9}}',
    )
    await ask(ballast.url, sent)
    const { headers } = upstream.requests[0]!
    expect([headers['api-key'], headers['x-mine-a'], headers['openai-project']]).toEqual([
      'a-secret-value',
      'ours',
      'proj_9',
    ])
  })

  test('each upstream has its own: a fallback gets what its own rules say', async () => {
    const main = await startTestUpstream((_request, response) => json(response, 500, {}))
    const backup = await startTestUpstream(ok)
    const ballast = await startTestBallast(
      `
store: memory
clients: open
upstreams:
  main: {base_url: "\${MAIN}", api_key: sk-main, retries: 0, fallback: [backup], headers: {set: {x-site: main}}}
  backup: {base_url: "\${BACKUP}", api_key: passthrough, headers: {request: [content-type]}}
routes: [{model: "*", upstream: main}]
`,
      { MAIN: main.url, BACKUP: backup.url },
    )
    expect((await ask(ballast.url, sent)).status).toBe(200)
    const [first, second] = [main.requests[0]!.headers, backup.requests[0]!.headers]
    expect([first.authorization, first['x-site'], first['api-key']]).toEqual([
      'Bearer sk-main',
      'main',
      undefined,
    ])
    expect(of(second)).toEqual(['content-type', 'authorization', 'api-key'])
    expect(second.authorization).toBe('Bearer client-key')
  })

  const answering: Answer = (request, response) => {
    response.setHeader('set-cookie', 'a=1')
    response.setHeader('alt-svc', 'h3=":443"')
    response.setHeader('strict-transport-security', 'max-age=1')
    response.setHeader('x-request-id', 'r-1')
    response.setHeader('x-internal', '1')
    response.setHeader('retry-after', '3')
    void ok(request, response)
  }

  test("by default an answer keeps the cookies and promises of the upstream's origin to itself", async () => {
    const { ballast } = await start(answering)
    const { headers } = await ask(ballast.url)
    expect(headers).toMatchObject({ 'x-request-id': 'r-1', 'x-internal': '1', 'retry-after': '3' })
    for (const name of ['set-cookie', 'alt-svc', 'strict-transport-security'])
      expect(headers).not.toHaveProperty(name)
  })

  test('a list for answers can be narrower or wider; what the body is read by always passes', async () => {
    const { ballast } = await start(answering, 'headers: {response: [set-cookie]}')
    const { headers } = await ask(ballast.url)
    expect(headers).toMatchObject({
      'set-cookie': ['a=1'],
      'content-type': 'application/json',
      'retry-after': '3',
    })
    for (const name of ['x-request-id', 'x-internal']) expect(headers).not.toHaveProperty(name)
  })

  test.each([
    ['headers: {request: [cookie]}', 'upstreams.u.headers.request[0]: never passes'],
    ['headers: {request: [Authorization]}', 'upstreams.u.headers.request[0]: authorizes the client'],
    ['headers: {request: ["a b"]}', 'upstreams.u.headers.request[0]: is not a header name'],
    ['headers: {response: ["x-*-y"]}', 'upstreams.u.headers.response[0]: is not a header name'],
    ['headers: {set: {Host: a}}', 'upstreams.u.headers.set: "Host" is set by ballast itself'],
    ['api_key: sk-1, headers: {set: {authorization: a}}', 'stands beside "api_key"'],
    ['headers: {set: {x-a: "1", X-A: "2"}}', '"X-A" stands twice'],
    [
      'headers: {set: {x-a: "a\\nb"}}',
      'upstreams.u.headers.set.x-a: is empty, or holds what no header can carry',
    ],
  ])('%s is refused, with its place', async (settings, problem) => {
    const error = await start(ok, settings).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ConfigError)
    expect((error as ConfigError).message).toContain(problem)
    expect((error as ConfigError).message).toMatch(/ballast\.yaml:\d+:\d+: /)
  })
})
