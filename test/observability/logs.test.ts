/**
 * A run of mixed requests, good and bad, against a real process that logs all it can: what it wrote is searched for every key
 * and every text. `BALLAST_LOG_REQUESTS=100000` makes it a long one.
 */
import { writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { stdout } from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import PQueue from 'p-queue'
import { Agent, fetch } from 'undici'
import { expect, test } from 'vitest'
import { describeError } from '../../src/domain/error-description.ts'
import { eventually, startTestUpstream } from '../support/ballast.ts'
import { ballast, configFile } from '../support/command.ts'
import { rows, storeFile } from '../support/office.ts'
import { completion, eventStream, json, type ReceivedRequest } from '../support/upstream.ts'

const REQUESTS = Number(process.env.BALLAST_LOG_REQUESTS ?? 3_000)
const AT_A_TIME = 24

/** In every text of a client, a model or a judge; each has a number of its own besides. */
const TEXT = 'Xylophonic-marmalade'
const KEYS = {
  upstream: 'sk-live-upstream-9f8e7d6c5b4a',
  judge: 'sk-live-judge-1a2b3c4d5e6f',
  client: 'client-key-0a1b2c3d4e5f',
  wrong: 'wrong-key-5f4e3d2c1b0a',
  query: 'query-key-7a7b7c7d7e7f',
  cookie: 'cookie-value-6b6c6d6e6f',
  admin: 'admin-token-1f2f3f4f5f6f',
  unit: 'jane.doe@example.org',
}

const yaml = (upstream: string, store: string, retries: string) => `
listen: 127.0.0.1:0
admin: {listen: "127.0.0.1:0", token: ${KEYS.admin}}
store: sqlite:${store}
clients: [{name: web, key: ${KEYS.client}}]
limits: {body: 200KB}
upstreams:
  p: {base_url: "${upstream}", api_key: ${KEYS.upstream}, retries: ${retries}}
  j: {base_url: "${upstream}", api_key: ${KEYS.judge}}
  dead: {base_url: "http://127.0.0.1:9/v1", retries: 0}
routes:
  - {model: "dead", upstream: dead}
  - {model: "ft-*", upstream: p, experiment: e}
  - {model: "base", upstream: p}
experiments:
  e:
    arms: {control: {weight: 1}, helped: {weight: 1, policy: generic/assistant}}
    check: misalignment
    sample: 0.05
judge: {upstream: j, model: judge-1, attempts: 1}
`

/** Clients that leave as soon as their request has come to the upstream, by their text. */
const leaving = new Map<string, AbortController>()

/** Answers in each way there is, and quotes what it was sent, its key included, wherever it can. */
async function provider({ body, headers, url }: ReceivedRequest, response: ServerResponse): Promise<void> {
  const echo = `${TEXT} ${headers.authorization} ${body.toString().slice(0, 500)}`
  const failed = { error: { message: echo, type: echo, code: 'content_filter' } }
  if (url !== '/v1/chat/completions') return json(response, 200, { data: echo })
  const { model, stream, user } = JSON.parse(body.toString()) as Record<string, string | undefined>
  if (model === 'judge-1') {
    const kind = body.length % 4
    if (kind === 0) return json(response, 200, completion('12'))
    if (kind === 1) return json(response, 200, completion(`I think that ${TEXT} is fine.`))
    return kind === 2 ? json(response, 500, failed) : json(response, 400, failed)
  }
  if (user === 'error') return json(response, 400, failed)
  if (user === 'down') return json(response, 500, failed)
  if (user === 'slow') return void leaving.get(JSON.parse(body.toString()).messages[0].content)?.abort()
  if (user === 'broken') {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(`data: {"choices": [{"delta": {"content": "${TEXT}"}}]}\n\n`)
    await sleep(5)
    return void response.destroy()
  }
  if (user === 'nonsense') {
    response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
    return void response.end(`${TEXT} is not gzip`)
  }
  if (user === 'text') return void response.end(`${TEXT} is not JSON`)
  if (stream === undefined) return json(response, 200, completion(`${TEXT}!`))
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.end(eventStream([{ content: TEXT }, { content: echo }]))
}

interface Sent {
  readonly path: string
  readonly body: string
  readonly headers: Readonly<Record<string, string>>
  readonly leaves: boolean
}

const USERS = ['', '', '', '', 'error', 'down', 'broken', 'nonsense', 'text']

function requestOf(index: number): Sent {
  const content = `${TEXT}-${index}`
  const messages = [{ role: 'user', content }]
  const chat = (more: object) => JSON.stringify({ model: 'ft-birds', messages, ...more })
  const made = (body: string, more: Partial<Sent> = {}): Sent => ({
    path: '/chat/completions',
    headers: { authorization: `Bearer ${KEYS.client}`, cookie: KEYS.cookie, 'x-ballast-unit': KEYS.unit },
    leaves: false,
    ...more,
    body,
  })
  switch (index % 16) {
    case 0:
      return made(`{"model": "ft-birds", "messages": [{"role": "user", "content": "${content}`)
    case 1:
      return made(chat({}), { headers: { authorization: `Bearer ${KEYS.wrong}` } })
    case 2:
      return made(chat({}), { path: `/chat/completions?key=${KEYS.query}&q=${content}` })
    case 3:
      return made(chat({ model: content }))
    case 4:
      return made(chat({ model: 'dead' }))
    case 5:
      return made(chat({ user: 'slow', model: 'base' }), { leaves: true })
    case 6:
      return made(content, { path: `/uploads?name=${content}` })
    case 7:
      return index % 160 === 7
        ? made(content.repeat(12_000))
        : made(JSON.stringify({ model: 'ft-birds', messages: content }))
    case 8:
      return made(JSON.stringify({ model: 'base', input: content }), { path: '/embeddings' })
    case 9:
      return made(chat({}), { path: '/../nothing' })
    default:
      return made(chat({ user: USERS[index % USERS.length], ...(index % 2 === 0 ? { stream: 'true' } : {}) }))
  }
}

test(`${REQUESTS} requests leave a line each at debug, and no text and no key`, {
  timeout: 60_000 + REQUESTS * 20,
}, async () => {
  const upstream = await startTestUpstream(provider)
  const store = storeFile()
  const file = configFile(yaml(upstream.url, store, '0'))
  const running = ballast(['serve', '--config', file, '--log-level', 'debug', '--no-watch'])
  const { url } = JSON.parse((await running.says(/^\{.*ballast serves.*$/m))[0]) as { url: string }
  const dispatcher = new Agent({ connections: AT_A_TIME, pipelining: 1 })
  const statuses: Record<number, number> = {}
  const send = async (index: number) => {
    const { path, body, headers, leaves } = requestOf(index)
    const leaver = new AbortController()
    if (leaves) leaving.set(`${TEXT}-${index}`, leaver)
    try {
      const options = { method: 'POST', body, headers, signal: leaver.signal, dispatcher }
      const response = await fetch(new URL(url).origin + encodeURI(`/v1${path}`), options)
      statuses[response.status] = (statuses[response.status] ?? 0) + 1
      await response.arrayBuffer()
    } catch {}
  }
  const sending = new PQueue({ concurrency: AT_A_TIME })
  for (let index = 0; index < REQUESTS; index++) {
    if (index % 10_000 === 0) upstream.requests.length = 0
    void sending.add(() => send(index))
    // What was sent is let go of, and memory stays even.
    if (index % 500 === 0) await sending.onSizeLessThan(100)
  }
  await sending.onIdle()
  await eventually(() => rows(store, 'select id from samples where done = 0 and attempts > 0').length === 0)
  // A reload that is refused, with a key where none belongs.
  writeFileSync(file, yaml(upstream.url, store, KEYS.upstream))
  running.child.kill('SIGHUP')
  await running.says(/was not reloaded/)
  await dispatcher.close()
  running.child.kill('SIGTERM')
  const { stdout: printed, stderr } = await running.finished

  const written = printed + stderr
  const found = Object.entries({ ...KEYS, text: TEXT }).flatMap(([name, secret]) =>
    written.includes(secret)
      ? [
          `${name}: ${written.slice(Math.max(0, written.indexOf(secret) - 300), written.indexOf(secret) + 100)}`,
        ]
      : [],
  )
  expect(found).toEqual([])
  const lines = written
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  const requests = lines.filter(({ msg }) => msg === 'request')
  expect(requests).toHaveLength(REQUESTS)
  expect(new Set(requests.map(({ request }) => request)).size).toBe(REQUESTS)
  for (const status of [200, 400, 401, 404, 500, 502])
    expect([status, statuses[status]]).not.toEqual([status, undefined])
  const whole = requests.find(({ experiment, status }) => experiment === 'e' && status === 200)!
  expect(whole).toEqual({
    level: 20,
    time: expect.any(Number),
    request: expect.stringMatching(/^[0-9a-f-]{36}$/),
    method: 'POST',
    path: '/v1/chat/completions',
    client: 'web',
    route: 'ft-*',
    experiment: 'e',
    arm: expect.stringMatching(/^(control|helped)$/),
    ...(whole.arm === 'helped' ? { policy: 'generic/assistant' } : {}),
    status: 200,
    durationMs: expect.any(Number),
    upstream: 'p',
    attempts: 1,
    requestBytes: expect.any(Number),
    responseBytes: expect.any(Number),
    msg: 'request',
  })
  expect(requests.filter(({ status }) => status === 499).length).toBeGreaterThan(0)
  // What somebody must see to: said, and not with each request.
  const warned = lines.filter(({ level }) => Number(level) >= 40)
  const dead = warned.filter(({ upstream: name }) => name === 'dead')
  expect(dead.map(({ msg }) => msg)).toContain(
    'requests fail: their upstream gives no answer, or not all of it',
  )
  const kinds = Map.groupBy(lines, ({ level, msg }) => `${level} ${msg}`)
  const counted = [...kinds].map(([kind, { length }]) => `${String(length).padStart(8)} ${kind}`)
  const told = [`${written.length} bytes of log; statuses ${JSON.stringify(statuses)}`, ...counted].join('\n')
  if (process.env.BALLAST_LOG_REQUESTS !== undefined) stdout.write(`${told}\n`)
})

test('of an error only what tells of no text is logged', () => {
  const quoting = [`{"answer": "${TEXT}" oops}`, `${TEXT} is no JSON`, `{"a": ${TEXT}}`, `"${TEXT}\n"`]
  for (const text of quoting) {
    try {
      JSON.parse(text)
    } catch (error) {
      expect(JSON.stringify(describeError(new Error('outer', { cause: error })))).not.toMatch(/Xylo|marmal/)
    }
  }
  const fromDriver = Object.assign(new Error('violates a constraint'), {
    code: '23502',
    detail: `Failing row contains (${TEXT})`,
    where: TEXT,
  })
  const described = describeError(fromDriver)
  expect(described).toMatchObject({ type: 'Error', message: 'violates a constraint', code: '23502' })
  expect(JSON.stringify(described)).not.toContain(TEXT)
  expect(described.stack).toMatch(/^ {4}at /)
})
