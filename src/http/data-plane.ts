/**
 * The data plane on Node: `node:http` reads a request, the pipeline answers it. Composed by `node.ts`. The Web's
 * Request and Response would cost more here than all the rest (see `docs/decisions/`).
 */
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import { performance } from 'node:perf_hooks'
import type { Duplex } from 'node:stream'
import { BallastError, type ErrorCode, toBallastError } from '../domain/errors.ts'
import type { Log, Metrics, RawHeaders, UpstreamBody } from '../domain/ports.ts'
import type { ClientRequest, ClientResponse } from '../pipeline/context.ts'
import { withoutHeader } from '../pipeline/headers.ts'
import { passThrough } from '../pipeline/passthrough.ts'
import { type PipelineDeps, serve } from '../pipeline/pipeline.ts'
import { CLIENT_CLOSED_REQUEST, type Relay, UNROUTED } from '../pipeline/relay.ts'
import { findHeader } from '../policy/raw-headers.ts'
import { SURFACES, type Surface } from '../policy/surfaces.ts'
import type { Authenticate } from './auth.ts'
import { BodyBuffer } from './body.ts'
import { errorResponse } from './errors.ts'
import type { Limits } from './limits.ts'
import { requireLocal } from './origin.ts'

/** All of one configuration that a request is served by. */
export interface Snapshot {
  readonly pipeline: PipelineDeps
  readonly authenticate: Authenticate
  /** Whether only requests to this machine are answered, none that a foreign web page makes. */
  readonly localOnly: boolean
  readonly limits: Limits
  /** Largest body that is read whole, in bytes. */
  readonly largestBody: number
  /** How long a client that is behind may read nothing, in milliseconds. */
  readonly stallMs: number
  /** Says that the request it was handed out for is over. */
  leave(): void
}

export interface DataPlaneDeps {
  /** The configuration in force. Asked once per request, when it begins, so that a request runs through a whole one. */
  readonly enter: () => Snapshot
  /** What the server is made with: largest head in bytes, longest time for a request to come in, in milliseconds. */
  readonly limits: { readonly headers: number; readonly receive: number }
  readonly metrics: Metrics
  readonly log: Log
  /** Whether new requests are refused because the process is ending. */
  readonly draining: () => boolean
}

const BASE = '/v1'
/** What no reason phrase may hold (RFC 9112 section 4). */
const UNSENDABLE = /[^\t\x20-\x7e\x80-\xff]/g
/** How much of a refused request is still read, and for how long. */
const LINGER_BYTES = 64 * 1024 * 1024
const LINGER_MS = 10_000
const NOTHING = Buffer.alloc(0)
const HEAD_TIMEOUT_MS = 60_000
/** How often slow clients are looked for. */
const CHECK_MS = 5_000

export function createDataPlane(deps: DataPlaneDeps): Server {
  const server = createServer(
    {
      maxHeaderSize: deps.limits.headers,
      requestTimeout: deps.limits.receive,
      headersTimeout: Math.min(HEAD_TIMEOUT_MS, deps.limits.receive),
      connectionsCheckingInterval: Math.min(CHECK_MS, deps.limits.receive),
    },
    (incoming, outgoing) => new Connection(deps, incoming, outgoing, false).begin(),
  )
  server.on('checkContinue', (incoming: IncomingMessage, outgoing: ServerResponse) =>
    new Connection(deps, incoming, outgoing, true).begin(),
  )
  /** Answers where there is no request to answer. */
  const answer = (socket: Duplex, error: BallastError) => {
    const { status, headers, body } = errorResponse(error)
    const fields = [...headers, 'connection', 'close'].map((it, index) =>
      index % 2 === 0 ? `\r\n${it}: ` : it,
    )
    socket.on('error', () => {})
    if (socket.writable)
      socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}${fields.join('')}\r\n\r\n${body}`)
    else socket.destroy()
    deps.metrics.requestFinished(UNROUTED, status, 0)
  }
  // Without a listener an upgrade would end without a word.
  server.on('upgrade', (_request, socket) => {
    const message = 'ballast does not relay WebSockets; connect to the provider.'
    answer(socket, new BallastError('ballast_upgrade_unsupported', message, { source: 'client' }))
  })
  server.on('checkExpectation', (_request, response: ServerResponse) => {
    const message = 'Of expectations only `100-continue` can be met.'
    const error = new BallastError('ballast_expectation_failed', message, { source: 'client' })
    const { status, headers, body } = errorResponse(error)
    response.writeHead(status, [...headers, 'connection', 'close']).end(body)
    deps.metrics.requestFinished(UNROUTED, status, 0)
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    // The client left; there is nobody to answer.
    if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
    const [code, message] = REFUSALS[error.code ?? ''] ?? NOT_HTTP
    answer(socket, new BallastError(code, message, { source: 'client' }))
  })
  return server
}

/** What `node:http` refuses by itself, by its error code. */
const REFUSALS: Record<string, readonly [ErrorCode, string]> = {
  ERR_HTTP_REQUEST_TIMEOUT: [
    'ballast_request_timeout',
    'The request did not come in whole in time (limits.receive).',
  ],
  HPE_HEADER_OVERFLOW: [
    'ballast_headers_too_large',
    "The request's head is larger than allowed (limits.headers).",
  ],
}
const NOT_HTTP: readonly [ErrorCode, string] = ['ballast_malformed_request', 'This is not an HTTP request.']

/** @param path without the query. @throws BallastError `ballast_unknown_path`. */
export function requireServed(path: string): void {
  // A path that would be resolved to another one could leave the upstream's base URL.
  const plain =
    path.startsWith(`${BASE}/`) &&
    !/\/\.{1,2}(\/|$)|\\/.test(path.replace(/%2e/gi, '.').replace(/%2f/gi, '/'))
  if (plain) return
  const message = `This path is not served; all that is stands below ${BASE}/.`
  throw new BallastError('ballast_unknown_path', message, { source: 'client' })
}

/** @param limit in bytes. */
export function bodyTooLarge(limit: number): BallastError {
  const message = `The request body is larger than the ${limit} bytes that are allowed (limits.body).`
  return new BallastError('ballast_body_too_large', message, { source: 'client' })
}

/** One request on its way in and its answer on the way out. */
class Connection implements ClientResponse {
  private readonly deps: DataPlaneDeps
  private readonly snapshot: Snapshot
  private readonly incoming: IncomingMessage
  private readonly outgoing: ServerResponse
  /** The client sends its body only when it is told to. */
  private readonly expectsContinue: boolean
  private readonly id = randomUUID()
  private readonly receivedAt = Date.now()
  private readonly startedAt = performance.now()
  private client: string | null = null
  private relay: Relay | null = null
  /** Answered before the pipeline had it; the rest of the body is not looked at. */
  private refused = false
  private entered = false
  private stalled: NodeJS.Timeout | null = null

  constructor(
    deps: DataPlaneDeps,
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    expectsContinue: boolean,
  ) {
    this.expectsContinue = expectsContinue
    this.deps = deps
    this.snapshot = deps.enter()
    this.incoming = incoming
    this.outgoing = outgoing
  }

  begin(): void {
    // 'close' without a finished answer means that the client left.
    this.outgoing.on('close', () => this.closed())
    this.incoming.on('error', () => {})
    this.outgoing.on('error', () => {})
    try {
      this.admit()
      const counted = this.snapshot.limits.count(this.client)
      if (counted === null) this.proceed()
      else counted.then(() => this.proceed()).catch((thrown: unknown) => this.refuse(toBallastError(thrown)))
    } catch (thrown) {
      this.refuse(toBallastError(thrown))
    }
  }

  private proceed(): void {
    const surface = this.surface()
    if (surface !== undefined) this.requireReadable()
    if (this.expectsContinue) this.outgoing.writeContinue()
    if (surface !== undefined) {
      this.collect((body) => serve(this.snapshot.pipeline, surface, this.request(body), this))
    } else if (this.namesModel()) {
      this.collect((body) => passThrough(this.snapshot.pipeline, this.request(body), this))
    } else {
      // By an iterator, so that an upstream that reads no further does not take the client's connection with it.
      const body: UpstreamBody = this.hasBody() ? this.incoming.iterator({ destroyOnReturn: false }) : null
      this.relay = passThrough(this.snapshot.pipeline, this.request(body), this)
    }
  }

  private admit(): void {
    if (this.deps.draining()) {
      throw new BallastError('ballast_draining', 'ballast is shutting down; send the request again.', {
        source: 'internal',
        retryable: true,
      })
    }
    const { host, origin } = this.incoming.headers
    if (this.snapshot.localOnly) requireLocal(host, origin)
    this.client = this.snapshot.authenticate(this.incoming.headers.authorization ?? null)
    requireServed(this.path())
    this.snapshot.limits.enter(this.client)
    this.entered = true
  }

  private path(): string {
    return this.incoming.url!.split('?', 1)[0]!
  }

  private surface(): Surface | undefined {
    return this.incoming.method === 'POST' ? SURFACES.get(this.path().slice(BASE.length)) : undefined
  }

  private hasBody(): boolean {
    const { headers } = this.incoming
    return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
  }

  /** Whether the body is JSON of a known length that can be read whole for its model. */
  private namesModel(): boolean {
    const { headers } = this.incoming
    const length = Number(headers['content-length'] ?? 0)
    const json =
      /^application\/json\b/i.test(headers['content-type'] ?? '') && !('content-encoding' in headers)
    return json && length > 0 && length <= this.snapshot.largestBody
  }

  private requireReadable(): void {
    const { headers } = this.incoming
    if (Number(headers['content-length'] ?? 0) > this.snapshot.largestBody) throw this.tooLarge()
    if ((headers['content-encoding'] ?? 'identity') !== 'identity') {
      throw new BallastError(
        'ballast_malformed_body',
        'Compressed request bodies are not read; send it as it is.',
        {
          source: 'client',
        },
      )
    }
  }

  private tooLarge(): BallastError {
    return bodyTooLarge(this.snapshot.largestBody)
  }

  /** Reads the body whole and hands it on. */
  private collect(run: (body: Buffer) => Relay): void {
    const body = new BodyBuffer(
      Number(this.incoming.headers['content-length'] ?? 0),
      this.snapshot.largestBody,
    )
    this.incoming.on('data', (chunk: Buffer) => {
      if (!this.refused && !body.push(chunk)) this.refuse(this.tooLarge())
    })
    this.incoming.on('end', () => {
      if (!this.refused) this.relay = run(body.take())
    })
  }

  private request<B>(body: B): ClientRequest<B> {
    return {
      id: this.id,
      method: this.incoming.method!,
      path: this.incoming.url!.slice(BASE.length),
      headers: this.incoming.rawHeaders,
      body,
      client: this.client,
      receivedAt: this.receivedAt,
      startedAt: this.startedAt,
      bodyReadAt: performance.now(),
    }
  }

  /** Answers a request that the pipeline never sees. */
  private refuse(error: BallastError): void {
    this.refused = true
    if (error.source === 'internal' && error.cause !== undefined) {
      this.deps.log.error({ err: error.cause, request: this.id }, error.message)
    }
    this.count(this.fail(error, ['x-ballast-request-id', this.id]))
  }

  /** Many clients read no answer before they have sent everything: what still comes is read, within bounds. */
  private linger(): void {
    let rest = LINGER_BYTES
    const { socket } = this.incoming
    const timer = setTimeout(() => socket.destroy(), LINGER_MS)
    // After `connection: close` Node would close both ways at once, and the reset could overtake the answer
    // (RFC 9112 section 9.6): close this way only, and go on reading.
    if (!this.outgoing.shouldKeepAlive) socket.destroySoon = () => void socket.end()
    this.incoming.on('data', (chunk: Buffer) => {
      rest -= chunk.length
      if (rest < 0) socket.destroy()
    })
    const settled = this.outgoing.shouldKeepAlive ? this.incoming : socket
    settled.on('close', () => clearTimeout(timer))
  }

  private closed(): void {
    if (this.stalled !== null) clearTimeout(this.stalled)
    if (this.entered) this.snapshot.limits.leave(this.client)
    if (this.relay !== null) this.relay.clientGone()
    else if (!this.refused) this.count(CLIENT_CLOSED_REQUEST)
    this.snapshot.leave()
  }

  private count(status: number): void {
    this.deps.metrics.requestFinished(UNROUTED, status, performance.now() - this.startedAt)
  }

  // --- ClientResponse -------------------------------------------------------------------------------------------

  inform(status: number, headers: RawHeaders): void {
    // 101 would end HTTP here; HTTP/1.0 knows none of them (RFC 9110 section 15.2).
    if (status === 101 || this.incoming.httpVersion === '1.0' || this.outgoing.headersSent) return
    this.outgoing.writeInformation(status, [...headers])
  }

  head(status: number, statusText: string, headers: string[], flush: boolean): void {
    const trailed = findHeader(headers, 'trailer') !== null && !this.takesTrailers(status, headers)
    this.outgoing.writeHead(
      status,
      statusText.replace(UNSENDABLE, ''),
      trailed ? withoutHeader(headers, 'trailer') : headers,
    )
    // An empty chunk rather than `flushHeaders`, which would write bytes beyond ASCII as UTF-8.
    if (flush) this.outgoing.write(NOTHING)
  }

  /** Only a body in chunks has room for trailers behind it (RFC 9112 section 7.1.2). */
  private takesTrailers(status: number, headers: RawHeaders): boolean {
    const { httpVersion, method } = this.incoming
    const hasBody = method !== 'HEAD' && status !== 204 && status !== 304
    return httpVersion !== '1.0' && hasBody && findHeader(headers, 'content-length') === null
  }

  write(chunk: Uint8Array): boolean {
    if (this.outgoing.write(chunk)) return true
    // A client that reads nothing more must not hold its upstream call for ever.
    this.stalled ??= setTimeout(() => this.outgoing.destroy(), this.snapshot.stallMs)
    return false
  }

  onDrain(listener: () => void): void {
    this.outgoing.on('drain', () => {
      if (this.stalled !== null) clearTimeout(this.stalled)
      this.stalled = null
      listener()
    })
  }

  end(trailers: RawHeaders): void {
    if (trailers.length > 0 && this.outgoing.chunkedEncoding) this.outgoing.addTrailers(pairs(trailers))
    this.outgoing.end()
    if (!this.incoming.complete) this.linger()
  }

  destroy(): void {
    this.outgoing.destroy()
  }

  fail(error: BallastError, headers: string[]): number {
    const { status, headers: own, body } = errorResponse(error)
    try {
      // With a reason of its own: one that the upstream sent may be what failed.
      this.outgoing.writeHead(status, STATUS_CODES[status], [...own, ...headers])
      this.outgoing.end(body)
      if (!this.incoming.complete) this.linger()
    } catch (thrown) {
      this.deps.log.error({ err: thrown, request: this.id }, 'an error could not be told to its client')
      this.outgoing.destroy()
    }
    return status
  }
}

function pairs(headers: RawHeaders): [string, string][] {
  return Array.from({ length: headers.length / 2 }, (_, at) => [headers[2 * at]!, headers[2 * at + 1]!])
}
