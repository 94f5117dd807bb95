/** Every other path below /v1: relayed as it is, bodies streamed in both directions. */
import { createHash } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import OpenAI, { toFile } from 'openai'
import { describe, expect, test } from 'vitest'
import { eventually, metricValue, startTestBallast, startTestUpstream } from '../support/ballast.ts'
import { type Answer, json } from '../support/upstream.ts'

async function start(
  answer: Answer = (_request, response) => json(response, 200, { object: 'list', data: [] }),
) {
  const upstream = await startTestUpstream(answer)
  const other = await startTestUpstream((_request, response) => json(response, 200, { other: true }))
  const ballast = await startTestBallast(
    `
store: memory
limits: {body: 64KB}
upstreams:
  main: {base_url: "\${MAIN}", api_key: sk-main}
  other: {base_url: "\${OTHER}"}
routes:
  - {model: "embed-*", upstream: other}
  - {model: "*", upstream: main, policy: birds/identity-etymologist}
`,
    { MAIN: upstream.url, OTHER: other.url },
  )
  return { upstream, other, ballast }
}

describe('pass-through', () => {
  test.each([
    ['GET', '/models?limit=2&after=%2Fx', null],
    ['GET', '/files/file-1/content', null],
    ['DELETE', '/models/ft:gpt-4.1:org::id', null],
    ['POST', '/moderations', '{"input": "x",  "n": 1.0}'],
    ['POST', '/chat/completions/id-1', '{"metadata":{}}'],
    ['GET', '/chat/completions', null],
    ['PATCH', '/unknown/thing', 'not json at all'],
  ])('%s %s reaches the upstream as it is', async (method, path, body) => {
    const { upstream, ballast } = await start()
    const response = await fetch(`${ballast.url}${path}`, {
      method,
      body,
      headers: { 'openai-beta': 'assistants=v2' },
    })
    expect(response.status).toBe(200)
    const [received] = upstream.requests
    expect([received!.method, received!.url, received!.body.toString()]).toEqual([
      method,
      `/v1${path}`,
      body ?? '',
    ])
    expect(received!.headers).toMatchObject({
      authorization: 'Bearer sk-main',
      'openai-beta': 'assistants=v2',
    })
    expect(metricValue(await ballast.metrics(), 'ballast_requests_total', { code: '200' })).toBe(1)
  })

  test('HEAD gets the headers of the answer and no body', async () => {
    const { ballast } = await start((_request, response) => {
      response.writeHead(200, { 'content-length': 1234, 'x-request-id': 'r' })
      response.end()
    })
    const response = await fetch(`${ballast.url}/files/1/content`, { method: 'HEAD' })
    expect([response.status, response.headers.get('content-length'), await response.text()]).toEqual([
      200,
      '1234',
      '',
    ])
  })

  test('a JSON body goes where the route of its model leads, without injection', async () => {
    const { upstream, other, ballast } = await start()
    const post = (model: string) =>
      fetch(`${ballast.url}/embeddings`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ input: 'x', model }),
      })
    expect(await (await post('embed-1')).json()).toEqual({ other: true })
    await post('text-1')
    expect(other.requests[0]!.body.toString()).toBe('{"input":"x","model":"embed-1"}')
    expect(upstream.requests[0]!.body.toString()).toBe('{"input":"x","model":"text-1"}')
  })

  test('an upload is streamed: its first bytes are at the upstream before its last were sent, whatever its size', async () => {
    let seen = 0
    let finished = () => {}
    const upstreamServer = await import('node:http').then(({ createServer }) =>
      createServer((incoming, response) => {
        const hash = createHash('sha256')
        incoming.on('data', (chunk: Buffer) => {
          seen += chunk.length
          hash.update(chunk)
        })
        incoming.on('end', () =>
          json(response, 200, { sha256: hash.digest('hex'), headers: incoming.headers }),
        )
      }),
    )
    await new Promise<void>((resolve) => upstreamServer.listen(0, '127.0.0.1', resolve))
    const { port } = upstreamServer.address() as { port: number }
    const ballast = await startTestBallast(
      `store: memory\nlimits: {body: 1KB}\nupstreams: {u: {base_url: "http://127.0.0.1:${port}/v1"}}\nroutes: [{model: "*", upstream: u}]\n`,
    )
    const body = Buffer.alloc(3_000_000, 'ballast')
    const answer = await new Promise<string>((resolve) => {
      const request = httpRequest(
        `${ballast.url}/files`,
        {
          method: 'POST',
          headers: { 'content-type': 'multipart/form-data; boundary=x', 'content-length': body.length },
        },
        (response) => {
          let text = ''
          response.on('data', (chunk) => {
            text += chunk
          })
          response.on('end', () => resolve(text))
        },
      )
      request.write(body.subarray(0, 1_000))
      finished = () => void request.end(body.subarray(1_000))
      void eventually(() => seen >= 1_000).then(finished)
    })
    upstreamServer.close()
    upstreamServer.closeAllConnections()
    const received = JSON.parse(answer) as { sha256: string; headers: Record<string, string> }
    expect(received.sha256).toBe(createHash('sha256').update(body).digest('hex'))
    expect(received.headers['content-length']).toBe(String(body.length))
    expect(received.headers['transfer-encoding']).toBeUndefined()
  })

  test('the openai package uploads a file, lists models and gets binary back', async () => {
    const audio = Buffer.from([0, 255, 1, 254, 13, 10, 0])
    const { upstream, ballast } = await start((request, response) => {
      if (request.url.startsWith('/v1/files')) return json(response, 200, { id: 'file-1', object: 'file' })
      if (request.url.startsWith('/v1/audio'))
        return void response.writeHead(200, { 'content-type': 'audio/mpeg' }).end(audio)
      json(response, 200, { object: 'list', data: [{ id: 'm', object: 'model' }] })
    })
    const client = new OpenAI({ baseURL: ballast.url, apiKey: 'sk', maxRetries: 0 })
    const file = await client.files.create({
      file: await toFile(Buffer.from('{"a":1}\n'), 'a.jsonl'),
      purpose: 'fine-tune',
    })
    expect(file.id).toBe('file-1')
    expect(upstream.requests[0]!.body.toString()).toContain('filename="a.jsonl"')
    expect((await client.models.list()).data[0]!.id).toBe('m')
    const speech = await client.audio.speech.create({ model: 'tts', voice: 'alloy', input: 'x' })
    expect(Buffer.from(await speech.arrayBuffer()).equals(audio)).toBe(true)
  })

  test('a client that leaves during its upload ends the upload', async () => {
    const { upstream, ballast } = await start()
    const { port } = new URL(ballast.url)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write('POST /v1/files HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\nsome')
    await new Promise((resolve) => setTimeout(resolve, 100))
    socket.destroy()
    await eventually(
      async () => metricValue(await ballast.metrics(), 'ballast_requests_total', { code: '499' }) === 1,
    )
    // The upstream never saw a whole request.
    expect(upstream.requests).toHaveLength(0)
  })

  test('an upstream that answers before the upload is over is heard', async () => {
    const { createServer } = await import('node:http')
    const server = createServer((_incoming, response) =>
      json(response, 413, { error: { message: 'too much' } }),
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const ballast = await startTestBallast(
      `store: memory\nupstreams: {u: {base_url: "http://127.0.0.1:${port}/v1"}}\nroutes: [{model: "*", upstream: u}]\n`,
    )
    const status = await new Promise((resolve) => {
      const request = httpRequest(
        `${ballast.url}/files`,
        { method: 'POST', headers: { 'content-length': 1_000_000 } },
        (response) => resolve(response.statusCode),
      )
      request.on('error', () => {})
      request.write('x'.repeat(1_000))
    })
    server.close()
    server.closeAllConnections()
    expect(status).toBe(413)
  })

  test('a WebSocket is refused with 501, in words', async () => {
    const { ballast } = await start()
    const { port } = new URL(ballast.url)
    const answer = await new Promise<string>((resolve) => {
      const socket = connect(Number(port), '127.0.0.1')
      socket.write(
        'GET /v1/realtime?model=x HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
      )
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk
      })
      socket.on('close', () => resolve(text))
    })
    expect(answer).toMatch(/^HTTP\/1\.1 501 /)
    expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))).error.code).toBe(
      'ballast_upgrade_unsupported',
    )
  })
})
