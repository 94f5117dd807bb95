/**
 * What hostile clients and upstreams tried, on raw sockets: to put bytes into the answers of others, to hold places and
 * connections for ever, to go round the injection, to be given secrets.
 */
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Breaker } from '../../src/domain/breaker.ts'
import { eventually, metricValue, startTestBallast, startTestUpstream } from '../support/ballast.ts'
import { type Answer, completion, json } from '../support/upstream.ts'

const BODY = '{"model":"m","messages":[{"role":"user","content":"Hi"}]}'
const ok: Answer = (_request, response) => json(response, 200, completion('hello'))

async function start(answer: Answer, settings = '', upstreamSettings = 'retries: 0') {
  const upstream = await startTestUpstream(answer)
  const ballast = await startTestBallast(
    `
store: memory
${settings}
upstreams: {u: {base_url: "\${UPSTREAM}", api_key: sk-secret-1, ${upstreamSettings}}}
routes: [{model: "*", upstream: u, policy: birds/identity-etymologist}]
`,
    { UPSTREAM: upstream.url },
  )
  return { upstream, ballast, port: Number(new URL(ballast.url).port) }
}

interface Raw {
  readonly socket: Socket
  seen: string
  /** Whether ballast has ended it. */
  closed: boolean
}

/** A connection that sends this, keeps its own side open, and remembers what comes. */
function open(port: number, text: string, { reads = true } = {}): Raw {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const raw: Raw = { socket, seen: '', closed: false }
  socket.on('error', () => {})
  const ended = () => {
    raw.closed = true
  }
  socket.on('close', ended).on('end', ended)
  if (reads)
    socket.on('data', (chunk) => {
      raw.seen += chunk.toString('latin1')
    })
  else socket.pause()
  socket.write(text)
  onTestFinished(() => void socket.destroy())
  return raw
}

const post = (path: string, body = BODY, headers = '') =>
  `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`
const statuses = ({ seen }: Raw) =>
  [...seen.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]))

describe('requests in a row on one connection', () => {
  test('a 100 Continue or an informational answer never stands inside the answer of another one', async () => {
    const { port } = await start(async (request, response) => {
      if (request.url.endsWith('/slow')) await sleep(150)
      else response.writeProcessing()
      response.writeHead(200, { 'content-length': 6 })
      response.end(request.url.endsWith('/slow') ? 'first.' : 'second')
    })
    const raw = open(port, get('/v1/slow') + post('/v1/chat/completions', BODY, 'expect: 100-continue\r\n'))
    await eventually(() => raw.seen.includes('second'))
    const [first, second] = raw.seen.split('first.') as [string, string]
    expect(first).not.toContain('HTTP/1.1 1')
    // An informational answer may stand before the head of the second one, and nowhere else.
    const [head, body, ...more] = second.replace(/^(HTTP\/1\.1 1\d\d [^\r]*\r\n\r\n)*/, '').split('\r\n\r\n')
    expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect([body, ...more]).toEqual(['second'])
  })

  test('rubbish behind a request cannot put an error into its answer', async () => {
    const { port } = await start(async (_request, response) => {
      response.writeHead(200, { 'content-length': 12 })
      response.write('half..')
      await sleep(300)
      response.end('whole.')
    })
    const raw = open(port, get('/v1/models'))
    await eventually(() => raw.seen.includes('half..'))
    raw.socket.write('garbage garbage\r\n\r\n')
    await eventually(() => raw.closed || raw.seen.includes('whole.'))
    expect(statuses(raw)).toEqual([200])
    expect(raw.seen.split('\r\n\r\n')[1]).toMatch(/^half\.\.(whole\.)?$/)
  })

  test('a body that stalls after its answer began cannot put an error into it', async () => {
    const upstream = createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n')
        const more = setInterval(() => socket.write('y'), 100)
        socket.on('close', () => clearInterval(more))
      })
    })
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void upstream.close())
    const { port: upstreamPort } = upstream.address() as { port: number }
    const ballast = await startTestBallast(`
store: memory
limits: {receive: 500ms}
upstreams: {u: {base_url: "http://127.0.0.1:${upstreamPort}/v1", retries: 0}}
routes: [{model: "*", upstream: u}]
`)
    const head =
      'POST /v1/files HTTP/1.1\r\nhost: localhost\r\ncontent-type: x/y\r\ncontent-length: 100\r\n\r\nx'
    const raw = open(Number(new URL(ballast.url).port), head)
    await eventually(() => raw.closed)
    expect(statuses(raw)).toEqual([200])
    expect(raw.seen.split('\r\n\r\n')[1]).toMatch(/^y*$/)
  })
})

describe('places and connections', () => {
  test('a client that stays after its 408 gives its place back', async () => {
    const { port, ballast } = await start(ok, 'limits: {concurrent: 2, receive: 300ms}')
    const half = 'POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\n{'
    const held = [open(port, half), open(port, half)]
    await eventually(() => held.every((raw) => statuses(raw)[0] === 408))
    await eventually(async () => {
      const raw = open(port, post('/v1/chat/completions'))
      await eventually(() => statuses(raw).length === 1)
      return statuses(raw)[0] === 200
    })
    expect(metricValue(await ballast.metrics(), 'ballast_requests_total', { code: '408' })).toBe(2)
    expect(metricValue(await ballast.metrics(), 'ballast_requests_total', { code: '499' })).toBe(0)
  })

  test('a refused WebSocket whose client stays does not keep ballast from stopping', async () => {
    const { port, ballast } = await start(ok)
    const upgrade =
      'GET /v1/realtime HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n'
    const raw = open(port, upgrade)
    await eventually(() => statuses(raw)[0] === 501)
    const begun = performance.now()
    await ballast.close(500)
    expect(performance.now() - begun).toBeLessThan(20_000)
  })

  test('a client that does not read its answer gives its place back', async () => {
    const { port } = await start(
      (_request, response) => json(response, 200, { text: 'x'.repeat(12_000_000) }),
      'limits: {concurrent: 1, stall: 500ms}',
    )
    const deaf = open(port, post('/v1/chat/completions'), { reads: false })
    const ask = async () => {
      const raw = open(port, 'GET /v1/models HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n')
      await eventually(() => statuses(raw).length === 1)
      return statuses(raw)[0]
    }
    await eventually(async () => (await ask()) === 503)
    await eventually(async () => (await ask()) === 200)
    deaf.socket.destroy()
  })

  test('of a broken request one outcome is counted', async () => {
    const { port, ballast } = await start(ok)
    const head = 'POST /v1/files HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n'
    const raw = open(port, `${head}1\r\n{\r\nZZ\r\n`)
    await eventually(async () => metricValue(await ballast.metrics(), 'ballast_requests_total') > 0)
    raw.socket.destroy()
    await sleep(100)
    expect(metricValue(await ballast.metrics(), 'ballast_requests_total')).toBe(1)
  })

  test('a rest that never ends of an answer that is not used is not read on after its client left', async () => {
    const open503: Answer = (_request, response) => {
      response.writeHead(503, { 'retry-after-ms': '20' })
      response.write('{')
    }
    const { upstream, port } = await start(open503, '', 'retries: 3')
    const raw = open(port, post('/v1/chat/completions'))
    await eventually(() => upstream.requests.length === 3)
    raw.socket.destroy()
    await Promise.all(upstream.requests.map(({ aborted }) => aborted))
  })
})

describe('paths', () => {
  test.each([
    '/v1/chat%2Fcompletions',
    '/v1/%63hat/completions',
    '/v1/chat/completions/',
    '/v1//chat/completions',
    '/v1/Chat/Completions',
    '/v1/chat/completions;a=1',
    '/v1/chat/completions#x',
    '/v1/chat/./completions',
    '/v1/x/../chat/completions',
    '/v1/responses/',
    '/v1/%43ompletions',
  ])('%s, another spelling of a surface, is refused rather than passed without its context', async (path) => {
    const { port, upstream } = await start(ok)
    const raw = open(port, post(path))
    await eventually(() => statuses(raw).length === 1)
    expect(statuses(raw)).toEqual([404])
    expect(raw.seen).toContain('ballast_unknown_path')
    expect(upstream.requests).toHaveLength(0)
  })

  test('a whole URL as target is the path it holds', async () => {
    const { port, upstream } = await start(ok)
    const raw = open(port, post('http://localhost/v1/chat/completions?x=1'))
    await eventually(() => statuses(raw).length === 1)
    expect(upstream.requests[0]!.url).toBe('/v1/chat/completions?x=1')
    expect(upstream.requests[0]!.body.toString()).toContain('etymologist')
    const foreign = open(port, post('http://example.org/v1/chat/completions'))
    await eventually(() => statuses(foreign).length === 1)
    expect(statuses(foreign)).toEqual([403])
  })
})

describe('what HTTP itself may not do', () => {
  test.each([
    ['TRACE, which would give the key away', 'TRACE /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n'],
    ['two hosts', 'GET /v1/models HTTP/1.1\r\nhost: localhost\r\nHost: localhost\r\n\r\n'],
    ['no host', 'GET /v1/models HTTP/1.1\r\n\r\n'],
    [
      'another transfer coding',
      'POST /v1/files HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
    ],
  ])('%s: 400 in the shape of OpenAI', async (_name, text) => {
    const { port, upstream } = await start(ok)
    const raw = open(port, text)
    await eventually(() => raw.seen.includes('ballast_malformed_request'))
    expect(statuses(raw)).toEqual([400])
    expect(upstream.requests).toHaveLength(0)
  })

  test('an offer to upgrade to HTTP/2 is passed over', async () => {
    const { port } = await start(ok)
    const offer = 'connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n'
    const raw = open(port, post('/v1/chat/completions', BODY, offer))
    await eventually(() => statuses(raw).length === 1)
    expect(statuses(raw)).toEqual([200])
  })

  test('names with underscores, and credentials of other kinds, stay here', async () => {
    const { port, upstream } = await start(ok)
    const headers =
      'X-API_KEY: k\r\nx-goog-api-key: k\r\nx-auth-token: k\r\nx-forwarded_for: 10.0.0.1\r\nx-kept: 1\r\n'
    const raw = open(port, post('/v1/chat/completions', BODY, headers))
    await eventually(() => statuses(raw).length === 1)
    const names = Object.keys(upstream.requests[0]!.headers)
    expect(names.filter((name) => name.startsWith('x-'))).toEqual(['x-kept'])
  })

  test('an answer of 204 speaks of no body', async () => {
    const { port } = await start((_request, response) => {
      response.socket!.end('HTTP/1.1 204 No Content\r\ncontent-length: 0\r\nx-a: 1\r\n\r\n')
    })
    const raw = open(port, get('/v1/models'))
    await eventually(() => statuses(raw).length === 1)
    expect(raw.seen).toContain('x-a: 1')
    expect(raw.seen).not.toContain('content-length')
  })
})

describe('a circuit breaker', () => {
  test('is not moved by requests that were sent before it opened', () => {
    let now = 0
    const breaker = new Breaker({ failures: 2, cooldown: 100 }, () => now)
    const old = [breaker.enter()!, breaker.enter()!, breaker.enter()!, breaker.enter()!]
    expect([breaker.fail(old[0]!), breaker.fail(old[1]!)]).toEqual([false, true])
    now = 100
    const probe = breaker.enter()!
    expect(probe.probe).toBe(true)
    breaker.leave(old[2]!)
    expect(breaker.enter()).toBeNull()
    breaker.succeed(old[3]!)
    expect(breaker.enter()).toBeNull()
    expect(breaker.fail(probe)).toBe(false)
    expect(breaker.enter()).toBeNull()
    now = 200
    const second = breaker.enter()!
    breaker.succeed(second)
    expect(breaker.enter()).toMatchObject({ probe: false })
  })
})
