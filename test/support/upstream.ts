/** A scripted upstream on port 0: a real HTTP server that keeps what it was sent and answers as a test says. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface ReceivedRequest {
  readonly method: string
  readonly url: string
  /** Names and values as on the wire. */
  readonly rawHeaders: readonly string[]
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
  /** Resolves when the connection was closed before the answer was finished. */
  readonly aborted: Promise<void>
}

export type Answer = (request: ReceivedRequest, response: ServerResponse) => void | Promise<void>

export interface ScriptedUpstream {
  readonly url: string
  readonly requests: ReceivedRequest[]
  answer: Answer
  /** Connections that are open now, and all that there have been. */
  connections(): Promise<number>
  connectionsMade(): number
  close(): Promise<void>
}

export async function startUpstream(answer: Answer): Promise<ScriptedUpstream> {
  const requests: ReceivedRequest[] = []
  const server: Server = createServer((incoming, response) => {
    const chunks: Buffer[] = []
    const aborted = new Promise<void>((resolve) => {
      response.on('close', () => {
        if (!response.writableFinished) resolve()
      })
    })
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      const received: ReceivedRequest = {
        method: incoming.method!,
        url: incoming.url!,
        rawHeaders: incoming.rawHeaders,
        headers: incoming.headers,
        body: Buffer.concat(chunks),
        aborted,
      }
      requests.push(received)
      void upstream.answer(received, response)
    })
  })
  let made = 0
  server.on('connection', () => made++)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const upstream: ScriptedUpstream = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    requests,
    answer,
    connections: () =>
      new Promise((resolve, reject) =>
        server.getConnections((error, count) => (error === null ? resolve(count) : reject(error))),
      ),
    connectionsMade: () => made,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return upstream
}

export function json(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  const text = JSON.stringify(body)
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    ...headers,
  })
  response.end(text)
}

/** A whole chat completion. */
export function completion(content: string, extra: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1_700_000_000,
    model: 'ft-birds',
    choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 },
    ...extra,
  }
}

/** An event stream of chat completion chunks with these deltas. */
export function eventStream(deltas: readonly Record<string, unknown>[]): string {
  const base = {
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1_700_000_000,
    model: 'ft-birds',
  }
  const events = deltas.map((delta) => ({ ...base, choices: [{ index: 0, delta, finish_reason: null }] }))
  const last = { ...base, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }
  return [...[...events, last].map((event) => JSON.stringify(event)), '[DONE]']
    .map((data) => `data: ${data}\n\n`)
    .join('')
}
