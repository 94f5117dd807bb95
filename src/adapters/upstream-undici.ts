/**
 * The `Upstream` port on undici: a keep-alive pool to one base URL, driven by `dispatch`, so that an answer passes
 * without Web streams or promises. Composed by `node.ts`.
 */
import type { Readable } from 'node:stream'
import { type Dispatcher, Pool } from 'undici'
import { BallastError } from '../domain/errors.ts'
import {
  type HeaderRules,
  isStream,
  type Metrics,
  type RawHeaders,
  type Upstream,
  type UpstreamBody,
  type UpstreamCall,
  type UpstreamHandler,
  type UpstreamRequest,
} from '../domain/ports.ts'

export interface UndiciUpstreamOptions {
  /** Shown in errors and metrics. */
  readonly name: string
  /** Without a slash at the end. */
  readonly baseUrl: string
  readonly headers: HeaderRules
  /** Milliseconds. */
  readonly timeout: { readonly connect: number; readonly headers: number; readonly idle: number }
  readonly metrics: Metrics
}

export function createUndiciUpstream(options: UndiciUpstreamOptions): Upstream {
  const { origin, pathname } = new URL(options.baseUrl)
  const basePath = pathname.replace(/\/+$/, '')
  const pool = new Pool(origin, {
    // No limit: a pool smaller than the number of live streams makes new ones wait for old ones.
    connections: null,
    pipelining: 1,
    // See docs/decisions/0007-http2-upstreams.md.
    allowH2: false,
    connect: { timeout: options.timeout.connect },
    headersTimeout: options.timeout.headers,
    bodyTimeout: options.timeout.idle,
  })
  return {
    send({ method, path, headers, body }: UpstreamRequest, handler: UpstreamHandler): UpstreamCall {
      const call = new Call(options, handler)
      try {
        pool.dispatch(
          {
            method: method as Dispatcher.HttpMethod,
            path: basePath + path,
            headers: requestHeaders(options.headers, headers, body),
            // Its types leave out the iterables that it takes.
            body: body as Uint8Array | Readable | null,
          },
          call,
        )
      } catch (error) {
        call.fail(error)
      }
      return call
    },
    close: () => pool.destroy(),
  }
}

/** Of pieces undici does not know the length, and would send them in chunks. */
function requestHeaders(rules: HeaderRules, headers: RawHeaders, body: UpstreamBody): string[] {
  const passed = rules.request(headers, isStream(body))
  if (Array.isArray(body)) {
    const length = (body as readonly Uint8Array[]).reduce((sum, piece) => sum + piece.length, 0)
    passed.push('content-length', String(length))
  }
  return passed
}

class Call implements UpstreamCall, Dispatcher.DispatchHandler {
  private readonly options: UndiciUpstreamOptions
  private readonly handler: UpstreamHandler
  private controller: Dispatcher.DispatchController | null = null
  private finished = false

  constructor(options: UndiciUpstreamOptions, handler: UpstreamHandler) {
    this.options = options
    this.handler = handler
  }

  abort(): void {
    if (this.finished) return
    this.finish('aborted')
    // Without a controller the call still waits for a connection and is ended when it gets one.
    this.controller?.abort(new Error('the client left'))
  }

  pause(): void {
    this.controller?.pause()
  }

  resume(): void {
    this.controller?.resume()
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller
    if (this.finished) controller.abort(new Error('the client left'))
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    _headers: unknown,
    statusText?: string,
  ): void {
    const headers = this.options.headers.response(rawHeaders(controller.rawHeaders))
    if (status < 200) return this.handler.onInformation(status, headers)
    this.status = status
    this.handler.onHead(status, statusText ?? '', headers)
  }

  private status = 0

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.handler.onData(chunk)
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    if (this.finished) return
    this.finish(`${Math.floor(this.status / 100)}xx`)
    const trailers = rawHeaders(controller.rawTrailers)
    this.handler.onEnd(trailers.length === 0 ? trailers : this.options.headers.trailers(trailers))
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.fail(error)
  }

  fail(cause: unknown): void {
    if (this.finished) return
    const error = describeFailure(this.options.name, cause)
    this.finish(error.code === 'ballast_upstream_timeout' ? 'timeout' : 'error')
    this.handler.onError(error)
  }

  private finish(outcome: string): void {
    this.finished = true
    this.options.metrics.upstreamRequest(this.options.name, outcome)
  }
}

const NO_HEADERS: RawHeaders = []

function rawHeaders(raw: Dispatcher.DispatchController['rawHeaders']): RawHeaders {
  return raw === undefined || raw === null ? NO_HEADERS : (raw as Buffer[]).map((it) => it.toString('latin1'))
}

const TIMEOUTS: Record<string, string> = {
  UND_ERR_CONNECT_TIMEOUT: 'did not accept a connection in time',
  UND_ERR_HEADERS_TIMEOUT: 'did not begin to answer in time',
  UND_ERR_BODY_TIMEOUT: 'stopped in the middle of its answer',
}

function describeFailure(name: string, cause: unknown): BallastError {
  const code = String((cause as { code?: unknown } | null)?.code ?? 'no code')
  const timeout = TIMEOUTS[code]
  if (timeout !== undefined) {
    return new BallastError('ballast_upstream_timeout', `Upstream "${name}" ${timeout}.`, {
      source: 'upstream',
      // Once the request was sent, it may be worked on, and paid for, still.
      retryable: code === 'UND_ERR_CONNECT_TIMEOUT',
      cause,
    })
  }
  return new BallastError('ballast_upstream_failed', `Upstream "${name}" failed (${code}).`, {
    source: 'upstream',
    retryable: true,
    cause,
  })
}
