/**
 * The `Upstream` port on `fetch`, for runtimes that have nothing below it. Composed by `worker.ts`. What `fetch` does not
 * show does not pass: informational answers, trailers, the spelling and order of header names. Nor does it tell a
 * connection from the waiting for an answer: until its head, an answer has the time of both.
 */
import { BallastError } from '../domain/errors.ts'
import {
  type HeaderRules,
  isStream,
  type Metrics,
  type Upstream,
  type UpstreamBody,
  type UpstreamCall,
  type UpstreamHandler,
  type UpstreamRequest,
} from '../domain/ports.ts'

export interface FetchUpstreamOptions {
  /** Shown in errors and metrics. */
  readonly name: string
  /** Without a slash at the end. */
  readonly baseUrl: string
  readonly headers: HeaderRules
  /** Milliseconds. */
  readonly timeout: { readonly connect: number; readonly headers: number; readonly idle: number }
  readonly metrics: Metrics
}

/** How much of an answer is asked for at a time; what is there is given at once. */
const READ_BYTES = 64 * 1024
const NO_TRAILERS: readonly string[] = []

export function createFetchUpstream(options: FetchUpstreamOptions): Upstream {
  const baseUrl = options.baseUrl.replace(/\/+$/, '')
  return {
    send(request: UpstreamRequest, handler: UpstreamHandler): UpstreamCall {
      const call = new Call(options, handler)
      void call.run(baseUrl, request)
      return call
    },
    close: async () => {},
  }
}

class Call implements UpstreamCall {
  private readonly options: FetchUpstreamOptions
  private readonly handler: UpstreamHandler
  private readonly controller = new AbortController()
  private finished = false
  private timer: ReturnType<typeof setTimeout> | null = null
  /** Resolves when reading may go on; null while it may. */
  private paused: PromiseWithResolvers<void> | null = null

  constructor(options: FetchUpstreamOptions, handler: UpstreamHandler) {
    this.options = options
    this.handler = handler
  }

  /** Never rejects. */
  async run(baseUrl: string, { method, path, headers, body }: UpstreamRequest): Promise<void> {
    const { timeout, headers: rules } = this.options
    try {
      const init = {
        method,
        headers: headersOf(rules.request(headers, isStream(body))),
        body: bodyOf(body),
        redirect: 'manual',
        // The bytes as they were sent, compressed or not.
        encodeResponseBody: 'manual',
        signal: this.controller.signal,
      } as const
      this.watch(timeout.connect + timeout.headers, 'did not begin to answer in time')
      const response = await fetch(baseUrl + path, init as RequestInit)
      if (this.finished) return
      this.unwatch()
      if (response.status < 200) throw new TypeError('an answer that is none to this request')
      this.handler.onHead(response.status, response.statusText, rules.response(rawHeaders(response.headers)))
      await this.relay(response.body as ReadableStream<Uint8Array> | null)
      this.finish(`${Math.floor(response.status / 100)}xx`, () => this.handler.onEnd(NO_TRAILERS))
    } catch (error) {
      this.fail(error)
    }
  }

  private async relay(body: ReadableStream<Uint8Array> | null): Promise<void> {
    if (body === null) return
    const reader = body.getReader({ mode: 'byob' }) as unknown as ReadableStreamBYOBReader
    while (!this.finished) {
      if (this.paused !== null) await this.paused.promise
      this.watch(this.options.timeout.idle, 'stopped in the middle of its answer')
      const { done, value } = await reader.read(new Uint8Array(READ_BYTES))
      this.unwatch()
      if (done || this.finished) return
      this.handler.onData(value as Uint8Array)
    }
  }

  abort(): void {
    this.finish('aborted', () => this.controller.abort(new Error('the client left')))
    this.resume()
  }

  pause(): void {
    this.paused ??= Promise.withResolvers<void>()
  }

  resume(): void {
    this.paused?.resolve()
    this.paused = null
  }

  private watch(ms: number, what: string): void {
    this.timer = setTimeout(() => {
      const message = `Upstream "${this.options.name}" ${what}.`
      const error = new BallastError('ballast_upstream_timeout', message, {
        source: 'upstream',
        // It may be worked on, and paid for, still.
        retryable: false,
      })
      this.finish('timeout', () => {
        this.controller.abort(error)
        this.handler.onError(error)
      })
    }, ms)
  }

  private unwatch(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
  }

  private fail(cause: unknown): void {
    // A stream that the request's body came from may be what failed: then nothing is to be had from the upstream either.
    const message = `Upstream "${this.options.name}" failed (${cause instanceof Error ? cause.name : 'no code'}).`
    const error =
      cause instanceof BallastError
        ? cause
        : new BallastError('ballast_upstream_failed', message, { source: 'upstream', retryable: true, cause })
    this.finish('error', () => {
      this.controller.abort(error)
      this.handler.onError(error)
    })
  }

  /** Whatever comes first is how it ended. */
  private finish(outcome: string, tell: () => void): void {
    if (this.finished) return
    this.finished = true
    this.unwatch()
    this.options.metrics.upstreamRequest(this.options.name, outcome)
    tell()
  }
}

/** The length of a body is known to `fetch`. Without a word of the client's on it, the answer is not to be compressed. */
function headersOf(pairs: readonly string[]): Headers {
  const headers = new Headers()
  for (let index = 0; index < pairs.length; index += 2) {
    if (pairs[index]!.toLowerCase() !== 'content-length')
      headers.append(pairs[index]!, asSent(pairs[index + 1]!))
  }
  if (!headers.has('accept-encoding')) headers.set('accept-encoding', 'identity')
  return headers
}

/** Workers give a client's header as its bytes, a character each, and send characters as UTF-8. */
function asSent(value: string): string {
  return /[\x80-\xff]/.test(value) ? Buffer.from(value, 'latin1').toString('utf8') : value
}

function rawHeaders(headers: Headers): string[] {
  return [...headers].flat()
}

function bodyOf(body: UpstreamBody): Uint8Array | ReadableStream | null {
  if (body === null || body instanceof Uint8Array || body instanceof ReadableStream) return body
  if (isStream(body)) return ReadableStream.from(body) as ReadableStream
  return Buffer.concat(body as readonly Uint8Array[])
}
