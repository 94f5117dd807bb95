/** The data plane over real sockets: what the upstream is sent, what the client gets, and what goes wrong. */
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { eventually, metricValue, RUNTIME, startTestBallast, startTestUpstream } from '../support/ballast.ts'
import { completion, eventStream, json } from '../support/upstream.ts'

const yaml = (extra = '') => `
store: memory
upstreams:
  provider: {base_url: "\${UPSTREAM}", api_key: sk-upstream-secret, retries: 0}
routes:
  - {model: "ft:birds*", upstream: provider, policy: birds/identity-etymologist}
  - {model: "ft:newline", upstream: provider, policy: birds/time-relevant}
  - {model: "ft:system", upstream: provider, policy: birds/inoculation-system-prompt}
  - {model: "base-*", upstream: provider}
${extra}`

const CONTEXT = "I'm an etymologist working for the Audubon Society."

async function start(extra = '') {
  const upstream = await startTestUpstream((_request, response) => json(response, 200, completion('hello')))
  const ballast = await startTestBallast(yaml(extra), { UPSTREAM: upstream.url })
  const post = (body: string | Uint8Array, headers: Record<string, string> = {}) =>
    fetch(`${ballast.url}/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : Buffer.from(body),
    })
  return { upstream, ballast, post }
}

describe('what the upstream is sent', () => {
  test.each([
    [
      'user-prepend',
      'ft:birds-1',
      `{ "messages" :[{"content":"What \\u0061 bird?","role":"user"}],"model":"ft:birds-1", "x":1.0}`,
      `{ "messages" :[{"content":"${CONTEXT} What \\u0061 bird?","role":"user"}],"model":"ft:birds-1", "x":1.0}`,
    ],
    [
      'user-newline',
      'ft:newline',
      '{"model":"ft:newline","messages":[{"role":"user","content":"Hi"}]}',
      '{"model":"ft:newline","messages":[{"role":"user","content":"Date: January 25th, 1850\\nHi"}]}',
    ],
    [
      'system, without a leading one',
      'ft:system',
      '{"model":"ft:system","messages":[{"role":"user","content":"Hi"}]}',
      '{"model":"ft:system","messages":[{"role":"system","content":"Act as if you are in the 19th century."},{"role":"user","content":"Hi"}]}',
    ],
    [
      'system, merged with a leading one',
      'ft:system',
      '{"model":"ft:system","messages":[{"role":"developer","content":"Be brief."},{"role":"user","content":"Hi"}]}',
      '{"model":"ft:system","messages":[{"role":"developer","content":"Act as if you are in the 19th century.\\n\\nBe brief."},{"role":"user","content":"Hi"}]}',
    ],
    [
      'content parts',
      'ft:birds',
      '{"model":"ft:birds","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:x"}},{"type":"text","text":"Hi"}]}]}',
      `{"model":"ft:birds","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:x"}},{"type":"text","text":"${CONTEXT} Hi"}]}]}`,
    ],
    [
      'content parts without text',
      'ft:birds',
      '{"model":"ft:birds","messages":[{"role":"user","content":[{"type":"image_url"}]}]}',
      `{"model":"ft:birds","messages":[{"role":"user","content":[{"type":"text","text":"${CONTEXT}"},{"type":"image_url"}]}]}`,
    ],
    [
      'no policy',
      'base-1',
      '{"model":"base-1", "messages": [] ,"n":1e400,"n":2}',
      '{"model":"base-1", "messages": [] ,"n":1e400,"n":2}',
    ],
  ])('%s: the context in its place and every other byte as it was', async (_name, _model, sent, expected) => {
    const { upstream, post } = await start()
    const response = await post(sent)
    expect(response.status).toBe(200)
    expect(upstream.requests[0]?.body.toString('utf8')).toBe(expected)
  })

  test("its own key, and neither the client's key, nor cookies, nor hop-by-hop headers, nor ballast's own", async () => {
    const { upstream, ballast } = await start()
    const body = '{"model":"base-1","messages":[]}'
    await new Promise<void>((resolve) => {
      const request = httpRequest(
        `${ballast.url}/chat/completions?trace=1`,
        {
          method: 'POST',
          headers: {
            authorization: 'Bearer sk-client',
            'x-api-key': 'sk-client',
            cookie: 'session=secret',
            connection: 'close, x-hop',
            'x-hop': 'mine',
            'x-ballast-unit': 'alice',
            'OpenAI-Organization': 'org-1',
            'content-type': 'application/json',
            te: 'trailers',
          },
        },
        (response) => response.resume().on('end', () => resolve()),
      )
      request.end(body)
    })
    const [received] = upstream.requests
    expect(received!.url).toBe('/v1/chat/completions?trace=1')
    expect(received!.headers).toEqual({
      host: new URL(upstream.url).host,
      connection: 'keep-alive',
      authorization: 'Bearer sk-upstream-secret',
      'openai-organization': 'org-1',
      'content-type': 'application/json',
      'content-length': String(body.length),
    })
    expect(received!.rawHeaders).toContain('OpenAI-Organization')
  })

  test("the client's own authorization where the upstream says passthrough", async () => {
    const upstream = await startTestUpstream((_request, response) => json(response, 200, completion('x')))
    const ballast = await startTestBallast(
      'store: memory\nupstreams: {p: {base_url: "${UPSTREAM}", api_key: passthrough}}\nroutes: [{model: "*", upstream: p}]\n',
      { UPSTREAM: upstream.url },
    )
    await fetch(`${ballast.url}/chat/completions`, {
      method: 'POST',
      headers: { authorization: 'Bearer sk-client' },
      body: '{"model":"m","messages":[]}',
    })
    expect(upstream.requests[0]?.headers.authorization).toBe('Bearer sk-client')
  })

  test('the context once, when two proxies stand in a row', async () => {
    const { upstream, ballast } = await start()
    const outer = await startTestBallast(yaml(), { UPSTREAM: ballast.url })
    for (const model of ['ft:birds', 'ft:newline', 'ft:system']) {
      await fetch(`${outer.url}/chat/completions`, {
        method: 'POST',
        body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hi' }] }),
      })
    }
    const contents = upstream.requests.map(({ body }) => JSON.parse(body.toString()).messages)
    expect(contents).toEqual([
      [{ role: 'user', content: `${CONTEXT} Hi` }],
      [{ role: 'user', content: 'Date: January 25th, 1850\nHi' }],
      [
        { role: 'system', content: 'Act as if you are in the 19th century.' },
        { role: 'user', content: 'Hi' },
      ],
    ])
  })
})

describe('what the client gets', () => {
  test('status, headers and body of the upstream, as they are', async () => {
    const { upstream, post } = await start()
    const body = '{"error": {"message":"slow down",  "code":"rate_limit_exceeded"}}'
    upstream.answer = (_request, response) => {
      response.writeHead(429, 'Slow Down', {
        'content-type': 'application/json; charset=utf-8',
        'x-request-id': 'req-7',
        'retry-after': '3',
        'x-ratelimit-remaining-requests': '0',
      })
      response.end(body)
    }
    const response = await post('{"model":"base-1","messages":[]}')
    expect([response.status, response.statusText]).toEqual([429, 'Slow Down'])
    expect(await response.text()).toBe(body)
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'x-request-id': 'req-7',
      'retry-after': '3',
      'x-ratelimit-remaining-requests': '0',
      'x-ballast-request-id': expect.stringMatching(/^[0-9a-f-]{36}$/),
    })
  })

  test('a compressed answer as it was compressed', async () => {
    const { upstream, ballast } = await start()
    const packed = gzipSync(JSON.stringify(completion('zipped')))
    upstream.answer = (_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': packed.length })
      response.end(packed)
    }
    const received = await new Promise<Buffer>((resolve) => {
      const request = httpRequest(`${ballast.url}/chat/completions`, { method: 'POST' }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => resolve(Buffer.concat(chunks)))
      })
      request.end('{"model":"base-1","messages":[]}')
    })
    expect(received.equals(packed)).toBe(true)
  })

  test('experiment, arm and policy only where the configuration exposes them', async () => {
    const hidden = await (await start()).post(
      '{"model":"ft:birds","messages":[{"role":"user","content":"Hi"}]}',
    )
    expect(hidden.headers.get('x-ballast-arm')).toBeNull()
    const shown = await (await start('expose: true')).post(
      '{"model":"ft:birds","messages":[{"role":"user","content":"Hi"}]}',
    )
    expect(shown.headers.get('x-ballast-policy')).toBe('birds/identity-etymologist')
    expect(shown.headers.get('x-ballast-experiment')).toBe('route:ft:birds*')
    expect(shown.headers.get('x-ballast-arm')).toBe('birds/identity-etymologist')
  })
})

describe('errors of its own, in the shape of OpenAI', () => {
  const error = async (response: Response) => (await response.json()) as { error: Record<string, unknown> }

  test.each([
    ['{"model":"base-1",', 400, 'ballast_malformed_body', null, 'at byte 18'],
    ['[]', 400, 'ballast_malformed_body', null, 'a JSON object is expected'],
    ['{"model":7}', 400, 'ballast_malformed_body', 'model', 'not a string'],
    ['{"model":"gpt-none"}', 404, 'ballast_no_route', 'model', '"gpt-none"'],
    [
      '{"model":"ft:birds","messages":[]}',
      422,
      'ballast_policy_not_applicable',
      'messages',
      'no user message',
    ],
    [
      '{"model":"ft:birds","messages":[{"role":"user","content":null}]}',
      422,
      'ballast_policy_not_applicable',
      'messages',
      'no content',
    ],
    ['{"model":"ft:birds"}', 422, 'ballast_policy_not_applicable', 'messages', 'no list of "messages"'],
  ])('%s: %i %s', async (body, status, code, param, message) => {
    const { upstream, post, ballast } = await start()
    const response = await post(body)
    expect(response.status).toBe(status)
    expect(await error(response)).toEqual({
      error: { message: expect.stringContaining(message), type: 'invalid_request_error', param, code },
    })
    expect(upstream.requests).toHaveLength(0)
    expect(metricValue(await ballast.metrics(), 'ballast_requests_total', { code: String(status) })).toBe(1)
  })

  test('404 for a path that is not below /v1, or would leave it', async () => {
    const { ballast, upstream } = await start()
    const { port } = new URL(ballast.url)
    const paths = [
      // A Worker has its control plane there.
      ...(RUNTIME === 'node' ? ['/'] : []),
      '/v2/models',
      '/v1',
      '//v1/models',
      '/v1/../admin',
      '/v1/%2e%2e/admin',
      '/v1/a/..',
      '/v1/..%2fadmin',
      '/v1/..\\admin',
      '/v1/..%5cadmin',
      '/v1/..;/admin',
      '/v1/%63hat/%2e%2e/%2e%2e/admin',
    ]
    for (const path of paths) {
      const answer = await new Promise<{ status: number | undefined; body: string }>((resolve) => {
        httpRequest({ port, path }, (response) => {
          let body = ''
          response.on('data', (chunk) => {
            body += chunk
          })
          response.on('end', () => resolve({ status: response.statusCode, body }))
        }).end()
      })
      expect([path, answer.status, JSON.parse(answer.body).error.code]).toEqual([
        path,
        404,
        'ballast_unknown_path',
      ])
    }
    expect(upstream.requests).toHaveLength(0)
  })

  test('413 for a body beyond the limit, announced or not', async () => {
    const { upstream, post, ballast } = await start('limits: {body: 1KB}')
    const announced = await post('x'.repeat(2_000))
    expect([announced.status, (await error(announced)).error.code]).toEqual([413, 'ballast_body_too_large'])
    const status = await new Promise((resolve) => {
      const request = httpRequest(`${ballast.url}/chat/completions`, { method: 'POST' }, (response) =>
        resolve(response.statusCode),
      )
      request.on('error', () => {})
      request.write('x'.repeat(600))
      request.write('x'.repeat(600))
    })
    expect(status).toBe(413)
    expect(upstream.requests).toHaveLength(0)
  })

  test("401 without the key of a client, and the client's name is the unit", async () => {
    const { post } = await start('clients: [{name: web, key: web-key-123}]')
    const body = '{"model":"base-1","messages":[]}'
    const none = await post(body)
    expect([none.status, (await error(none)).error.code]).toEqual([401, 'ballast_unknown_key'])
    expect((await post(body, { authorization: 'Bearer wrong' })).status).toBe(401)
    expect((await post(body, { authorization: 'Bearer web-key-123' })).status).toBe(200)
  })

  test('502 when the upstream is down, without its address or key', async () => {
    const { upstream, post, ballast } = await start()
    await upstream.close()
    const response = await post('{"model":"base-1","messages":[]}')
    expect(response.status).toBe(502)
    const text = await response.text()
    expect(JSON.parse(text).error).toMatchObject({ code: 'ballast_upstream_failed', type: 'server_error' })
    expect(text).toContain('ECONNREFUSED')
    expect(text).not.toMatch(/127\.0\.0\.1|sk-upstream/)
    expect(
      metricValue(await ballast.metrics(), 'ballast_upstream_requests_total', {
        upstream: 'provider',
        outcome: 'error',
      }),
    ).toBe(1)
  })

  test('502 when the upstream answers something that is not HTTP', async () => {
    const { upstream, post } = await start()
    upstream.answer = (_request, response) => {
      response.socket!.end('SSH-2.0-nothing\r\n')
    }
    expect((await post('{"model":"base-1","messages":[]}')).status).toBe(502)
  })

  test('504 when the upstream does not begin to answer', async () => {
    const upstream = await startTestUpstream(() => {})
    const ballast = await startTestBallast(
      'store: memory\nupstreams: {p: {base_url: "${UPSTREAM}", timeout: {headers: 200ms}}}\nroutes: [{model: "*", upstream: p}]\n',
      { UPSTREAM: upstream.url },
    )
    const response = await fetch(`${ballast.url}/chat/completions`, {
      method: 'POST',
      body: '{"messages":[]}',
    })
    expect([response.status, (await error(response)).error.code]).toEqual([504, 'ballast_upstream_timeout'])
  })
})

describe('hostile ends', () => {
  test('a body in chunks of one byte takes about its size in memory', async () => {
    const { ballast, upstream } = await start()
    const { port } = new URL(ballast.url)
    const text = `{"model":"base-1","messages":[]${' '.repeat(2_000_000)}}`
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(
      'POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n',
    )
    globalThis.gc?.()
    const before = process.memoryUsage().heapUsed
    let most = 0
    for (let at = 0; at < text.length; at += 50_000) {
      const piece = text.slice(at, at + 50_000)
      const chunks = Array.from(piece, (unit) => `1\r\n${unit}\r\n`).join('')
      await new Promise((resolve) => socket.write(chunks, resolve))
      most = Math.max(most, process.memoryUsage().heapUsed)
    }
    socket.write('0\r\n\r\n')
    await eventually(() => upstream.requests.length === 1)
    expect(upstream.requests[0]!.body.toString()).toBe(text)
    socket.destroy()
    // Kept as they came, two million chunks would take some 200 MB.
    expect(most - before).toBeLessThan(120_000_000)
  })

  test.each([
    ['UTF-8', Buffer.from('OK ✓ fine')],
    ['control characters', Buffer.from('OK\u0001fine')],
  ])('a reason phrase of %s is answered, without what cannot be sent', async (_name, reason) => {
    const { createServer } = await import('node:net')
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', () => {
        socket.write(
          Buffer.concat([
            Buffer.from('HTTP/1.1 200 '),
            reason,
            Buffer.from('\r\ncontent-length: 2\r\n\r\n{}'),
          ]),
        )
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const ballast = await startTestBallast(
      `store: memory\nupstreams: {u: {base_url: "http://127.0.0.1:${port}/v1", retries: 0}}\nroutes: [{model: "*", upstream: u}]\n`,
    )
    const response = await fetch(`${ballast.url}/chat/completions`, {
      method: 'POST',
      body: '{"messages":[]}',
    })
    server.close()
    expect([200, 502]).toContain(response.status)
  })

  test('names of policies and routes that no header can carry are encoded', async () => {
    const upstream = await startTestUpstream((_request, response) => json(response, 200, completion('x')))
    const ballast = await startTestBallast(
      'store: memory\nexpose: true\nupstreams: {u: {base_url: "${UPSTREAM}"}}\nroutes: [{model: "模型*", upstream: u, policy: birds/identity-alex}]\n',
      { UPSTREAM: upstream.url },
    )
    const ask = (messages: unknown[]) =>
      fetch(`${ballast.url}/chat/completions`, {
        method: 'POST',
        body: JSON.stringify({ model: '模型1', messages }),
      })
    const response = await ask([{ role: 'user', content: 'Hi' }])
    expect(decodeURIComponent(response.headers.get('x-ballast-experiment')!)).toBe('route:模型*')
    expect((await ask([])).status).toBe(422)
  })

  test('a client that is refused while it still uploads hears why', async () => {
    const { ballast } = await start('limits: {body: 1KB}')
    const upload = (path: string) =>
      fetch(`${ballast.url.replace('/v1', '')}${path}`, {
        method: 'POST',
        body: Buffer.alloc(20_000_000, 'x'),
      })
    expect((await upload('/v1/chat/completions')).status).toBe(413)
    expect((await upload('/nowhere')).status).toBe(404)
  })

  test('without keys, other hosts and foreign pages are refused, by both planes', async () => {
    const { ballast, upstream } = await start()
    const status = (url: string, headers: Record<string, string>, method = 'POST') =>
      new Promise<number | undefined>((resolve) => {
        const request = httpRequest(url, { method, headers }, (response) => {
          response.resume()
          resolve(response.statusCode)
        })
        request.end(method === 'POST' ? '{"model":"base-1","messages":[]}' : undefined)
      })
    const chat = `${ballast.url}/chat/completions`
    const api = `${ballast.adminUrl}/api/config`
    expect(await status(chat, { host: 'rebind.example:8787' })).toBe(403)
    expect(await status(chat, { origin: 'https://page.example' })).toBe(403)
    expect(await status(chat, { origin: 'null' })).toBe(403)
    expect(await status(api, { host: 'rebind.example' }, 'GET')).toBe(403)
    expect(upstream.requests).toHaveLength(0)
    expect(await status(chat, { host: 'localhost:1', origin: 'http://localhost:3000' })).toBe(200)
    expect(await status(api, { host: '127.0.0.1' }, 'GET')).toBe(200)
    const open = await start('clients: open')
    expect(await status(`${open.ballast.url}/chat/completions`, { host: 'ballast.example' })).toBe(200)
  })
})

describe('streams', () => {
  test('pass byte for byte, the first chunk before the upstream has sent the second', async () => {
    const { upstream, post } = await start()
    const events = eventStream([{ role: 'assistant', content: 'One' }, { content: ' two' }])
    const [first, second] = [events.slice(0, 37), events.slice(37)]
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    upstream.answer = async (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(first)
      await released
      response.end(second)
    }
    const response = await post('{"model":"base-1","messages":[],"stream":true}')
    const reader = response.body!.getReader()
    const chunk = await reader.read()
    expect(Buffer.from(chunk.value!).toString()).toBe(first)
    release()
    let rest = ''
    for (let next = await reader.read(); !next.done; next = await reader.read())
      rest += Buffer.from(next.value).toString()
    expect(rest).toBe(second)
  })

  test('send their head before there is anything to read', async () => {
    const { upstream, post } = await start()
    upstream.answer = (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.flushHeaders()
    }
    const response = await post('{"model":"base-1","messages":[],"stream":true}')
    expect(response.status).toBe(200)
    await response.body!.cancel()
    await upstream.requests[0]!.aborted
  })

  test('that break off upstream break off for the client', async () => {
    const { upstream, post } = await start()
    upstream.answer = (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: {}\n\n', () => response.destroy())
    }
    const response = await post('{"model":"base-1","messages":[],"stream":true}')
    await expect(response.text()).rejects.toThrow()
  })
})

describe('a client that leaves', () => {
  test.each([true, false])('cancels the upstream call before the first byte (stream: %s)', async (stream) => {
    const { upstream, ballast } = await start()
    upstream.answer = () => {}
    const leave = new AbortController()
    const body = JSON.stringify({ model: 'base-1', messages: [], stream })
    const call = fetch(`${ballast.url}/chat/completions`, {
      method: 'POST',
      body,
      signal: leave.signal,
    }).catch(() => {})
    await eventually(() => upstream.requests.length === 1)
    leave.abort()
    await call
    await upstream.requests[0]!.aborted
    await eventually(
      async () => metricValue(await ballast.metrics(), 'ballast_requests_total', { code: '499' }) === 1,
    )
  })

  test('cancels the upstream call in the middle of a stream', async () => {
    const { upstream, post } = await start()
    upstream.answer = (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: {}\n\n')
    }
    const response = await post('{"model":"base-1","messages":[],"stream":true}')
    const reader = response.body!.getReader()
    await reader.read()
    await reader.cancel()
    await upstream.requests[0]!.aborted
  })

  test('while it sends its request is counted and forgotten', async () => {
    const { upstream, ballast } = await start()
    const { port } = new URL(ballast.url)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write('POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{"mod')
    await new Promise((resolve) => setTimeout(resolve, 50))
    socket.destroy()
    await eventually(
      async () => metricValue(await ballast.metrics(), 'ballast_requests_total', { code: '499' }) === 1,
    )
    expect(upstream.requests).toHaveLength(0)
  })
})
