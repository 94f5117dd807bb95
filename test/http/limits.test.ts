/** What one ballast takes on, and how it says no. */
import { connect, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  eventually,
  metricValue,
  type RunningBallast,
  startTestBallast,
  startTestUpstream,
} from '../support/ballast.ts'
import { completion, json } from '../support/upstream.ts'

const BODY = '{"model":"m","messages":[]}'

async function start(settings: string) {
  let release = () => {}
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const upstream = await startTestUpstream(async (request, response) => {
    if (request.headers['x-wait'] !== undefined) await released
    json(response, 200, completion('hello'))
  })
  const ballast = await startTestBallast(
    `store: memory\nupstreams: {u: {base_url: "\${UPSTREAM}"}}\nroutes: [{model: "*", upstream: u}]\n${settings}`,
    { UPSTREAM: upstream.url },
  )
  const ask = (key: string, headers: Record<string, string> = {}) =>
    fetch(`${ballast.url}/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, ...headers },
      body: BODY,
    })
  return { upstream, ballast, ask, release }
}

function open(ballast: RunningBallast): { socket: Socket; answer: Promise<string> } {
  const socket = connect(Number(new URL(ballast.url).port), '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  socket.on('error', () => {})
  return { socket, answer: new Promise((resolve) => socket.on('close', () => resolve(text))) }
}

const errorIn = (answer: string) =>
  JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))).error as { code: string }

describe('limits', () => {
  test('requests per minute, per client: 429 with retry-after, and nothing reaches the upstream', async () => {
    const { upstream, ask } = await start(
      'clients: [{name: a, key: key-of-a1, requests_per_minute: 2}, {name: b, key: key-of-b1}]',
    )
    expect([(await ask('key-of-a1')).status, (await ask('key-of-a1')).status]).toEqual([200, 200])
    const refused = await ask('key-of-a1')
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(50)
    expect(await refused.json()).toMatchObject({
      error: { code: 'ballast_rate_limited', type: 'rate_limit_error' },
    })
    expect((await ask('key-of-b1')).status).toBe(200)
    expect(upstream.requests).toHaveLength(3)
  })

  test('requests at a time, per client, until one has ended', async () => {
    const { upstream, ask, release } = await start(
      'clients: [{name: a, key: key-of-a1, concurrent: 1}, {name: b, key: key-of-b1}]',
    )
    const first = ask('key-of-a1', { 'x-wait': '1' })
    await eventually(() => upstream.requests.length === 1)
    expect((await ask('key-of-a1')).status).toBe(429)
    expect((await ask('key-of-b1')).status).toBe(200)
    release()
    expect((await first).status).toBe(200)
    await eventually(async () => (await ask('key-of-a1')).status === 200)
  })

  test('requests at a time, in all: 503 with retry-after before a body is read; a client that leaves makes room', async () => {
    const { upstream, ballast, ask } = await start('limits: {concurrent: 1}')
    const leave = new AbortController()
    const body = BODY
    const first = fetch(`${ballast.url}/chat/completions`, {
      method: 'POST',
      body,
      headers: { 'x-wait': '1' },
      signal: leave.signal,
    }).catch(() => {})
    await eventually(() => upstream.requests.length === 1)
    const refused = await ask('any')
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])
    expect(await refused.json()).toMatchObject({ error: { code: 'ballast_overloaded' } })
    leave.abort()
    await first
    await eventually(async () => (await ask('any')).status === 200)
    expect(metricValue(await ballast.metrics(), 'ballast_requests_total', { code: '503' })).toBeGreaterThan(0)
  })

  test('a request that does not come in whole is ended with 408', async () => {
    const { ballast, upstream } = await start('limits: {receive: 300ms}')
    const { socket, answer } = open(ballast)
    socket.write('POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 50\r\n\r\n{')
    expect(errorIn(await answer).code).toBe('ballast_request_timeout')
    expect(upstream.requests).toHaveLength(0)
  })

  test.each([
    [
      'a head that is too large',
      `GET /v1/models HTTP/1.1\r\nhost: localhost\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`,
      'ballast_headers_too_large',
      431,
    ],
    [
      'another expectation',
      'POST /v1/files HTTP/1.1\r\nhost: localhost\r\nexpect: magic\r\ncontent-length: 1\r\n\r\n',
      'ballast_expectation_failed',
      417,
    ],
    ['what is not HTTP', 'SSH-2.0-OpenSSH\r\n\r\n', 'ballast_malformed_request', 400],
    [
      'a length and chunks',
      'POST /v1/files HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n',
      'ballast_malformed_request',
      400,
    ],
  ])('%s is refused in words', async (_name, text, code, status) => {
    const { ballast, upstream } = await start('limits: {headers: 8KB}')
    const { socket, answer } = open(ballast)
    socket.write(text)
    const received = await answer
    expect(received).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(errorIn(received).code).toBe(code)
    expect(upstream.requests).toHaveLength(0)
  })

  test('a client that reads nothing more is ended, and its upstream call with it', async () => {
    const endless = await startTestUpstream((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      const write = () => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
      }
      response.on('drain', write)
      write()
    })
    const ballast = await startTestBallast(
      'store: memory\nlimits: {stall: 300ms}\nupstreams: {u: {base_url: "${UPSTREAM}"}}\nroutes: [{model: "*", upstream: u}]\n',
      { UPSTREAM: endless.url },
    )
    const { socket } = open(ballast)
    socket.pause()
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`,
    )
    await eventually(() => endless.requests.length === 1)
    await endless.requests[0]!.aborted
    await eventually(
      async () => metricValue(await ballast.metrics(), 'ballast_requests_total', { code: '499' }) === 1,
    )
  })
})
