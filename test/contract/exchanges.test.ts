/**
 * The contract: whatever a client sends and whatever the provider answers, ballast in between changes nothing that is
 * not its own. Each exchange of the corpus runs over real sockets three times against the same scripted upstream:
 * directly, through a ballast without a policy, and, on the injected surfaces, through one whose arm has a policy and
 * whose exchanges are all sampled.
 */
import { request as httpRequest, type ServerResponse } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RUNTIME, type RunningBallast, startAnyBallast } from '../support/ballast.ts'
import { type Answer, completion, json, type ScriptedUpstream, startUpstream } from '../support/upstream.ts'
import { CONTEXT, EXCHANGES, type Exchange, KNOWN_DIFFERENCES, type ScriptedAnswer } from './exchanges.ts'

const UPSTREAM_OPTIONS = 'api_key: sk-upstream, retries: 0, breaker: {failures: 1000000}'
const PLAIN = `
store: memory
upstreams: {u: {base_url: "\${UPSTREAM}", ${UPSTREAM_OPTIONS}}}
routes: [{model: "*", upstream: u}]
`
const INJECTED = `
store: memory
upstreams:
  u: {base_url: "\${UPSTREAM}", ${UPSTREAM_OPTIONS}}
  judge: {base_url: "\${JUDGE}", retries: 0, breaker: {failures: 1000000}}
routes: [{model: "*", upstream: u, experiment: birds}]
experiments:
  birds:
    arms: {only: {weight: 1, policy: birds/identity-etymologist}}
    without_control: true
    check: nineteenth-century
    sample: 1
judge: {upstream: judge, model: j, attempts: 1}
`
/** What a policy that was not applied leaves of a request. */
const NOT_APPLICABLE = 'ballast_policy_not_applicable'

let upstream: ScriptedUpstream
let judge: ScriptedUpstream
const ballasts: RunningBallast[] = []
const via = { direct: '', plain: '', injected: '' }

beforeAll(async () => {
  upstream = await startUpstream(() => {})
  judge = await startUpstream((_request, response) => json(response, 200, completion('{}')))
  const start = async (yaml: string) => {
    const ballast = await startAnyBallast(yaml, { UPSTREAM: upstream.url, JUDGE: judge.url })
    ballasts.push(ballast)
    return ballast.url
  }
  via.direct = upstream.url
  via.plain = await start(PLAIN)
  via.injected = await start(INJECTED)
})

afterAll(async () => {
  for (const ballast of ballasts) await ballast.close(0)
  await upstream.close()
  await judge.close()
})

// --- sending ------------------------------------------------------------------------------------------------------

type Pair = readonly [name: string, value: string]

interface Received {
  readonly status: number
  readonly statusText: string
  readonly headers: Pair[]
  readonly body: Buffer
}

function pairs(raw: readonly string[]): Pair[] {
  return Array.from({ length: raw.length / 2 }, (_, at) => [raw[2 * at]!, raw[2 * at + 1]!] as const)
}

interface Listeners {
  head(): void
  chunk(chunk: Buffer): void
}

function send(base: string, exchange: Exchange, listeners?: Listeners): Promise<Received> {
  const { method, path, body, requestFraming } = exchange
  const { hostname, port, host } = new URL(base)
  const framing: Pair[] =
    requestFraming === 'length'
      ? [['content-length', String(body.length)]]
      : requestFraming === 'chunked'
        ? [['transfer-encoding', 'chunked']]
        : []
  const headers = [['host', host] as const, ...exchange.headers, ...framing].flat()
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest({ hostname, port, method, path, headers, agent: false }, (response) => {
      listeners?.head()
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        listeners?.chunk(chunk)
      })
      response.on('error', reject)
      response.on('end', () =>
        resolve({
          status: response.statusCode!,
          statusText: response.statusMessage!,
          headers: pairs(response.rawHeaders),
          body: Buffer.concat(chunks),
        }),
      )
    })
    outgoing.on('error', reject)
    if (requestFraming === 'chunked') {
      // In two pieces, which need not meet what is being asked.
      const middle = Math.floor(body.length / 2)
      outgoing.write(body.subarray(0, middle))
      setImmediate(() => outgoing.end(body.subarray(middle)))
    } else outgoing.end(body)
  })
}

// --- answering ----------------------------------------------------------------------------------------------------

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

function writeHead(response: ServerResponse, answer: ScriptedAnswer): void {
  if (answer.processing === true) response.writeProcessing()
  if (answer.framing === 'close') {
    // Without a length and without chunks, the connection's end is the body's.
    response.useChunkedEncodingByDefault = false
    response.shouldKeepAlive = false
  }
  const headers = answer.headers.flat()
  if (answer.statusText === undefined) response.writeHead(answer.status, headers)
  else response.writeHead(answer.status, answer.statusText, headers)
}

const script =
  (answer: ScriptedAnswer): Answer =>
  async (_request, response) => {
    writeHead(response, answer)
    for (const chunk of answer.chunks) {
      if (!response.write(chunk)) await new Promise<void>((resolve) => response.once('drain', resolve))
      if (answer.chunks.length < 50) await turn()
    }
    response.end()
  }

// --- comparing ----------------------------------------------------------------------------------------------------

/** Trailers pass, so what announces them does too, with a body in chunks. */
const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'transfer-encoding',
  'upgrade',
]
/** About the upstream's own connection or origin. */
const STAY_THERE = ['set-cookie', 'alt-svc']
const STAY_HERE = ['host', 'expect', 'cookie', 'x-ballast-unit', 'x-ballast-session']
const CREDENTIALS = ['authorization', 'api-key', 'x-api-key']

/**
 * On workerd names come in lower case and in the order of the alphabet, values of one name in one line; and the request
 * says that a Worker sent it, and that the answer is not to be compressed where nothing is said of it.
 */
function asSeenThere(headers: readonly Pair[]): Pair[] {
  const seen = new Headers(headers.map(([name, value]): [string, string] => [name, value]))
  seen.delete('cf-worker')
  if (seen.get('accept-encoding') === 'identity') seen.delete('accept-encoding')
  return [...seen]
}

/** Headers that must pass, in their order, spelled as they were. */
function passing(headers: readonly Pair[], stopped: readonly string[]): Pair[] {
  const named = headers
    .filter(([name]) => name.toLowerCase() === 'connection')
    .flatMap(([, value]) => value.toLowerCase().split(/ *, */))
  const gone = new Set([...HOP_BY_HOP, ...stopped, ...named])
  const kept = headers.filter(([name]) => !gone.has(name.toLowerCase()))
  return RUNTIME === 'node' ? kept : asSeenThere(kept)
}

function answerSeen(received: Received, exchange: Exchange, proxied: boolean) {
  const scripted = new Set(exchange.answer.headers.map(([name]) => name.toLowerCase()))
  const own = ['x-ballast-request-id', ...(proxied ? [] : ['x-ballast-arm', ...STAY_THERE])]
  return {
    status: received.status,
    statusText: received.statusText,
    // Unless the provider says one, the date is of whoever answers.
    headers: passing(received.headers, scripted.has('date') ? own : [...own, 'date']),
    body: received.body,
  }
}

function requestSeen(exchange: Exchange) {
  expect(upstream.requests).toHaveLength(1)
  const { method, url, rawHeaders, body, headers } = upstream.requests[0]!
  const stopped = [...STAY_HERE, ...CREDENTIALS, 'content-length']
  const length = headers['content-length']
  if (length !== undefined) expect(Number(length)).toBe(body.length)
  // A body that was announced by its length is not passed on in chunks.
  if (exchange.requestFraming === 'length') expect(headers['transfer-encoding']).toBeUndefined()
  // No word of a body where there is none.
  if (exchange.requestFraming === 'none') expect([undefined, '0']).toContain(length)
  return { method, url, headers: passing(pairs(rawHeaders), stopped), body }
}

async function run(base: string, exchange: Exchange) {
  upstream.requests.length = 0
  upstream.answer = script(exchange.answer)
  return await send(base, exchange)
}

/** Like `toEqual`, without printing megabytes. */
function expectSame<T extends { readonly body: Buffer }>(actual: T, expected: T): void {
  const { body: actualBody, ...actualRest } = actual
  const { body: expectedBody, ...expectedRest } = expected
  expect(actualRest).toEqual(expectedRest)
  if (actualBody.equals(expectedBody)) return
  const at = actualBody.findIndex((byte, index) => byte !== expectedBody[index])
  const from = Math.max(0, (at < 0 ? Math.min(actualBody.length, expectedBody.length) : at) - 40)
  const around = (body: Buffer) => `${body.length} bytes: …${body.toString('latin1', from, from + 120)}`
  expect(around(actualBody)).toBe(around(expectedBody))
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

function expectOwnHeaders(received: Received): void {
  const own = received.headers.filter(([name]) => name.toLowerCase().startsWith('x-ballast-'))
  expect(own).toEqual([['x-ballast-request-id', expect.stringMatching(UUID)]])
}

/** What is said of one connection stays on it. */
function expectHops(exchange: Exchange, received: Received): void {
  const scripted = exchange.answer.headers.filter(([name]) => HOP_BY_HOP.includes(name.toLowerCase()))
  for (const pair of scripted) expect(received.headers).not.toContainEqual(pair)
  const { rawHeaders } = upstream.requests[0]!
  const hops = pairs(rawHeaders).filter(([name]) => HOP_BY_HOP.includes(name.toLowerCase()))
  for (const [name, value] of hops) {
    expect(['connection: keep-alive', 'connection: close', 'transfer-encoding: chunked']).toContain(
      `${name.toLowerCase()}: ${value}`,
    )
  }
}

function expectCredentials(): void {
  const { headers } = upstream.requests[0]!
  expect(headers.authorization).toBe('Bearer sk-upstream')
  for (const name of [...STAY_HERE.slice(1), 'api-key', 'x-api-key']) expect(headers).not.toHaveProperty(name)
}

async function expectContract(exchange: Exchange): Promise<void> {
  const direct = answerSeen(await run(via.direct, exchange), exchange, false)
  const asked = requestSeen(exchange)
  // The corpus itself: what the direct way shows is what the table says.
  expect(direct.status).toBe(exchange.answer.status)
  if (exchange.method !== 'HEAD') expect(direct.body.equals(Buffer.concat(exchange.answer.chunks))).toBe(true)
  expect(asked.body.equals(exchange.body)).toBe(true)

  const received = await run(via.plain, exchange)
  expectSame(answerSeen(received, exchange, true), direct)
  expectOwnHeaders(received)
  expectSame(requestSeen(exchange), asked)
  expectCredentials()
  expectHops(exchange, received)

  const { injected } = exchange
  if (injected === null) return
  const changed = await run(via.injected, exchange)
  expectOwnHeaders(changed)
  if (injected === 'refused') {
    expect(changed.status).toBe(422)
    expect(JSON.parse(changed.body.toString()).error.code).toBe(NOT_APPLICABLE)
    expect(upstream.requests).toHaveLength(0)
    return
  }
  expectSame(answerSeen(changed, exchange, true), direct)
  expectSame(requestSeen(exchange), { ...asked, body: injected })
  expectCredentials()
  expectHops(exchange, changed)
}

// --- the tests ----------------------------------------------------------------------------------------------------

describe(`${EXCHANGES.length} exchanges, the same through the proxy as direct`, () => {
  test('the corpus has at least 150 of them, no two alike', () => {
    expect(EXCHANGES.length).toBeGreaterThanOrEqual(150)
    expect(new Set(EXCHANGES.map(({ name }) => name)).size).toBe(EXCHANGES.length)
    const essence = EXCHANGES.map(({ name: _, ...rest }) => JSON.stringify(rest))
    expect(new Set(essence).size).toBe(EXCHANGES.length)
    // On a surface a context is added, unless the case is about there being no place for it.
    const unchanged = EXCHANGES.filter(
      ({ injected }) => injected instanceof Buffer && !injected.includes(CONTEXT),
    )
    expect(unchanged.map(({ path }) => path)).toEqual(['/v1/responses', '/v1/responses'])
    for (const { body, name } of EXCHANGES)
      expect(body.includes('@@') || body.includes('@P@'), name).toBe(false)
  })

  test.each(EXCHANGES)('$name', expectContract)

  test.fails.each(KNOWN_DIFFERENCES)('known to differ: $name', expectContract)
})

const PACED = EXCHANGES.filter(({ paced }) => paced)

describe(`${PACED.length} streams, each chunk at the client before the next is sent`, () => {
  test.each(PACED)('$name', async (exchange) => {
    const { chunks } = exchange.answer
    for (const base of exchange.injected === null ? [via.plain] : [via.plain, via.injected]) {
      upstream.requests.length = 0
      const seen: Buffer[] = []
      let arrived = () => {}
      const headSent = Promise.withResolvers<void>()
      const within = <T>(what: string, promise: Promise<T>) => {
        const { promise: late, reject } = Promise.withResolvers<never>()
        const timer = setTimeout(() => reject(new Error(`withheld: ${what}`)), 3_000)
        return Promise.race([promise, late]).finally(() => clearTimeout(timer))
      }
      const failed = Promise.withResolvers<never>()
      upstream.answer = async (_request, response) => {
        try {
          writeHead(response, exchange.answer)
          response.flushHeaders()
          await within('the head', headSent.promise)
          for (const [index, chunk] of chunks.entries()) {
            const delivered = new Promise<void>((resolve) => {
              arrived = resolve
            })
            response.write(chunk)
            await within(`chunk ${index + 1} of ${chunks.length}`, delivered)
          }
          response.end()
        } catch (error) {
          response.destroy()
          failed.reject(error)
        }
      }
      await Promise.race([
        failed.promise,
        send(base, exchange, {
          head: headSent.resolve,
          chunk: (chunk) => {
            seen.push(chunk)
            arrived()
          },
        }),
      ])
      expect(seen.map((chunk) => chunk.toString('latin1'))).toEqual(
        chunks.map((chunk) => chunk.toString('latin1')),
      )
    }
  })
})

test('the ballast with a policy sampled what passed through it', async () => {
  const metrics = await ballasts[1]!.metrics()
  expect(metrics).toMatch(/ballast_samples_total\{[^}]*\} [1-9]/)
})
