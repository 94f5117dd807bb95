/**
 * An upstream that speaks HTTP/2, behind a `ballast serve` in a process of its own: only there can its certificate be
 * trusted. What passes, what is cancelled, what holds back.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import {
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generate } from 'selfsigned'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { eventually } from '../support/ballast.ts'

type Answer = (request: Http2ServerRequest, response: Http2ServerResponse, body: string) => void

const BODY = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'Hi' }] })
const INJECTED = "I'm an etymologist working for the Audubon Society. Hi"
let answer: Answer
const bodies: string[] = []
const versions = new Set<string>()
const sessions = new Set<ServerHttp2Session>()
const cleanups: (() => void)[] = []
let url: string

beforeAll(async () => {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }],
  })
  const server = createSecureServer({ key, cert, allowHTTP1: true }, (request, response) => {
    versions.add(request.httpVersion)
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      bodies.push(body)
      answer(request, response, body)
    })
  })
  server.on('session', (session) => {
    sessions.add(session)
    session.on('close', () => sessions.delete(session)).on('error', () => {})
  })
  server.listen(0, 'localhost')
  await once(server, 'listening')

  const folder = mkdtempSync(join(tmpdir(), 'ballast-'))
  writeFileSync(join(folder, 'ca.pem'), cert)
  writeFileSync(
    join(folder, 'ballast.yaml'),
    `
listen: 127.0.0.1:0
admin: {listen: "127.0.0.1:0"}
store: memory
upstreams:
  u: {base_url: "https://localhost:${(server.address() as AddressInfo).port}/v1", http2: true, retries: 1}
routes: [{model: "*", upstream: u, policy: birds/identity-etymologist}]
`,
  )
  const child = spawn(
    process.execPath,
    ['src/cli/main.ts', 'serve', '--config', join(folder, 'ballast.yaml')],
    {
      cwd: join(import.meta.dirname, '../..'),
      env: { ...process.env, NODE_EXTRA_CA_CERTS: join(folder, 'ca.pem') },
    },
  )
  cleanups.push(
    () => void child.kill('SIGKILL'),
    () => {
      for (const session of sessions) session.destroy()
      server.close()
    },
  )
  let said = ''
  child.stderr.on('data', (chunk) => {
    said += chunk
  })
  await eventually(() => said.includes('ballast serves'), 15_000)
  url = (JSON.parse(said.split('\n').find((line) => line.includes('ballast serves'))!) as { url: string }).url
})

afterAll(() => {
  for (const cleanup of cleanups) cleanup()
})

beforeEach(() => {
  bodies.length = 0
})

const ask = (path = '/chat/completions', init: RequestInit = {}) =>
  fetch(url + path, { method: 'POST', body: BODY, headers: { 'content-type': 'application/json' }, ...init })

test('a request is injected and its answer comes back, headers, error status and all', async () => {
  answer = (_request, response) => {
    response.writeHead(429, {
      'content-type': 'application/json',
      'x-request-id': 'r-1',
      'retry-after': '60',
    })
    response.end('{"error":{}}')
  }
  const response = await ask()
  expect([response.status, await response.text()]).toEqual([429, '{"error":{}}'])
  expect([response.headers.get('x-request-id'), response.headers.get('retry-after')]).toEqual(['r-1', '60'])
  expect(JSON.parse(bodies[0]!).messages[0].content).toBe(INJECTED)
  expect([...versions]).toEqual(['2.0'])
})

test('100 streams at a time share few connections, and each comes back byte for byte', async () => {
  answer = (request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(`data: ${request.url}\n\n`)
    setTimeout(() => response.end('data: [DONE]\n\n'), 20)
  }
  const texts = await Promise.all(
    Array.from({ length: 100 }, async (_, index) => await (await ask(`/chat/completions?n=${index}`)).text()),
  )
  expect(texts).toEqual(
    Array.from({ length: 100 }, (_, index) => `data: /v1/chat/completions?n=${index}\n\ndata: [DONE]\n\n`),
  )
  expect(sessions.size).toBeLessThan(50)
})

test('informational answers and trailers pass', async () => {
  answer = (_request, response) => {
    response.stream.additionalHeaders({ ':status': 103, link: '</a>; rel=preload' })
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: 1\n\n')
    response.addTrailers({ 'x-checksum': 'abc' })
    response.end()
  }
  const informed: number[] = []
  const trailers = await new Promise((resolve, reject) => {
    const request = httpRequest(`${url}/chat/completions`, { method: 'POST', agent: false }, (response) => {
      response.resume().on('end', () => resolve(response.rawTrailers))
    })
    request.on('information', ({ statusCode }) => informed.push(statusCode)).on('error', reject)
    request.end(BODY)
  })
  expect([informed, trailers]).toEqual([[103], ['x-checksum', 'abc']])
})

test.each(['before the head', 'in the middle'])(
  'a client that leaves cancels its stream at once and no other: %s',
  async (when) => {
    let cancelled = false
    let keep: Http2ServerResponse | null = null
    answer = (request, response) => {
      if (request.url.endsWith('keep')) {
        keep = response
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write('data: 1\n\n')
        return
      }
      response.stream.on('close', () => {
        cancelled = response.stream.aborted
      })
      if (when === 'before the head') return
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: 1\n\n')
    }
    const other = await ask('/chat/completions?keep')
    const leaving = new AbortController()
    const asked = ask('/chat/completions', { signal: leaving.signal })
    if (when === 'before the head') {
      asked.catch(() => {})
      await eventually(() => bodies.length === 2)
    } else await asked
    leaving.abort()
    await eventually(() => cancelled, 1_500)
    keep!.end('data: [DONE]\n\n')
    expect(await other.text()).toBe('data: 1\n\ndata: [DONE]\n\n')
  },
)

test('a client that reads nothing holds its upstream back, and the others go on', async () => {
  let sent = 0
  const chunk = Buffer.alloc(64 * 1024, 'x')
  answer = (request, response) => {
    if (request.url.endsWith('quick')) return void response.end('{}')
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const more = () => {
      while (sent < 400_000_000 && !response.stream.destroyed) {
        sent += chunk.length
        if (!response.write(chunk)) return void response.once('drain', more)
      }
    }
    more()
  }
  const slow = httpRequest(`${url}/chat/completions`, { method: 'POST', agent: false })
  slow.on('response', (response) => response.on('error', () => {}).pause()).on('error', () => {})
  slow.end(BODY)
  let before = -1
  await eventually(async () => {
    const still = sent > 0 && sent === before
    before = sent
    if (!still) await new Promise((resolve) => setTimeout(resolve, 100))
    return still
  }, 15_000)
  expect(sent).toBeLessThan(40_000_000)
  expect(await (await ask('/chat/completions?quick')).text()).toBe('{}')
  slow.destroy()
})

test('a connection that the upstream ends is replaced', async () => {
  answer = (_request, response) => void response.end('{}')
  await (await ask()).text()
  for (const session of sessions) session.goaway()
  for (const session of sessions) session.close()
  expect(await (await ask()).text()).toBe('{}')
  for (const session of sessions) session.destroy()
  expect(await (await ask()).text()).toBe('{}')
})

test('uploads are streamed', async () => {
  answer = (_request, response, body) => void response.end(String(body.length))
  const body = new ReadableStream({
    start(controller) {
      for (let index = 0; index < 100; index++) controller.enqueue(new Uint8Array(10_000))
      controller.close()
    },
  })
  const response = await ask('/files', { body, duplex: 'half' } as RequestInit)
  expect(await response.text()).toBe('1000000')
})
