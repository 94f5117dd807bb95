/**
 * What can go wrong between ballast and an upstream, on real sockets: for each fault what the client sees, what the
 * upstream sees, and that the same ballast serves the next request.
 */
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { eventually, metricValue, startTestBallast } from '../support/ballast.ts'

const TIMEOUT_MS = 250
/** Where a timeout must not be what ends a thing. */
const NEVER_MS = 60_000
/** "At once" on a busy machine; far below the idle and keep-alive timeouts of either side. */
const PROMPTLY_MS = 8_000
const INJECTED = "I'm an etymologist working for the Audubon Society. Hi"

/** One connection that ballast made, as the upstream sees it. */
class Peer {
  readonly socket: Socket
  /** Whole requests, as Latin-1. */
  readonly requests: string[] = []
  /** Bytes that are no whole request yet. */
  pending = ''
  /** When ballast ended it, on the clock of `performance.now()`; null while it is open. */
  goneAt: number | null = null

  constructor(socket: Socket) {
    this.socket = socket
    const gone = () => {
      this.goneAt ??= performance.now()
    }
    socket.on('end', gone).on('close', gone).on('error', gone)
  }

  write(text: string | Buffer): Promise<void> {
    return new Promise((resolve) => {
      if (this.socket.destroyed) return resolve()
      this.socket.write(text, () => resolve())
    })
  }

  /** Takes whole requests out of what came. */
  take(): number {
    for (let count = 0; ; count++) {
      const end = requestEnd(this.pending)
      if (end === null) return count
      this.requests.push(this.pending.slice(0, end))
      this.pending = this.pending.slice(end)
    }
  }
}

function requestEnd(text: string): number | null {
  const head = text.indexOf('\r\n\r\n')
  if (head === -1) return null
  const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, head))?.[1]
  if (/\r\ntransfer-encoding: chunked/i.test(text.slice(0, head))) {
    const last = text.indexOf('\r\n0\r\n\r\n', head)
    return last === -1 ? null : last + 7
  }
  const end = head + 4 + Number(length ?? 0)
  return text.length >= end ? end : null
}

type Script = (peer: Peer, nth: number) => unknown

interface RawUpstream {
  readonly port: number
  readonly peers: Peer[]
  readonly server: Server
  /** Runs for every whole request; `nth` counts them from 1 over all connections. */
  script: Script
  /** Runs for every connection, if there is one. */
  connected: (peer: Peer) => unknown
  requests(): string[]
  open(): number
}

async function startRaw(script: Script): Promise<RawUpstream> {
  const server = createServer({ allowHalfOpen: true, noDelay: true })
  const upstream: RawUpstream = {
    server,
    port: 0,
    peers: [],
    script,
    connected: () => {},
    requests: () => upstream.peers.flatMap((peer) => peer.requests),
    open: () => upstream.peers.filter((peer) => peer.goneAt === null).length,
  }
  server.on('connection', (socket) => {
    const peer = new Peer(socket)
    upstream.peers.push(peer)
    upstream.connected(peer)
    socket.on('data', (chunk) => {
      peer.pending += chunk.toString('latin1')
      for (let count = peer.take(); count > 0; count--) void upstream.script(peer, upstream.requests().length)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    for (const { socket } of upstream.peers) socket.destroy()
    server.close()
  })
  return Object.assign(upstream, { port: (server.address() as AddressInfo).port })
}

/** What the client got: null for a head that never came. */
interface Seen {
  readonly status: number | null
  readonly headers: IncomingMessage['headers']
  readonly body: string
  /** The answer came to its end as its framing says. */
  readonly whole: boolean
  readonly informed: number[]
}

interface Asked {
  readonly seen: Promise<Seen>
  /** Everything the client knows so far. */
  readonly now: { status: number | null; body: string }
  leave(): void
}

interface Request {
  readonly path?: string
  readonly stream?: boolean
  readonly headers?: Record<string, string | number>
  readonly body?: string | Buffer
  /** Sends this much of the body and no more. */
  readonly sendOnly?: number
}

function send(url: string, { path = '/chat/completions', stream = false, ...rest }: Request = {}): Asked {
  const body =
    rest.body ?? JSON.stringify({ model: 'm', stream, messages: [{ role: 'user', content: 'Hi' }] })
  const bytes = Buffer.from(body)
  const now: Asked['now'] = { status: null, body: '' }
  const informed: number[] = []
  const request = httpRequest(`${url}${path}`, {
    method: 'POST',
    agent: false,
    headers: { 'content-type': 'application/json', 'content-length': bytes.length, ...rest.headers },
  })
  const seen = new Promise<Seen>((resolve) => {
    let headers: IncomingMessage['headers'] = {}
    const end = (whole: boolean) => resolve({ ...now, headers, whole, informed })
    request.on('information', ({ statusCode }) => informed.push(statusCode))
    request.on('response', (response) => {
      now.status = response.statusCode!
      headers = response.headers
      response.on('data', (chunk: Buffer) => {
        now.body += chunk.toString('latin1')
      })
      response.on('error', () => {})
      response.on('close', () => end(response.complete))
    })
    request.on('error', () => {
      if (now.status === null) end(false)
    })
    request.on('close', () => {
      if (now.status === null) end(false)
    })
  })
  if (rest.headers?.expect === '100-continue') request.on('continue', () => request.end(bytes))
  else if (rest.sendOnly !== undefined) request.write(bytes.subarray(0, rest.sendOnly))
  else request.end(bytes)
  return { seen, now, leave: () => void request.destroy() }
}

const OK_BODY = '{"choices":[{"index":0,"message":{"role":"assistant","content":"hello"}}]}'
const OK_HEAD = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${OK_BODY.length}\r\n\r\n`
const ok: Script = (peer) => peer.write(OK_HEAD + OK_BODY)
const inTurn =
  (...scripts: Script[]): Script =>
  (peer, nth) =>
    scripts[Math.min(nth, scripts.length) - 1]!(peer, nth)

const errorCode = ({ body }: Seen) => (JSON.parse(body) as { error: { code: string } }).error.code
const counted = (text: string, code: string) => metricValue(text, 'ballast_requests_total', { code })

async function startBallast(port: number, settings = 'retries: 1', timeout = TIMEOUT_MS) {
  return await startTestBallast(
    `
store: memory
upstreams:
  main:
    base_url: "http://127.0.0.1:\${PORT}/v1"
    api_key: sk-main
    timeout: {connect: ${timeout}ms, headers: ${timeout}ms, idle: ${timeout}ms}
    breaker: {failures: 1000}
    ${settings.split(', ').join('\n    ')}
routes: [{model: "*", upstream: main, policy: birds/identity-etymologist}]
`,
    { PORT: String(port) },
  )
}

async function start(script: Script, settings?: string, timeout?: number) {
  const upstream = await startRaw(script)
  const ballast = await startBallast(upstream.port, settings, timeout)
  const outcome = async (name: string) =>
    metricValue(await ballast.metrics(), 'ballast_upstream_requests_total', { outcome: name })
  /** The same ballast serves the next request, from its beginning to its end. */
  const goesOn = async () => {
    upstream.script = ok
    upstream.connected = () => {}
    const { status, body, whole } = await send(ballast.url).seen
    expect([status, body, whole]).toEqual([200, OK_BODY, true])
    expect(upstream.requests().at(-1)).toContain(INJECTED)
  }
  return { upstream, ballast, goesOn, outcome, ask: (request?: Request) => send(ballast.url, request) }
}

/** Every request that came is whole, and the very same one. */
function expectEqualRequests(requests: string[], count: number) {
  expect(requests).toHaveLength(count)
  expect(new Set(requests).size).toBe(1)
  expect(requests[0]).toContain(INJECTED)
}

const lost: unknown[] = []
const lose = (reason: unknown) => void lost.push(reason)

beforeEach(() => {
  lost.length = 0
  process.on('unhandledRejection', lose)
  process.on('uncaughtExceptionMonitor', lose)
  // Retries wait a random time; nothing here is about how long.
  vi.spyOn(Math, 'random').mockReturnValue(0.02)
})

afterEach(async () => {
  vi.restoreAllMocks()
  await sleep(20)
  process.off('unhandledRejection', lose)
  process.off('uncaughtExceptionMonitor', lose)
  expect(lost).toEqual([])
})

const both = [
  ['whole', false],
  ['streamed', true],
] as const

describe.each(both)('before the head of an answer (%s)', (_name, stream) => {
  test('connection refused: 502, and nothing was sent anywhere', async () => {
    const gone = await startRaw(ok)
    gone.server.close()
    const ballast = await startBallast(gone.port)
    const seen = await send(ballast.url, { stream }).seen
    expect([seen.status, errorCode(seen), seen.whole]).toEqual([502, 'ballast_upstream_failed', true])
    expect(gone.peers).toHaveLength(0)
    const text = await ballast.metrics()
    expect(counted(text, '502')).toBe(1)
    expect(metricValue(text, 'ballast_upstream_requests_total', { outcome: 'error' })).toBe(2)
  })

  const CUT: [string, Script][] = [
    ['reset when the connection is made', () => {}],
    ['reset before the head', (peer) => peer.socket.resetAndDestroy()],
    ['ended before the head', (peer) => peer.socket.end()],
    [
      'reset mid-head',
      (peer) => peer.write('HTTP/1.1 200 OK\r\ncontent-ty').then(() => peer.socket.resetAndDestroy()),
    ],
    ['ended mid-head', (peer) => peer.socket.end('HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n')],
    ['an SSH banner instead of HTTP', (peer) => peer.write('SSH-2.0-OpenSSH_9.6\r\n')],
    ['a TLS alert instead of HTTP', (peer) => peer.write(Buffer.from([21, 3, 3, 0, 2, 2, 70]))],
    ['words instead of HTTP', (peer) => peer.write('hello, this is not HTTP\r\n\r\n')],
    ['a head with a broken field', (peer) => peer.write('HTTP/1.1 200 OK\r\nbad field: x\r\n\r\n')],
    ['a status that is no number', (peer) => peer.write('HTTP/1.1 abc OK\r\n\r\n')],
    [
      'two lengths that differ',
      (peer) => peer.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc'),
    ],
    [
      'an upgrade nobody asked for',
      (peer) => peer.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
    ],
    [
      'a head of 10 MB',
      (peer) => peer.write(`HTTP/1.1 200 OK\r\n${`x-a: ${'a'.repeat(1000)}\r\n`.repeat(10_000)}\r\n`),
    ],
    ['a field of 10 MB', (peer) => peer.write(`HTTP/1.1 200 OK\r\nx-a: ${'a'.repeat(10_000_000)}\r\n\r\n`)],
  ]
  test.each(CUT)(
    '%s: 502 after a second, equal request; the connections are closed',
    async (name, script) => {
      const { upstream, ballast, ask, goesOn, outcome } = await start(script)
      const atOnce = name === 'reset when the connection is made'
      if (atOnce) upstream.connected = (peer) => peer.socket.resetAndDestroy()
      const seen = await ask({ stream }).seen
      expect([seen.status, errorCode(seen), seen.whole]).toEqual([502, 'ballast_upstream_failed', true])
      expect(seen.headers['x-ballast-request-id']).toMatch(/^[0-9a-f-]{36}$/)
      if (!atOnce) expectEqualRequests(upstream.requests(), 2)
      await eventually(() => upstream.open() === 0, PROMPTLY_MS)
      expect(counted(await ballast.metrics(), '502')).toBe(1)
      expect(await outcome('error')).toBe(2)
      await goesOn()
    },
  )

  test('never accepted: 504 within connect timeout, and nothing was sent', async () => {
    const upstream = await startDeaf()
    const ballast = await startBallast(upstream.port, 'retries: 0')
    const before = performance.now()
    const seen = await send(ballast.url, { stream }).seen
    expect([seen.status, errorCode(seen)]).toEqual([504, 'ballast_upstream_timeout'])
    expect(performance.now() - before).toBeLessThan(TIMEOUT_MS + PROMPTLY_MS)
    expect(counted(await ballast.metrics(), '504')).toBe(1)
  })

  const STALLS: [string, Script][] = [
    ['before the head', () => {}],
    ['mid-head', (peer) => peer.write('HTTP/1.1 200 OK\r\ncontent-type: text/')],
    ['after 103 Early Hints', (peer) => peer.write('HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n')],
  ]
  test.each(STALLS)('stall %s: 504, sent once, the connection is closed', async (_where, script) => {
    const { upstream, ballast, ask, goesOn, outcome } = await start(script)
    const before = performance.now()
    const seen = await ask({ stream }).seen
    const took = performance.now() - before
    expect([seen.status, errorCode(seen), seen.whole]).toEqual([504, 'ballast_upstream_timeout', true])
    expect([took >= TIMEOUT_MS * 0.9, took < TIMEOUT_MS + PROMPTLY_MS]).toEqual([true, true])
    expectEqualRequests(upstream.requests(), 1)
    await eventually(() => upstream.open() === 0, PROMPTLY_MS)
    expect(counted(await ballast.metrics(), '504')).toBe(1)
    expect(await outcome('timeout')).toBe(1)
    await goesOn()
  })
})

/** Listens and never accepts: its thread sleeps, and what the system would take for it is used up. */
async function startDeaf(): Promise<{ port: number }> {
  const worker = new Worker(
    `const { createServer, connect } = require('node:net')
     const { parentPort } = require('node:worker_threads')
     const server = createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
       const { port } = server.address()
       for (let index = 0; index < 4; index++) connect(port, '127.0.0.1').on('error', () => {})
       parentPort.postMessage(port)
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
     })`,
    { eval: true },
  )
  onTestFinished(async () => void (await worker.terminate()))
  const [port] = (await once(worker, 'message')) as [number]
  return { port }
}

const LENGTH = 'HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 100\r\n\r\n'
const CHUNKED = 'HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n'
const HALF: [string, string][] = [
  ['content-length', `${LENGTH}half`],
  ['chunked', `${CHUNKED}4\r\nhalf\r\n`],
  ['mid-chunk', `${CHUNKED}64\r\nhalf`],
]

describe.each(both)('after the head of an answer (%s)', (_name, stream) => {
  const CUTS: [string, Script][] = [
    ['reset', (peer) => peer.socket.resetAndDestroy()],
    ['half-closed', (peer) => peer.socket.end()],
    ['stalled', () => {}],
    ['followed by garbage', (peer) => peer.write('\r\n\0\xff not a chunk \r\n'.repeat(20))],
  ]
  const cases = HALF.flatMap(([framing, text]) =>
    CUTS.filter(([what]) => what !== 'followed by garbage' || framing === 'chunked').map(
      ([what, cut]) => [framing, what, text, cut] as const,
    ),
  )
  test.each(cases)('%s, then %s: the client has what came and sees that it is not all', async (...given) => {
    const [, , text, cut] = given
    const { upstream, ballast, ask, goesOn, outcome } = await start(async (peer) => {
      await peer.write(text)
      await sleep(50)
      await cut(peer, 1)
    })
    const before = performance.now()
    const seen = await ask({ stream }).seen
    expect([seen.status, seen.body.slice(0, 4), seen.whole]).toEqual([200, 'half', false])
    expect(performance.now() - before).toBeLessThan(TIMEOUT_MS + PROMPTLY_MS)
    expectEqualRequests(upstream.requests(), 1)
    await eventually(() => upstream.open() === 0, PROMPTLY_MS)
    // The status that the client saw is what is counted.
    expect(counted(await ballast.metrics(), '200')).toBe(1)
    expect((await outcome('error')) + (await outcome('timeout'))).toBe(1)
    await goesOn()
  })

  test.each([
    ['content-length', LENGTH],
    ['chunked', CHUNKED],
  ])(
    '%s, reset before the first byte of the body: nothing that looks like an answer',
    async (_framing, head) => {
      const { upstream, ask, goesOn } = await start(async (peer) => {
        await peer.write(head)
        await sleep(50)
        peer.socket.resetAndDestroy()
      })
      const seen = await ask({ stream }).seen
      // A stream's head is sent at once; another one's goes with its first bytes.
      expect([seen.status, seen.body, seen.whole]).toEqual([stream ? 200 : null, '', false])
      expectEqualRequests(upstream.requests(), 1)
      await goesOn()
    },
  )

  test('half-closed after an answer without a length is its end', async () => {
    const { upstream, ballast, ask, goesOn } = await start((peer) =>
      peer.socket.end('HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nall of it'),
    )
    const seen = await ask({ stream }).seen
    expect([seen.status, seen.body, seen.whole]).toEqual([200, 'all of it', true])
    expect(counted(await ballast.metrics(), '200')).toBe(1)
    expectEqualRequests(upstream.requests(), 1)
    await eventually(() => upstream.open() === 0, PROMPTLY_MS)
    await goesOn()
  })

  test('half-closed after a whole answer changes nothing', async () => {
    const { upstream, ask, goesOn } = await start((peer) => peer.socket.end(OK_HEAD + OK_BODY))
    const seen = await ask({ stream }).seen
    expect([seen.status, seen.body, seen.whole]).toEqual([200, OK_BODY, true])
    await eventually(() => upstream.open() === 0, PROMPTLY_MS)
    await goesOn()
  })

  test('content-length too short: the client gets that much, and the rest is no answer to anyone', async () => {
    const smuggled = OK_HEAD.replace('200 OK', '203 Smuggled') + OK_BODY
    const { upstream, ask, goesOn } = await start((peer) =>
      peer.write(`HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello${smuggled}`),
    )
    const seen = await ask({ stream }).seen
    expect([seen.status, seen.body, seen.whole]).toEqual([200, 'hello', true])
    await eventually(() => upstream.open() === 0, PROMPTLY_MS)
    await goesOn()
  })
})

describe('statuses that are tried again', () => {
  const failure = (status: string, ...fields: string[]) =>
    `HTTP/1.1 ${status}\r\ncontent-length: 4\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\nfail`

  test.each(both)('429 with retry-after-ms: asked again no sooner than that (%s)', async (_name, stream) => {
    const times: number[] = []
    const { upstream, ask, ballast, goesOn, outcome } = await start((peer, nth) => {
      times.push(performance.now())
      void (nth === 1 ? peer.write(failure('429 Too Many Requests', 'retry-after-ms: 300')) : ok(peer, nth))
    })
    const seen = await ask({ stream }).seen
    expect([seen.status, seen.body]).toEqual([200, OK_BODY])
    expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(299)
    expectEqualRequests(upstream.requests(), 2)
    expect([await outcome('4xx'), await outcome('2xx')]).toEqual([1, 1])
    expect(counted(await ballast.metrics(), '200')).toBe(1)
    await goesOn()
  })

  test.each(both)('500 twice, then 200: the client sees 200 only (%s)', async (_name, stream) => {
    const bad: Script = (peer) => peer.write(failure('500 Internal Server Error'))
    const { upstream, ballast, ask, outcome, goesOn } = await start(inTurn(bad, bad, ok), 'retries: 2')
    const seen = await ask({ stream }).seen
    expect([seen.status, seen.body, seen.whole]).toEqual([200, OK_BODY, true])
    expectEqualRequests(upstream.requests(), 3)
    expect([await outcome('5xx'), await outcome('2xx')]).toEqual([2, 1])
    expect([counted(await ballast.metrics(), '200'), counted(await ballast.metrics(), '500')]).toEqual([1, 0])
    await goesOn()
  })

  test('a refused answer that never ends does not keep its connection', async () => {
    const endless: Script = (peer) =>
      peer.write(`HTTP/1.1 500 Oh\r\ncontent-length: 9999999\r\n\r\n${'x'.repeat(100_000)}`)
    const { upstream, ask, goesOn } = await start(inTurn(endless, ok))
    expect((await ask().seen).status).toBe(200)
    await eventually(() => upstream.peers[0]!.goneAt !== null, PROMPTLY_MS)
    await goesOn()
  })
})

describe.each(both)('the client leaves (%s)', (_name, stream) => {
  const PHASES: [string, Script, string | null][] = [
    ['before the head', () => {}, null],
    ['mid-head', (peer) => peer.write('HTTP/1.1 200 OK\r\ncontent-type: text/'), null],
    ['after 103 Early Hints', (peer) => peer.write('HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n'), null],
    ...HALF.map(([framing, text]): [string, Script, string] => [
      `mid-body, ${framing}`,
      (peer) => peer.write(text),
      'half',
    ]),
  ]
  test.each(PHASES)('%s: the upstream connection is closed at once, and 499 counted', async (...given) => {
    const [, script, awaited] = given
    const { upstream, ballast, ask, goesOn, outcome } = await start(script, 'retries: 1', NEVER_MS)
    const asked = ask({ stream })
    await eventually(() => upstream.requests().length === 1 && asked.now.body === (awaited ?? ''))
    await sleep(30)
    asked.leave()
    await eventually(() => upstream.open() === 0, PROMPTLY_MS)
    expectEqualRequests(upstream.requests(), 1)
    await asked.seen
    await eventually(async () => counted(await ballast.metrics(), '499') === 1, PROMPTLY_MS)
    expect(await outcome('aborted')).toBe(1)
    await goesOn()
    expect(metricValue(await ballast.metrics(), 'ballast_requests_total')).toBe(2)
  })

  test('while no connection is accepted: 499, and nothing is ever sent', async () => {
    const { port } = await startDeaf()
    const ballast = await startBallast(port)
    const asked = send(ballast.url, { stream })
    await sleep(60)
    asked.leave()
    await asked.seen
    await eventually(async () => counted(await ballast.metrics(), '499') === 1, PROMPTLY_MS)
    await sleep(TIMEOUT_MS * 2)
    const text = await ballast.metrics()
    expect(metricValue(text, 'ballast_requests_total')).toBe(1)
    expect(metricValue(text, 'ballast_upstream_requests_total')).toBe(1)
  })

  test('while its own body is half sent: nothing reaches the upstream', async () => {
    const { upstream, ballast, ask, goesOn } = await start(ok)
    const asked = ask({ stream, sendOnly: 20 })
    await sleep(60)
    asked.leave()
    await eventually(async () => counted(await ballast.metrics(), '499') === 1, PROMPTLY_MS)
    expect(upstream.peers).toHaveLength(0)
    await goesOn()
  })

  test('while its upload is half sent: the upstream connection is closed at once', async () => {
    const { upstream, ballast, ask, goesOn } = await start(ok, 'retries: 1', NEVER_MS)
    const asked = ask({
      path: '/files',
      headers: { 'content-type': 'multipart/form-data; boundary=x' },
      body: 'x'.repeat(1000),
      sendOnly: 500,
    })
    await eventually(() => upstream.peers[0]?.pending.endsWith('x'.repeat(500)) === true)
    asked.leave()
    await eventually(() => upstream.open() === 0, PROMPTLY_MS)
    expect(upstream.requests()).toHaveLength(0)
    await eventually(async () => counted(await ballast.metrics(), '499') === 1, PROMPTLY_MS)
    await goesOn()
  })

  test.each([
    ['sent whole', 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhalf', false],
    ['ended by half-closing', 'HTTP/1.1 200 OK\r\n\r\nhalf', true],
  ])('after an answer %s: what happened first is counted, once', async (_how, text, ends) => {
    const { upstream, ballast, ask, goesOn } = await start(async (peer) => {
      await peer.write(text)
      if (ends) peer.socket.end()
    })
    const asked = ask({ stream })
    await eventually(() => asked.now.body === 'half')
    await sleep(30)
    asked.leave()
    await goesOn()
    expect(upstream.requests()).toHaveLength(2)
    const counts = await ballast.metrics()
    expect([counted(counts, '200'), counted(counts, '499')]).toEqual([2, 0])
  })

  test('while ballast waits to try again: nothing is sent any more', async () => {
    const busy: Script = (peer) =>
      peer.write('HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nretry-after-ms: 200\r\n\r\n')
    const { upstream, ballast, ask, goesOn } = await start(busy)
    const asked = ask({ stream })
    await eventually(() => upstream.requests().length === 1)
    await sleep(40)
    asked.leave()
    await eventually(async () => counted(await ballast.metrics(), '499') === 1, PROMPTLY_MS)
    await sleep(300)
    expect(upstream.requests()).toHaveLength(1)
    await goesOn()
  })

  test('after a fault was answered: what happened first is counted, once', async () => {
    const { ballast, ask, goesOn } = await start((peer) => peer.socket.resetAndDestroy())
    const asked = ask({ stream })
    expect((await asked.seen).status).toBe(502)
    asked.leave()
    await goesOn()
    const text = await ballast.metrics()
    expect([counted(text, '502'), counted(text, '499'), counted(text, '200')]).toEqual([1, 0, 1])
  })

  test('while it does not read: the upstream waits, and its connection is closed at once', async () => {
    let taken = 0
    const chunk = Buffer.alloc(65_536, 'x')
    const { upstream, ballast, goesOn } = await start(
      async (peer) => {
        await peer.write('HTTP/1.1 200 OK\r\n\r\n')
        for (; peer.goneAt === null && taken < 400_000_000; taken += chunk.length) await peer.write(chunk)
      },
      'retries: 0',
      NEVER_MS,
    )
    const slow = httpRequest(`${ballast.url}/chat/completions`, { method: 'POST', agent: false })
    slow.on('response', (response) => response.on('error', () => {}).pause())
    slow.on('error', () => {})
    slow.end(JSON.stringify({ model: 'm', stream, messages: [{ role: 'user', content: 'Hi' }] }))
    let before = -1
    await eventually(async () => {
      const still = taken > 0 && taken === before
      before = taken
      if (!still) await sleep(40)
      return still
    })
    // What sockets and buffers hold, and no more.
    expect(taken).toBeLessThan(40_000_000)
    slow.destroy()
    await eventually(() => upstream.open() === 0, PROMPTLY_MS)
    await eventually(async () => metricValue(await ballast.metrics(), 'ballast_requests_total') === 1)
    await goesOn()
  })
})

describe('an upstream that answers before it has the body', () => {
  const answer =
    'HTTP/1.1 413 Content Too Large\r\ncontent-type: text/plain\r\ncontent-length: 8\r\n\r\ntoo much'
  const CASES: [string, boolean, string | Buffer, Record<string, string>][] = [
    ['upload', false, '/files', { 'content-type': 'multipart/form-data; boundary=x' }],
    ['injected', false, '/chat/completions', {}],
    ['upload, then closes', true, '/files', { 'content-type': 'multipart/form-data; boundary=x' }],
    ['injected, then closes', true, '/chat/completions', {}],
  ]
  test.each(CASES)('%s: the client gets the answer, whole', async (_name, closes, path, headers) => {
    const { upstream, ballast, ask, goesOn } = await start(ok)
    upstream.connected = (peer) => {
      peer.socket.once('data', () => {
        void peer.write(answer).then(() => {
          if (closes) peer.socket.end()
        })
      })
    }
    const content = 'x'.repeat(3_000_000)
    const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content }] })
    const seen = await ask({ path: String(path), headers, body }).seen
    expect([seen.status, seen.body, seen.whole]).toEqual([413, 'too much', true])
    expect(counted(await ballast.metrics(), '413')).toBe(1)
    // The connection has half a request on it: it is never used again.
    await eventually(() => upstream.open() === 0, PROMPTLY_MS)
    await goesOn()
  })
})

describe('an upstream that answers early and reads no further', () => {
  const LARGE = 30_000_000
  const answer =
    'HTTP/1.1 413 Content Too Large\r\ncontent-type: text/plain\r\ncontent-length: 8\r\n\r\ntoo much'

  async function startEarly() {
    const all = await start(ok, 'retries: 0', NEVER_MS)
    all.upstream.connected = (peer) => {
      peer.socket.once('data', () => {
        peer.socket.pause()
        void peer.write(answer)
      })
    }
    const head = [
      'POST /v1/files HTTP/1.1',
      'host: localhost',
      'content-type: multipart/form-data; boundary=x',
      `content-length: ${LARGE}`,
      'connection: close',
    ]
    const socket = connect(Number(new URL(all.ballast.url).port), '127.0.0.1').on('error', () => {})
    onTestFinished(() => void socket.destroy())
    socket.write(`${head.join('\r\n')}\r\n\r\n`)
    return { ...all, socket }
  }

  test('a client that reads while it sends gets the answer', async () => {
    const { upstream, ballast, socket, goesOn } = await startEarly()
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString()
    })
    socket.write(Buffer.alloc(LARGE, 'x'))
    await eventually(() => text.endsWith('too much'))
    expect(text).toMatch(/^HTTP\/1\.1 413 /)
    // ballast's own doing: the upstream would have kept it.
    for (const { socket: paused } of upstream.peers) paused.resume()
    await eventually(() => upstream.open() === 0, PROMPTLY_MS)
    expect(counted(await ballast.metrics(), '413')).toBe(1)
    await goesOn()
  })

  test('a client that reads only when it has sent everything gets the answer', async () => {
    const { socket, goesOn } = await startEarly()
    socket.pause()
    let sent = false
    socket.write(Buffer.alloc(LARGE, 'x'), (error) => {
      sent = !error
    })
    await eventually(() => sent)
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString()
    })
    socket.resume()
    await eventually(() => text.endsWith('too much'), PROMPTLY_MS)
    await goesOn()
  })
})

describe('informational answers', () => {
  test.each([
    ['103 Early Hints', 'HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n'],
    ['102 Processing, twice', 'HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n'],
  ])('%s: the client sees the answer behind it', (_name, hints) => expectAnswerBehind(hints))

  // Defect: undici 8.12.4 takes an unasked 100 for a broken answer (lib/dispatcher/client-h1.js, onHeadersComplete), so
  // the client gets 502, after a second request. RFC 9110 section 15.2: a client must be able to parse it, expected or not.
  test.fails('100 Continue that nobody asked for: the client sees the answer behind it', () =>
    expectAnswerBehind('HTTP/1.1 100 Continue\r\n\r\n'))

  async function expectAnswerBehind(hints: string) {
    const { upstream, ask, goesOn } = await start((peer) => peer.write(hints + OK_HEAD + OK_BODY))
    const seen = await ask().seen
    expect([seen.status, seen.body, seen.whole]).toEqual([200, OK_BODY, true])
    expectEqualRequests(upstream.requests(), 1)
    await goesOn()
  }
})

describe('a client that expects 100-continue', () => {
  test.each(['/chat/completions', '/files'])(
    '%s: is told to go on; the upstream never hears of it',
    async (path) => {
      const { upstream, ask, goesOn } = await start(ok)
      const seen = await ask({ path, headers: { expect: '100-continue' } }).seen
      expect([seen.status, seen.body, seen.informed]).toEqual([200, OK_BODY, [100]])
      expect(upstream.requests()).toHaveLength(1)
      expect(upstream.requests()[0]).not.toMatch(/expect/i)
      await goesOn()
    },
  )

  test('and whose connection the upstream refuses gets 502', async () => {
    const gone = await startRaw(ok)
    gone.server.close()
    const ballast = await startBallast(gone.port, 'retries: 0')
    const seen = await send(ballast.url, { headers: { expect: '100-continue' } }).seen
    expect([seen.status, errorCode(seen)]).toEqual([502, 'ballast_upstream_failed'])
  })
})
