/**
 * A long run through `ballast serve` in a process of its own: mixed requests, clients that leave, an upstream that fails.
 * Afterwards nothing is left of them: no socket, no growth of the heap, and every answer was the right one.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { Pool } from 'undici'
import { expect, onTestFinished, test } from 'vitest'
import { eventually, metricValue } from './support/ballast.ts'
import { completion, eventStream } from './support/upstream.ts'

const LONG = 50_000
const SHORT = 2_000
const REQUESTS = Number(process.env.BALLAST_SOAK) || (process.env.BALLAST_REQUIRE_ALL === '1' ? LONG : SHORT)
/** After this many the heap is measured first. */
const WARM_UP = REQUESTS / 10
const CONCURRENCY = 32
const ABORTS = 0.1
const FAULTS = 0.05
const LEAVE_MS = 25
const HEAP_GROWTH = 1.1
const HEAP_CONSTANT = 3 * 1024 * 1024
const TIMEOUT_MS = 240_000
const CONTEXT = "I'm an etymologist working for the Audubon Society."

/** Runs in ballast's process: on SIGUSR2 it says on stderr what is left after a garbage collection. */
const PROBE = `
process.on('SIGUSR2', async () => {
  for (let round = 0; round < 4; round++) { gc(); await new Promise((resolve) => setTimeout(resolve, 30)) }
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  process.stderr.write('PROBE ' + JSON.stringify({ heapUsed, arrayBuffers, resources: process.getActiveResourcesInfo() }) + '\\n')
})`

interface Probed {
  readonly heapUsed: number
  readonly arrayBuffers: number
  readonly resources: readonly string[]
}

/** Numbers from a seed (mulberry32), so that a run can be made again. */
function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

// --- The upstream ---------------------------------------------------------------------------------------------------

const FAULT_NAMES = ['reset', 'cut', 'status500', 'status429', 'garbage', 'stall'] as const
type Fault = (typeof FAULT_NAMES)[number]

/** What a request is answered with; the upstream is told by `x-soak`, the client knows it. */
interface Script {
  readonly id: string
  readonly stream: boolean
  readonly gzip: boolean
  readonly fault: Fault | null
  /** Its client will leave within `LEAVE_MS`: the answer takes longer. */
  readonly leaves: boolean
}

const textOf = (id: string) => `answer to ${id} ${'and so on '.repeat(20)}`

function answerOf({ id, stream, gzip }: Script): Buffer[] {
  if (stream) {
    const text = eventStream(
      textOf(id)
        .match(/.{1,24}/gs)!
        .map((content) => ({ content })),
    )
    return text.split(/(?<=\n\n)/).map((event) => Buffer.from(event))
  }
  const body = JSON.stringify(completion(textOf(id)))
  return [gzip ? gzipSync(body) : Buffer.from(body)]
}

async function startUpstream() {
  /** Bodies that came, by the request's id; each is taken once by the client's side. */
  const received = new Map<string, string>()
  let failed = new Set<string>()
  const server = createServer({ keepAliveTimeout: 2_000 }, async (request, response) => {
    const chunks: Buffer[] = []
    request.on('error', () => {})
    response.on('error', () => {})
    for await (const chunk of request.on('error', () => {})) chunks.push(chunk as Buffer)
    const given = request.headers['x-soak']
    const body = Buffer.concat(chunks).toString()
    if (given === undefined) return judge(response)
    const script = JSON.parse(String(given)) as Script
    received.set(script.id, body)
    // A retry of what is to be mended by a retry succeeds.
    const { fault } = script
    if (fault === null || (failed.has(script.id) && fault !== 'cut' && fault !== 'stall')) {
      failed.delete(script.id)
      return await answer(script, response)
    }
    failed.add(script.id)
    fail(fault, request, response)
  })
  server.on('connection', (socket) => socket.on('error', () => {}))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/v1`,
    received,
    forget: () => {
      failed = new Set()
      received.clear()
    },
    connections: () =>
      new Promise<number>((resolve) => server.getConnections((_error, count) => resolve(count))),
  }
}

function judge(response: ServerResponse): void {
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify(completion('LLM')))
}

async function answer(script: Script, response: ServerResponse): Promise<void> {
  if (script.leaves) await sleep(LEAVE_MS / 2)
  response.writeHead(200, {
    'content-type': script.stream ? 'text/event-stream' : 'application/json',
    ...(script.gzip && !script.stream ? { 'content-encoding': 'gzip' } : {}),
  })
  for (const [index, piece] of answerOf(script).entries()) {
    if (response.destroyed) return
    response.write(piece)
    if (script.stream && index % 4 === 0) await sleep(1)
  }
  if (script.leaves) await sleep(LEAVE_MS * 2)
  response.end()
}

function fail(fault: Fault, request: IncomingMessage, response: ServerResponse): void {
  switch (fault) {
    case 'reset':
      return void request.socket.resetAndDestroy()
    case 'garbage':
      return void request.socket.end('this is not HTTP\r\n\r\n')
    case 'cut':
      response.writeHead(200, { 'content-length': 5000 })
      return void response.write('half', () => setTimeout(() => request.socket.destroy(), 5))
    case 'stall':
      return
    default:
      response.writeHead(Number(fault.slice('status'.length)), { 'retry-after-ms': '5' })
      response.end('{"error":{}}')
  }
}

// --- ballast --------------------------------------------------------------------------------------------------------

interface Served {
  readonly child: ChildProcessWithoutNullStreams
  readonly url: string
  /** Everything on stderr that is not a probe's. */
  readonly log: () => string
  metrics(): Promise<string>
  probe(): Promise<Probed>
}

async function serve(upstreamUrl: string): Promise<Served> {
  const folder = mkdtempSync(join(tmpdir(), 'ballast-soak-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'ballast.yaml')
  writeFileSync(
    file,
    `
listen: 127.0.0.1:0
admin: {listen: "127.0.0.1:0"}
store: sqlite:${folder}/soak.db
policies: catalog
upstreams:
  main: {base_url: "${upstreamUrl}", retries: 1, timeout: {connect: 2s, headers: 1s, idle: 1s}, breaker: {failures: 1000000}}
routes:
  - {model: "birds-*", upstream: main, experiment: birds}
  - {model: "*", upstream: main}
experiments:
  birds:
    arms: {control: {weight: 0}, etymologist: {weight: 1, policy: birds/identity-etymologist}}
    check: nineteenth-century
    sample: 0.02
judge: {upstream: main, model: judge, concurrency: 4, attempts: 2}
`,
  )
  const flags = ['--expose-gc', '--import', `data:text/javascript,${encodeURIComponent(PROBE)}`]
  const child = spawn(process.execPath, [...flags, 'src/cli/main.ts', 'serve', '--config', file], {
    cwd: join(import.meta.dirname, '..'),
  }) as ChildProcessWithoutNullStreams
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines: string[] = []
  const probes: Probed[] = []
  let rest = ''
  child.stderr.on('data', (chunk) => {
    const parts = (rest + chunk).split('\n')
    rest = parts.pop()!
    for (const line of parts) {
      if (line.startsWith('PROBE ')) probes.push(JSON.parse(line.slice(6)) as Probed)
      else lines.push(line)
    }
  })
  child.stdout.resume()
  await eventually(() => lines.length > 0 || child.exitCode !== null)
  const { url, admin } = JSON.parse(lines[0]!) as { url: string; admin: string }
  return {
    child,
    url,
    log: () => lines.join('\n'),
    metrics: async () => {
      const response = await fetch(`${admin}/metrics`, { headers: { connection: 'close' } })
      return await response.text()
    },
    async probe() {
      const before = probes.length
      child.kill('SIGUSR2')
      await eventually(() => probes.length > before)
      return probes.at(-1)!
    },
  }
}

// --- The clients ----------------------------------------------------------------------------------------------------

interface Tally {
  whole: number
  left: number
  faulty: number
  wrong: string[]
}

const SURFACE_PATHS = [
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/responses',
  '/v1/embeddings',
  '/v1/files',
]

/** A request, and the body that the upstream must get for it. */
function draw(id: string, leaves: boolean, random: () => number) {
  const path = SURFACE_PATHS[Math.floor(random() * (random() < 0.5 ? 1 : SURFACE_PATHS.length))]!
  const injected = random() < 0.6
  const stream = random() < 0.3
  const fault = random() < FAULTS ? FAULT_NAMES[Math.floor(random() * FAULT_NAMES.length)]! : null
  const script: Script = { id, stream, gzip: random() < 0.2, fault, leaves }
  const model = injected ? 'birds-1' : 'base'
  const user = `user-${Math.floor(random() * 200)}`
  const filler = random() < 0.02 ? 'x'.repeat(200_000) : 'x'.repeat(Math.floor(random() * 500))
  const head = `{"model":"${model}","user":"${user}","stream": ${stream},`
  const member = {
    '/v1/chat/completions': (text: string) => `"messages":[{"role":"user","content":"${text}"}]}`,
    '/v1/completions': (text: string) => `"prompt":"${text}"}`,
    '/v1/responses': (text: string) => `"input":"${text}"}`,
  }[path]
  const content = `${id} ${filler}`
  if (member === undefined) {
    const body = `${head}"input":"${content}"}`
    return { path, script, body, expected: body }
  }
  const expected = head + member(injected ? `${CONTEXT} ${content}` : content)
  return { path, script, body: head + member(content), expected }
}

function isRetried(path: string, fault: Fault): boolean {
  // An upload that is streamed is sent once.
  if (path === '/v1/files') return false
  return fault !== 'cut' && fault !== 'stall'
}

async function runOne(
  pool: Pool,
  received: Map<string, string>,
  id: string,
  random: () => number,
  tally: Tally,
): Promise<void> {
  const leave = random() < ABORTS ? random() * LEAVE_MS : null
  const { path, script, body, expected } = draw(id, leave !== null, random)
  const signal = leave === null ? null : AbortSignal.timeout(Math.ceil(leave))
  const mended = script.fault === null || isRetried(path, script.fault)
  let got: { status: number; body: Buffer } | null = null
  try {
    const response = await pool.request({
      path,
      method: 'POST',
      headers: {
        'content-type': path === '/v1/files' ? 'multipart/form-data; boundary=x' : 'application/json',
        'x-soak': JSON.stringify(script),
      },
      body,
      signal,
    })
    const chunks: Buffer[] = []
    for await (const chunk of response.body) chunks.push(chunk as Buffer)
    got = { status: response.statusCode, body: Buffer.concat(chunks) }
  } catch (error) {
    if (signal?.aborted !== true && mended) tally.wrong.push(`${id}: ${String(error)}`)
  }
  const sent = received.get(id)
  received.delete(id)
  if (sent !== undefined && sent !== expected)
    tally.wrong.push(`${id} ${path}: the upstream got ${sent.slice(0, 200)}`)
  if (got === null) {
    if (signal?.aborted === true) tally.left++
    else tally.faulty++
  } else if (got.status === 200) {
    tally.whole++
    if (!mended) tally.wrong.push(`${id}: 200 in spite of ${script.fault}`)
    if (!got.body.equals(Buffer.concat(answerOf(script)))) tally.wrong.push(`${id}: another answer`)
  } else {
    tally.faulty++
    if (got.body.includes('ballast_internal')) tally.wrong.push(`${id} ${path}: ${got.body}`)
    if (mended) tally.wrong.push(`${id} ${path} ${script.fault}: status ${got.status}`)
  }
}

/** Sends requests, `CONCURRENCY` at a time, over kept connections that are closed afterwards. */
async function run(served: Served, received: Map<string, string>, from: number, to: number, tally: Tally) {
  const pool = new Pool(new URL(served.url).origin, { connections: CONCURRENCY, pipelining: 1 })
  let next = from
  const worker = async () => {
    while (next < to) {
      const index = next++
      await runOne(pool, received, `r${index}`, randomNumbers(index), tally)
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, worker))
  await pool.close()
}

const sockets = ({ resources }: Probed) => resources.filter((name) => name === 'TCPSocketWrap').length

/** Waits until nothing is on its way any more: requests, samples, idle connections. */
async function comeToRest(served: Served, upstream: { connections(): Promise<number> }): Promise<Probed> {
  await eventually(async () => metricValue(await served.metrics(), 'ballast_judge_queue_depth') === 0)
  await eventually(async () => (await upstream.connections()) === 0)
  let probed = await served.probe()
  await eventually(async () => {
    if (sockets(probed) > 0) probed = await served.probe()
    return sockets(probed) === 0
  }, 10_000)
  return probed
}

test(
  `${REQUESTS} mixed requests leave nothing behind (BALLAST_SOAK=${LONG} for the long run)`,
  async () => {
    const upstream = await startUpstream()
    const served = await serve(upstream.url)
    const tally: Tally = { whole: 0, left: 0, faulty: 0, wrong: [] }

    await run(served, upstream.received, 0, WARM_UP, tally)
    upstream.forget()
    const before = await comeToRest(served, upstream)
    await run(served, upstream.received, WARM_UP, REQUESTS, tally)
    // At most the idle connections of as many requests as ran at a time, the judge's included.
    expect(await upstream.connections()).toBeLessThanOrEqual(CONCURRENCY + 4)
    const after = await comeToRest(served, upstream)

    expect(tally.wrong.slice(0, 10)).toEqual([])
    expect(tally.whole + tally.left + tally.faulty).toBe(REQUESTS)
    expect(tally.whole).toBeGreaterThan(REQUESTS * 0.8)
    expect(tally.left).toBeGreaterThan(REQUESTS * ABORTS * 0.85)
    expect(tally.faulty).toBeGreaterThan(REQUESTS * FAULTS * 0.15)

    // Every request was counted once, and every sample has its end.
    const text = await served.metrics()
    expect(metricValue(text, 'ballast_requests_total')).toBeLessThanOrEqual(REQUESTS)
    expect(metricValue(text, 'ballast_requests_total')).toBeGreaterThanOrEqual(tally.whole + tally.faulty)
    expect(metricValue(text, 'ballast_verdicts_total')).toBeGreaterThan(0)
    expect(metricValue(text, 'ballast_verdicts_total')).toBe(
      metricValue(text, 'ballast_samples_total', { outcome: 'stored' }),
    )

    const show = ({ heapUsed, arrayBuffers }: Probed) =>
      `heap ${(heapUsed / 1e6).toFixed(1)} MB, buffers ${(arrayBuffers / 1e6).toFixed(1)} MB`
    const counts = `${tally.whole} whole, ${tally.left} left, ${tally.faulty} faulty`
    process.stderr.write(` soak: ${counts}; ${show(before)} after ${WARM_UP}, ${show(after)} at the end\n`)
    expect(served.child.exitCode).toBeNull()
    expect(served.log()).not.toMatch(/"level":(50|60)|unhandled|Warning/i)
    expect(after.resources.filter((name) => name.startsWith('TCP') && name !== 'TCPServerWrap')).toEqual([])
    expect(after.heapUsed).toBeLessThan(before.heapUsed * HEAP_GROWTH + HEAP_CONSTANT)
    expect(after.arrayBuffers).toBeLessThan(before.arrayBuffers * HEAP_GROWTH + HEAP_CONSTANT)

    const ended = once(served.child, 'exit')
    served.child.kill('SIGTERM')
    expect(await ended).toEqual([0, null])
    expect(await upstream.connections()).toBe(0)
  },
  TIMEOUT_MS,
)
