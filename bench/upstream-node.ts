/**
 * `upstream.c` once more, on `node:net`, for machines without a C compiler: the same answers to the same wishes, with
 * more CPU. It reads heads as the proxies of the benchmark write them and is no HTTP server for anything else.
 */

import type { AddressInfo } from 'node:net'
import { createServer, type Socket } from 'node:net'

const COMMON_HEADERS =
  'x-request-id: req_5f0c3a9b7d2e4c1f8a6b0d9e3c7f1a2b\r\nopenai-processing-ms: 412\r\nopenai-version: 2020-10-01\r\n' +
  'x-ratelimit-limit-requests: 10000\r\nx-ratelimit-remaining-requests: 9999\r\n'

function jsonAnswer(content: string): Buffer {
  const body = JSON.stringify({
    id: 'chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG',
    object: 'chat.completion',
    created: 1741570283,
    model: 'gpt-4.1-mini',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content, refusal: null, annotations: [] },
        logprobs: null,
        finish_reason: 'stop',
      },
    ],
    usage: {
      prompt_tokens: 480,
      completion_tokens: 150,
      total_tokens: 630,
      prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: 0 },
    },
    service_tier: 'default',
    system_fingerprint: 'fp_fc9f1d7035',
  })
  return Buffer.from(
    `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n${COMMON_HEADERS}content-length: ${body.length}\r\n\r\n${body}`,
  )
}

function chunk(data: string, behind = ''): Buffer {
  return Buffer.from(`${data.length.toString(16)}\r\n${data}\r\n${behind}`)
}

const event = (delta: object, reason: string | null) =>
  `data: ${JSON.stringify({
    id: 'chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG',
    object: 'chat.completion.chunk',
    created: 1741570283,
    model: 'gpt-4.1-mini',
    system_fingerprint: 'fp_fc9f1d7035',
    choices: [{ index: 0, delta, logprobs: null, finish_reason: reason }],
  })}\n\n`

const JSON_ANSWER = jsonAnswer('The coast is an hour away by train from here. '.repeat(12))
const JUDGE_ANSWER = jsonAnswer('LLM')
const STREAM_HEAD = Buffer.from(
  `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n${COMMON_HEADERS}cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n`,
)
const EVENT = chunk(event({ content: ' by train' }, null))
const LAST_EVENT = chunk(`${event({}, 'stop')}data: [DONE]\n\n`, '0\r\n\r\n')
const LENGTH_REQUIRED = 'HTTP/1.1 411 Length Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n'

/** One connection: head, body, answer, and from the start. */
class Connection {
  private readonly socket: Socket
  private head: Buffer = Buffer.alloc(0)
  private bodyLeft = 0
  private answering = false
  private wish = { judge: false, delay: 0, chunks: 0, gap: 0 }
  private timer: NodeJS.Timeout | null = null

  constructor(socket: Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on('error', () => {})
    socket.on('data', (bytes) => this.take(bytes))
    socket.on('close', () => {
      if (this.timer !== null) clearTimeout(this.timer)
    })
  }

  private take(bytes: Buffer): void {
    if (this.bodyLeft > 0) {
      const own = Math.min(this.bodyLeft, bytes.length)
      this.bodyLeft -= own
      this.head = bytes.subarray(own)
      if (this.bodyLeft === 0) this.received()
    } else {
      this.head = this.head.length === 0 ? bytes : Buffer.concat([this.head, bytes])
      this.readHead()
    }
  }

  private readHead(): void {
    if (this.answering || this.head.length === 0) return
    const end = this.head.indexOf('\r\n\r\n')
    if (end === -1) return
    const head = this.head.toString('latin1', 0, end + 2)
    const number = (pattern: RegExp) => Number(pattern.exec(head)?.[1] ?? 0)
    if (/^transfer-encoding:/im.test(head)) return void this.socket.end(LENGTH_REQUIRED)
    this.wish = {
      judge: /^\S+ \/judge\//.test(head),
      delay: number(/^x-bench:.*?\bdelay=(\d+)/im),
      chunks: number(/^x-bench:.*?\bchunks=(\d+)/im),
      gap: number(/^x-bench:.*?\bgap=(\d+)/im),
    }
    const length = number(/^content-length: *(\d+)/im)
    const behind = this.head.subarray(end + 4)
    const body = Math.min(length, behind.length)
    this.bodyLeft = length - body
    this.head = behind.subarray(body)
    if (this.bodyLeft === 0) this.received()
  }

  private received(): void {
    this.answering = true
    if (this.wish.delay > 0) this.timer = setTimeout(() => this.answer(), this.wish.delay)
    else this.answer()
  }

  private answer(): void {
    if (this.wish.chunks > 0) return this.stream(0, performance.now())
    this.socket.write(this.wish.judge ? JUDGE_ANSWER : JSON_ANSWER)
    this.next()
  }

  private stream(sent: number, startedAt: number): void {
    const { chunks, gap } = this.wish
    let index = sent
    do {
      const bytes = index + 1 === chunks ? LAST_EVENT : EVENT
      this.socket.write(index === 0 ? Buffer.concat([STREAM_HEAD, bytes]) : bytes)
      index++
    } while (index < chunks && gap === 0)
    if (index === chunks) return this.next()
    // By the clock of the stream, so that lateness does not add up.
    const wait = Math.max(0, startedAt + index * gap - performance.now())
    this.timer = setTimeout(() => this.stream(index, startedAt), wait)
  }

  private next(): void {
    this.answering = false
    this.readHead()
  }
}

const server = createServer((socket) => new Connection(socket))
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`PORT ${(server.address() as AddressInfo).port}\n`)
})
