/**
 * The running proxy against arbitrary bodies, headers and chunk boundaries on raw sockets: it never hangs or crashes, the
 * upstream gets nothing or the exact injection, the client exactly the upstream's bytes. fast-check prints the seed.
 */
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import type { Intervention } from '../../src/domain/policy.ts'
import { CATALOG_FOLDER } from '../../src/node.ts'
import { eventually, metricValue, startTestBallast } from '../support/ballast.ts'
import { requestTexts } from '../support/json-text.ts'
import { referenceInject } from '../support/reference-injection.ts'

const RUNS = 200
/** Every request ends within this, or hangs. */
const BOUND_MS = 20_000

const PATHS = { chat: '/chat/completions', completions: '/completions', responses: '/responses' } as const
type SurfaceName = keyof typeof PATHS

const POLICIES: Record<string, Intervention[] | null> = {
  none: null,
  'user-prepend': [{ placement: 'user-prepend', text: "I'm an etymologist." }],
  'last-newline': [
    { placement: 'user-newline', text: 'Date: 1850\nplace: "é" 🦜' },
    { placement: 'last-user-prepend', text: 'a \\ b' },
  ],
  system: [{ placement: 'system', text: 'You are an "assistant".' }],
  around: [
    { placement: 'developer', text: 'Be brief.' },
    { placement: 'system-append', text: 'Be kind.' },
    { placement: 'user-prepend', text: 'Hi:' },
  ],
}

// --- A message on the wire ----------------------------------------------------------------------------------------

interface Message {
  readonly first: string
  /** Names in lower case. */
  readonly headers: readonly [name: string, value: string][]
  readonly body: Buffer
}

/** One whole message at the start of these bytes, null where there is none yet. @param ended nothing more will come. */
function parseMessage(bytes: Buffer, ended = false): Message | null {
  const text = bytes.toString('latin1')
  const end = text.indexOf('\r\n\r\n')
  if (end === -1) return null
  const [first, ...lines] = text.slice(0, end).split('\r\n')
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
  })
  const value = (name: string) => headers.find(([it]) => it === name)?.[1]
  const rest = bytes.subarray(end + 4)
  let body: Buffer | null
  if (value('transfer-encoding') === 'chunked') body = dechunk(rest)
  else if (value('content-length') !== undefined) {
    const length = Number(value('content-length'))
    body = rest.length >= length ? rest.subarray(0, length) : null
  } else if (first!.startsWith('HTTP/')) body = ended ? rest : null
  else body = Buffer.alloc(0)
  return body === null ? null : { first: first!, headers, body }
}

function dechunk(bytes: Buffer): Buffer | null {
  const chunks: Buffer[] = []
  for (let at = 0; ; ) {
    const line = bytes.indexOf('\r\n', at)
    if (line === -1) return null
    const size = Number.parseInt(bytes.toString('latin1', at, line), 16)
    if (size === 0) return bytes.indexOf('\r\n\r\n', line) === -1 ? null : Buffer.concat(chunks)
    if (bytes.length < line + 2 + size + 2) return null
    chunks.push(bytes.subarray(line + 2, line + 2 + size))
    at = line + 2 + size + 2
  }
}

/** These bytes in pieces, cut where the fractions say. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [
    0,
    ...places.map((place) => Math.floor(place * bytes.length)).sort((a, b) => a - b),
    bytes.length,
  ]
  return at
    .slice(1)
    .map((end, index) => bytes.subarray(at[index]!, end))
    .filter(({ length }) => length > 0)
}

function chunked(body: Buffer, places: readonly number[], end = '0\r\n\r\n'): Buffer {
  const chunks = cut(body, places).flatMap((piece) => [
    Buffer.from(`${piece.length.toString(16)}\r\n`),
    piece,
    Buffer.from('\r\n'),
  ])
  return Buffer.concat([...chunks, Buffer.from(end)])
}

interface Writable {
  write(bytes: Buffer): unknown
  readonly destroyed: boolean
}

async function writePieces(socket: Writable, pieces: readonly Buffer[]): Promise<void> {
  for (const piece of pieces) {
    if (socket.destroyed) return
    socket.write(piece)
    // Two turns: long enough for the other side to read this piece alone.
    await setImmediate()
    await setImmediate()
  }
}

// --- What is drawn ------------------------------------------------------------------------------------------------

const places = fc.array(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), { maxLength: 8 })

const VISIBLE = 'abcXYZ019-_.:;,=/"\'() \t{}[]'
const textOf = (units: string) => fc.string({ unit: fc.constantFrom(...units), maxLength: 20 })
/** Names that mean something to a proxy, in any case, and names that mean nothing. */
const REQUEST_NAMES = [
  'authorization',
  'Cookie',
  'x-api-key',
  'TE',
  'keep-alive',
  'Proxy-Authorization',
  'trailer',
  'X-Ballast-Unit',
  'x-ballast-session',
  'x-request-id',
  'OpenAI-Organization',
  'openai-beta',
  'accept',
  'Accept-Encoding',
  'User-Agent',
  'content-type',
  'x-hop',
  'x-custom',
  'X-Custom',
]
const STOPPED = new Set(
  'host content-length connection transfer-encoding authorization cookie x-api-key te keep-alive proxy-authorization trailer x-ballast-unit x-ballast-session'.split(
    ' ',
  ),
)
/** Of an answer: of the connection, of another ballast, and of the upstream's own origin. */
const WITHHELD = new Set(['keep-alive', 'x-ballast-arm', 'set-cookie', 'alt-svc'])
const headerSet = (names: string[], value: fc.Arbitrary<string>) =>
  fc.array(fc.tuple(fc.constantFrom(...names), value), { maxLength: 8 })

const answer = fc.record({
  status: fc.constantFrom(200, 200, 200, 201, 400, 404, 422, 429, 500),
  headers: headerSet(
    [
      'x-request-id',
      'X-RateLimit-Remaining',
      'retry-after',
      'Set-Cookie',
      'alt-svc',
      'openai-version',
      'Keep-Alive',
      'content-type',
      'x-ballast-arm',
      'x-hop',
    ],
    // Not beyond ASCII, see the last test.
    textOf(VISIBLE),
  ),
  hop: fc.boolean(),
  body: fc.oneof(
    fc.uint8Array({ maxLength: 400 }),
    fc
      .string({ maxLength: 200 })
      .map((text) => Buffer.from(`data: ${JSON.stringify(text)}\n\ndata: [DONE]\n\n`)),
    fc.nat(10).map((more) => Buffer.alloc(70_000 + more, 7)),
  ),
  gzip: fc.boolean(),
  framing: fc.constantFrom('length', 'chunked', 'trailers', 'close'),
  chunks: places,
  cuts: places,
})
type Answer = typeof answer extends fc.Arbitrary<infer T> ? T : never

function answerBytes(given: Answer): { wire: Buffer; body: Buffer } {
  const { status, headers, hop, gzip, framing, chunks } = given
  const body = gzip ? gzipSync(given.body) : Buffer.from(given.body)
  const lines = [`HTTP/1.1 ${status} Said so`, ...headers.map(([name, text]) => `${name}: ${text}`)]
  if (gzip) lines.push('content-encoding: gzip')
  if (framing === 'length') lines.push(`content-length: ${body.length}`)
  if (framing === 'chunked' || framing === 'trailers') lines.push('transfer-encoding: chunked')
  if (hop) lines.push(`connection: x-hop${framing === 'close' ? ', close' : ''}`)
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  if (framing === 'length' || framing === 'close') return { wire: Buffer.concat([head, body]), body }
  const end = framing === 'trailers' ? '0\r\nx-trailer: t\r\n\r\n' : '0\r\n\r\n'
  return { wire: Buffer.concat([head, chunked(body, chunks, end)]), body }
}

const sending = fc.record({
  policy: fc.constantFrom(...Object.keys(POLICIES)),
  headers: headerSet(REQUEST_NAMES, textOf(`${VISIBLE}\xe9\xff`)),
  hop: fc.boolean(),
  chunked: fc.boolean(),
  chunks: places,
  cuts: places,
})
type Sending = typeof sending extends fc.Arbitrary<infer T> ? T : never

const surface = fc.constantFrom<SurfaceName>('chat', 'completions', 'responses')
/** A surface and a request to it. */
const request = surface.chain((name) => requestTexts[name].map((text) => ({ name, body: Buffer.from(text) })))

/** The same, broken: cut off, a byte changed, or anything at all. */
const brokenRequest = fc.oneof(
  fc.tuple(request, fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(255), fc.boolean()).map((drawn) => {
    const [{ name, body }, place, byte, cutOff] = drawn
    const at = Math.floor(place * (body.length - 1))
    if (cutOff) return { name, body: body.subarray(0, at) }
    const changed = Buffer.from(body)
    changed[at] = byte
    return { name, body: changed }
  }),
  fc.record({ name: surface, body: fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)) }),
)

// --- The proxy and what stands round it -----------------------------------------------------------------------------

async function start() {
  const folder = mkdtempSync(join(tmpdir(), 'ballast-fuzz-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const policies = Object.entries(POLICIES).flatMap(([id, interventions]) =>
    interventions === null ? [] : [{ id, interventions }],
  )
  writeFileSync(join(folder, 'fuzz.yaml'), JSON.stringify({ policies }))

  const received: Message[] = []
  let reply: Answer
  const sockets = new Set<{ destroy(): void }>()
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    let pending = Buffer.alloc(0)
    socket.on('error', () => {})
    socket.on('data', async (chunk) => {
      pending = Buffer.concat([pending, chunk])
      const message = parseMessage(pending)
      if (message === null) return
      received.push(message)
      pending = Buffer.alloc(0)
      const { framing, cuts } = reply
      await writePieces(socket, cut(answerBytes(reply).wire, cuts))
      if (framing === 'close') socket.end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo

  // One ballast a policy: the model, which could choose a route, is arbitrary too.
  const ballasts = new Map(
    await Promise.all(
      Object.entries(POLICIES).map(async ([id, interventions]) => {
        const policy = interventions === null ? '' : `, policy: fuzz/${id}`
        const ballast = await startTestBallast(
          `
store: memory
policies: ["\${CATALOG}", "\${FOLDER}"]
upstreams:
  main: {base_url: "http://127.0.0.1:${port}/v1", retries: 0, breaker: {failures: 1000000}}
  nowhere: {base_url: "http://127.0.0.1:1/v1"}
routes: [{model: "*", upstream: main${policy}, check: nineteenth-century, sample: 0.5}]
judge: {upstream: nowhere, model: j, attempts: 1}
`,
          { CATALOG: CATALOG_FOLDER, FOLDER: folder },
        )
        return [id, ballast] as const
      }),
    ),
  )

  /** Sends one request and reads its answer; fails when that takes too long. */
  async function exchange(path: string, body: Buffer, how: Sending, answered: Answer): Promise<Message> {
    received.length = 0
    reply = answered
    const lines = [
      `POST /v1${path} HTTP/1.1`,
      'Host: localhost',
      ...how.headers.map(([name, text]) => `${name}: ${text}`),
      how.chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${body.length}`,
      `Connection: close${how.hop ? ', x-hop' : ''}`,
    ]
    const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
    const wire = Buffer.concat([head, how.chunked ? chunked(body, how.chunks) : body])
    const { port: own } = new URL(ballasts.get(how.policy)!.url)
    const socket = connect({ port: Number(own), host: '127.0.0.1', noDelay: true })
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('error', () => {})
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`no end within ${BOUND_MS} ms`)), BOUND_MS)
    })
    try {
      await Promise.race([once(socket, 'connect'), late])
      const closed = once(socket, 'close')
      await writePieces(socket, cut(wire, how.cuts))
      await Promise.race([closed, late])
    } finally {
      clearTimeout(timer)
      socket.destroy()
    }
    const message = parseMessage(Buffer.concat(chunks), true)
    if (message === null) throw new Error(`no whole answer: ${Buffer.concat(chunks).toString('latin1')}`)
    return message
  }

  /** As many requests were counted as were sent, none as ballast's own fault. */
  async function expectCounted(sent: number) {
    const total = async () => {
      const texts = await Promise.all([...ballasts.values()].map((it) => it.metrics()))
      for (const text of texts) expect(text).not.toContain('ballast_internal')
      return texts.reduce((sum, text) => sum + metricValue(text, 'ballast_requests_total'), 0)
    }
    await eventually(async () => (await total()) === sent)
  }
  return { received, exchange, expectCounted }
}

// --- What must hold -------------------------------------------------------------------------------------------------

/** Whether all of `part` stands in `whole`, in its order. */
function isWithin(part: Buffer, whole: Buffer): boolean {
  let at = 0
  for (const byte of whole) if (at < part.length && part[at] === byte) at++
  return at === part.length
}

/** Nothing of the client's body was lost or changed; of `"instructions": null`, the `null` is replaced. */
function keepsBody(body: Buffer, sent: Buffer): boolean {
  if (isWithin(body, sent)) return true
  for (let at = body.indexOf('null'); at !== -1; at = body.indexOf('null', at + 1)) {
    if (isWithin(Buffer.concat([body.subarray(0, at), body.subarray(at + 4)]), sent)) return true
  }
  return false
}

function expectAnswer(client: Message, answered: Answer) {
  const { body } = answerBytes(answered)
  const [, status, reason] = /^HTTP\/1\.1 (\d+) (.*)$/.exec(client.first)!
  expect(Number(status)).toBe(answered.status)
  // Defect: of a reason that came in pieces undici 8.12.4 keeps the last one (lib/dispatcher/client-h1.js, onStatus).
  expect('Said so'.endsWith(reason!)).toBe(true)
  expect(client.body.equals(body)).toBe(true)
  const passed = answered.headers
    .map(([name, text]) => [name.toLowerCase(), text.trim()])
    .filter(([name]) => !WITHHELD.has(name!) && !(answered.hop && name === 'x-hop'))
  if (answered.gzip) passed.push(['content-encoding', 'gzip'])
  if (answered.framing === 'length') passed.push(['content-length', String(body.length)])
  const own = ['x-ballast-request-id', 'date', 'connection', 'transfer-encoding']
  expect(client.headers.filter(([name]) => !own.includes(name))).toEqual(passed)
  expect(client.headers.filter(([name]) => name === 'x-ballast-request-id')).toHaveLength(1)
}

function expectHeaders(sent: Message, how: Sending) {
  const expected = how.headers
    .map(([name, text]) => [name.toLowerCase(), text.trim()])
    .filter(([name]) => !STOPPED.has(name!) && !(how.hop && name === 'x-hop'))
  const own = ['host', 'connection', 'content-length', 'transfer-encoding']
  expect(sent.headers.filter(([name]) => !own.includes(name))).toEqual(expected)
}

const errorCode = ({ body }: Message) =>
  (JSON.parse(body.toString()) as { error: { code: string } }).error.code

test('any request, header set and chunking: injected as the reference does, or not sent', async () => {
  const { received, exchange, expectCounted } = await start()
  let sent = 0
  await fc.assert(
    fc.asyncProperty(request, sending, answer, async ({ name, body }, how, answered) => {
      const client = await exchange(PATHS[name], body, how, answered)
      sent++
      const parsed = JSON.parse(body.toString()) as { model?: unknown }
      const interventions = POLICIES[how.policy]!
      const wellFormed = parsed.model === undefined || typeof parsed.model === 'string'
      const expected =
        interventions === null || !wellFormed ? parsed : referenceInject(name, parsed, interventions)
      if (!wellFormed || expected === null) {
        const code = wellFormed ? 'ballast_policy_not_applicable' : 'ballast_malformed_body'
        expect([errorCode(client), received.length]).toEqual([code, 0])
        return
      }
      expect(received).toHaveLength(1)
      const [upstream] = received
      expect(upstream!.first).toBe(`POST /v1${PATHS[name]} HTTP/1.1`)
      expect(isDeepStrictEqual(JSON.parse(upstream!.body.toString()), expected)).toBe(true)
      expect(keepsBody(body, upstream!.body)).toBe(true)
      if (interventions === null) expect(upstream!.body.equals(body)).toBe(true)
      expectHeaders(upstream!, how)
      expectAnswer(client, answered)
    }),
    { numRuns: RUNS },
  )
  await expectCounted(sent)
})

test('a broken request is refused or sent on with every byte of it, never in part', async () => {
  const { received, exchange, expectCounted } = await start()
  let sent = 0
  await fc.assert(
    fc.asyncProperty(brokenRequest, sending, answer, async ({ name, body }, how, answered) => {
      const client = await exchange(PATHS[name], body, how, answered)
      sent++
      if (received.length === 0) {
        expect(errorCode(client)).toMatch(/^ballast_(malformed_body|policy_not_applicable)$/)
        return
      }
      expect(received).toHaveLength(1)
      expect(keepsBody(body, received[0]!.body)).toBe(true)
      expectAnswer(client, answered)
    }),
    { numRuns: RUNS },
  )
  await expectCounted(sent)
})

test('what is passed through reaches the upstream as it is, and so does its answer the client', async () => {
  const { received, exchange, expectCounted } = await start()
  let sent = 0
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    request.map((drawn) => drawn.body),
  )
  const path = fc.constantFrom('/files', '/embeddings', '/audio/speech?x=%20', '/chat/completions/1')
  await fc.assert(
    fc.asyncProperty(path, body, sending, answer, async (to, bytes, how, answered) => {
      const client = await exchange(to, bytes, how, answered)
      sent++
      expect(received).toHaveLength(1)
      expect(received[0]!.first).toBe(`POST /v1${to} HTTP/1.1`)
      expect(received[0]!.body.equals(bytes)).toBe(true)
      expectHeaders(received[0]!, how)
      expectAnswer(client, answered)
    }),
    { numRuns: RUNS / 2 },
  )
  await expectCounted(sent)
})

test.each(['/chat/completions', '/files'])(
  'a header beyond ASCII comes out byte for byte: %s',
  async (path) => {
    const { exchange } = await start()
    const how: Sending = { policy: 'none', headers: [], hop: false, chunked: false, chunks: [], cuts: [] }
    const answered: Answer = {
      status: 200,
      headers: [['x-request-id', 'caf\xe9']],
      hop: false,
      body: Buffer.from('{}'),
      gzip: false,
      framing: 'length',
      chunks: [],
      cuts: [],
    }
    expectAnswer(await exchange(path, Buffer.from('{"stream":true}'), how, answered), answered)
  },
)
