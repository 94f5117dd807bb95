/** Retries, fallback and the circuit breaker: what the upstreams see, and what the client sees. */
import { describe, expect, test } from 'vitest'
import { eventually, metricValue, startTestBallast, startTestUpstream } from '../support/ballast.ts'
import { type Answer, completion, json, type ScriptedUpstream } from '../support/upstream.ts'

const ok: Answer = (_request, response) => json(response, 200, completion('hello'))
const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (_request, response) =>
    json(response, code, { error: { message: `status ${code}` } }, { 'retry-after-ms': '1', ...headers })

/** Answers with one after the other, the last one again and again. */
function inTurn(...answers: Answer[]): Answer {
  let turn = 0
  return (request, response) => answers[Math.min(turn++, answers.length - 1)]!(request, response)
}

async function start(main: Answer, settings = '', backup: Answer = ok) {
  const upstream = await startTestUpstream(main)
  const other = await startTestUpstream(backup)
  const ballast = await startTestBallast(
    `
store: memory
upstreams:
  main: {base_url: "\${MAIN}", api_key: sk-main, ${settings}}
  backup: {base_url: "\${BACKUP}", api_key: sk-backup, retries: 0}
routes: [{model: "*", upstream: main, policy: birds/identity-etymologist}]
`,
    { MAIN: upstream.url, BACKUP: other.url },
  )
  const ask = (init: RequestInit = {}) =>
    fetch(`${ballast.url}/chat/completions`, {
      method: 'POST',
      body: '{"model":"m","messages":[{"role":"user","content":"Hi"}]}',
      ...init,
    })
  return { upstream, other, ballast, ask }
}

const bodies = ({ requests }: ScriptedUpstream) => new Set(requests.map(({ body }) => body.toString()))

describe('retries', () => {
  test('500 twice, then 200: the client sees 200, the upstream three equal requests', async () => {
    const { upstream, ballast, ask } = await start(inTurn(status(500), status(500), ok))
    expect((await ask()).status).toBe(200)
    expect(upstream.requests).toHaveLength(3)
    expect([...bodies(upstream)]).toEqual([expect.stringContaining('etymologist')])
    const text = await ballast.metrics()
    expect(metricValue(text, 'ballast_upstream_requests_total', { upstream: 'main', outcome: '5xx' })).toBe(2)
    expect(metricValue(text, 'ballast_requests_total')).toBe(1)
    expect(metricValue(text, 'ballast_exposures_total')).toBe(1)
  })

  test('a body of 5 MB is sent again whole, and on to the fallback, with its length', async () => {
    const { upstream, other, ask } = await start(status(500), 'retries: 1, fallback: [backup]')
    const image = 'data:image/png;base64,'.padEnd(5_000_000, 'iVBOR/9+')
    const content = [
      { type: 'image_url', image_url: { url: image } },
      { type: 'text', text: 'What is this?' },
    ]
    const response = await ask({
      body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content }] }),
    })
    expect(response.status).toBe(200)
    const seen = [...upstream.requests, ...other.requests]
    expect(seen).toHaveLength(3)
    for (const { body, headers } of seen) {
      expect(headers['content-length']).toBe(String(body.length))
      const parts = JSON.parse(body.toString()).messages[0].content
      expect(parts[0].image_url.url).toBe(image)
      expect(parts[1].text).toMatch(/etymologist.* What is this\?$/)
    }
  })

  test("when they are used up, the last answer is the client's", async () => {
    const { upstream, ask } = await start(status(503), 'retries: 1')
    const response = await ask()
    expect([response.status, await response.text()]).toEqual([503, '{"error":{"message":"status 503"}}'])
    expect(upstream.requests).toHaveLength(2)
  })

  test.each([
    ['retry-after-ms', { 'retry-after-ms': '300' }, 250],
    ['retry-after in seconds', { 'retry-after-ms': '', 'retry-after': '1' }, 950],
    [
      'retry-after as a date',
      { 'retry-after-ms': '', 'retry-after': new Date(Date.now() + 86_400_000).toUTCString() },
      0,
    ],
  ])('%s is honoured', async (name, headers, least) => {
    const { upstream, ask } = await start(inTurn(status(429, headers), ok))
    const before = performance.now()
    const response = await ask()
    if (name.endsWith('date')) {
      // A day is too long to wait: the answer, with the header, is the client's.
      expect([response.status, upstream.requests.length]).toEqual([429, 1])
      expect(response.headers.get('retry-after')).toBe(headers['retry-after' as keyof typeof headers])
      return
    }
    expect(response.status).toBe(200)
    expect(performance.now() - before).toBeGreaterThan(least)
  })

  test.each([400, 401, 404, 422])('%i is not tried again', async (code) => {
    const { upstream, ask } = await start(status(code))
    expect((await ask()).status).toBe(code)
    expect(upstream.requests).toHaveLength(1)
  })

  test('a connection that breaks before the head is tried again, one that breaks after it is not', async () => {
    const before = await start(inTurn((_request, response) => void response.destroy(), ok))
    expect((await before.ask()).status).toBe(200)
    expect(before.upstream.requests).toHaveLength(2)
    const after = await start((_request, response) => {
      response.writeHead(200, { 'content-length': 100 })
      response.write('half', () => response.destroy())
    })
    await expect(after.ask().then((response) => response.text())).rejects.toThrow()
    expect(after.upstream.requests).toHaveLength(1)
  })

  test('a request that timed out was sent, and is not sent again', async () => {
    const { upstream, ask } = await start(() => {}, 'timeout: {headers: 200ms}')
    expect((await ask()).status).toBe(504)
    expect(upstream.requests).toHaveLength(1)
  })

  test('an upload that is streamed is sent once', async () => {
    const { upstream, ballast } = await start(status(500))
    const response = await fetch(`${ballast.url}/files`, {
      method: 'POST',
      body: new Blob(['x']).stream(),
      duplex: 'half',
    } as RequestInit)
    expect(response.status).toBe(500)
    expect(upstream.requests).toHaveLength(1)
  })

  test('a client that leaves while ballast waits ends the waiting', async () => {
    const { upstream, ballast, ask } = await start(status(503, { 'retry-after-ms': '400' }))
    const leave = new AbortController()
    const call = ask({ signal: leave.signal }).catch(() => 'left')
    await eventually(() => upstream.requests.length === 1)
    await new Promise((resolve) => setTimeout(resolve, 50))
    leave.abort()
    expect(await call).toBe('left')
    await eventually(
      async () => metricValue(await ballast.metrics(), 'ballast_requests_total', { code: '499' }) === 1,
    )
    await new Promise((resolve) => setTimeout(resolve, 600))
    expect(upstream.requests).toHaveLength(1)
  })
})

describe('fallback', () => {
  test('comes when the retries are used up, with the key of its own and the same body', async () => {
    const { upstream, other, ask } = await start(status(500), 'retries: 1, fallback: [backup]')
    expect((await ask()).status).toBe(200)
    expect([upstream.requests.length, other.requests.length]).toEqual([2, 1])
    expect(bodies(other)).toEqual(bodies(upstream))
    expect(other.requests[0]!.headers.authorization).toBe('Bearer sk-backup')
  })

  test('comes for an upstream that cannot be reached, or does not answer in time', async () => {
    const refused = await start(ok, 'retries: 0, fallback: [backup]')
    await refused.upstream.close()
    expect((await refused.ask()).status).toBe(200)
    const silent = await start(() => {}, 'retries: 0, fallback: [backup], timeout: {headers: 200ms}')
    expect((await silent.ask()).status).toBe(200)
  })

  test('that fails too gives its own answer', async () => {
    const { ask } = await start(status(500), 'retries: 0, fallback: [backup]', status(502))
    const response = await ask()
    expect([response.status, await response.text()]).toEqual([502, '{"error":{"message":"status 502"}}'])
  })

  test("does not come for what is the client's fault", async () => {
    const { other, ask } = await start(status(400), 'fallback: [backup]')
    expect((await ask()).status).toBe(400)
    expect(other.requests).toHaveLength(0)
  })
})

describe('the circuit breaker', () => {
  test('opens after failures in a row, tells the client when to come back, and closes after a good probe', async () => {
    const { upstream, ask } = await start(status(500), 'retries: 0, breaker: {failures: 3, cooldown: 500ms}')
    for (let index = 0; index < 3; index++) expect((await ask()).status).toBe(500)
    const refused = await ask()
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])
    expect(await refused.json()).toMatchObject({ error: { code: 'ballast_upstream_unavailable' } })
    expect(upstream.requests).toHaveLength(3)
    await new Promise((resolve) => setTimeout(resolve, 550))
    // Half open: one probe, which fails, and it is open again.
    const probes = await Promise.all([ask(), ask(), ask()])
    expect(probes.map((response) => response.status).sort()).toEqual([500, 503, 503])
    upstream.answer = ok
    await new Promise((resolve) => setTimeout(resolve, 550))
    expect((await ask()).status).toBe(200)
    expect((await Promise.all([ask(), ask()])).map((response) => response.status)).toEqual([200, 200])
  })

  test('passes over an open upstream to its fallback', async () => {
    const { upstream, other, ask } = await start(
      status(500),
      'retries: 0, fallback: [backup], breaker: {failures: 1}',
    )
    await ask()
    expect((await ask()).status).toBe(200)
    expect([upstream.requests.length, other.requests.length]).toEqual([1, 2])
  })

  test('does not open for limits that were reached, and a client that leaves ends no probe', async () => {
    const { upstream, ask } = await start(status(429), 'retries: 0, breaker: {failures: 1, cooldown: 100ms}')
    expect([(await ask()).status, (await ask()).status]).toEqual([429, 429])
    upstream.answer = status(500)
    expect((await ask()).status).toBe(500)
    await new Promise((resolve) => setTimeout(resolve, 150))
    upstream.answer = () => {}
    const leave = new AbortController()
    const probe = ask({ signal: leave.signal }).catch(() => {})
    await eventually(() => upstream.requests.length === 4)
    leave.abort()
    await probe
    await upstream.requests[3]!.aborted
    upstream.answer = ok
    expect((await ask()).status).toBe(200)
  })
})
