/**
 * The data plane on Node: `node:http` collects a request, the pipeline answers it. Composed by `node.ts`. The Web's
 * Request and Response would cost more here than all the rest (see `docs/decisions/`).
 */
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { performance } from 'node:perf_hooks'
import { BallastError, toBallastError } from '../domain/errors.ts'
import type { Log, Metrics } from '../domain/ports.ts'
import type { ClientRequest, ClientResponse } from '../pipeline/context.ts'
import {
  CLIENT_CLOSED_REQUEST,
  type Exchange,
  type PipelineDeps,
  serve,
  UNROUTED,
} from '../pipeline/pipeline.ts'
import { SURFACES, type Surface } from '../policy/surfaces.ts'
import type { Authenticate } from './auth.ts'
import { errorResponse } from './errors.ts'

export interface DataPlaneDeps {
  readonly pipeline: PipelineDeps
  readonly authenticate: Authenticate
  /** Largest request body, in bytes. */
  readonly bodyLimit: number
  readonly metrics: Metrics
  readonly log: Log
  /** Whether new requests are refused because the process is ending. */
  readonly draining: () => boolean
}

export function createDataPlane(deps: DataPlaneDeps): Server {
  return createServer((incoming, outgoing) => new Connection(deps, incoming, outgoing).begin())
}

/** One request on its way in and its answer on the way out. */
class Connection implements ClientResponse {
  private readonly deps: DataPlaneDeps
  private readonly incoming: IncomingMessage
  private readonly outgoing: ServerResponse
  private readonly id = randomUUID()
  private readonly receivedAt = Date.now()
  private readonly startedAt = performance.now()
  private readonly chunks: Buffer[] = []
  private size = 0
  private client: string | null = null
  private surface: Surface | undefined
  private exchange: Exchange | null = null
  /** Answered before the pipeline had it; the rest of the body is not looked at. */
  private refused = false

  constructor(deps: DataPlaneDeps, incoming: IncomingMessage, outgoing: ServerResponse) {
    this.deps = deps
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
    } catch (thrown) {
      this.refuse(toBallastError(thrown))
      return
    }
    this.incoming.on('data', (chunk: Buffer) => this.collect(chunk))
    this.incoming.on('end', () => this.run())
  }

  private admit(): void {
    const { method, url = '', headers } = this.incoming
    if (this.deps.draining()) {
      throw new BallastError('ballast_draining', 'ballast is shutting down; send the request again.', {
        source: 'internal',
        retryable: true,
      })
    }
    this.client = this.deps.authenticate(headers.authorization ?? null)
    const path = url.split('?', 1)[0]!
    this.surface = path.startsWith('/v1/') ? SURFACES.get(path.slice('/v1'.length)) : undefined
    if (this.surface === undefined) {
      const served = [...SURFACES.keys()].map((it) => `POST /v1${it}`).join(', ')
      throw new BallastError('ballast_unknown_path', `This path is not served; there is ${served}.`, {
        source: 'client',
      })
    }
    if (method !== 'POST') {
      throw new BallastError('ballast_method_not_allowed', `${path} takes POST, not ${method}.`, {
        source: 'client',
      })
    }
    if (Number(headers['content-length'] ?? 0) > this.deps.bodyLimit) this.tooLarge()
    const encoding = headers['content-encoding'] ?? 'identity'
    if (encoding !== 'identity') {
      throw new BallastError(
        'ballast_malformed_body',
        'Compressed request bodies are not read; send it as it is.',
        {
          source: 'client',
        },
      )
    }
  }

  private tooLarge(): never {
    const message = `The request body is larger than the ${this.deps.bodyLimit} bytes that are allowed (limits.body).`
    throw new BallastError('ballast_body_too_large', message, { source: 'client' })
  }

  private collect(chunk: Buffer): void {
    if (this.refused) return
    this.size += chunk.length
    if (this.size <= this.deps.bodyLimit) {
      this.chunks.push(chunk)
      return
    }
    try {
      this.tooLarge()
    } catch (thrown) {
      this.refuse(toBallastError(thrown))
    }
  }

  private run(): void {
    if (this.refused) return
    const request: ClientRequest = {
      id: this.id,
      surface: this.surface!,
      method: 'POST',
      path: this.incoming.url!.slice('/v1'.length),
      headers: this.incoming.rawHeaders,
      body: this.chunks.length === 1 ? this.chunks[0]! : Buffer.concat(this.chunks, this.size),
      client: this.client,
      receivedAt: this.receivedAt,
      startedAt: this.startedAt,
      bodyReadAt: performance.now(),
    }
    this.exchange = serve(this.deps.pipeline, request, this)
  }

  /** Answers a request that the pipeline never sees. */
  private refuse(error: BallastError): void {
    this.refused = true
    this.chunks.length = 0
    if (error.source === 'internal' && error.cause !== undefined) {
      this.deps.log.error({ err: error.cause, request: this.id }, error.message)
    }
    // The body was not read to its end, so the connection cannot be used again.
    const status = this.fail(error, ['x-ballast-request-id', this.id, 'connection', 'close'])
    this.incoming.resume()
    this.count(status)
  }

  private closed(): void {
    if (this.exchange !== null) this.exchange.clientGone()
    else if (!this.refused) this.count(CLIENT_CLOSED_REQUEST)
  }

  private count(status: number): void {
    this.deps.metrics.requestFinished(UNROUTED, status, performance.now() - this.startedAt)
  }

  // --- ClientResponse -------------------------------------------------------------------------------------------

  head(status: number, statusText: string, headers: string[], flush: boolean): void {
    this.outgoing.writeHead(status, statusText, headers)
    if (flush) this.outgoing.flushHeaders()
  }

  write(chunk: Uint8Array): boolean {
    return this.outgoing.write(chunk)
  }

  onDrain(listener: () => void): void {
    this.outgoing.on('drain', listener)
  }

  end(): void {
    this.outgoing.end()
  }

  destroy(): void {
    this.outgoing.destroy()
  }

  fail(error: BallastError, headers: string[]): number {
    const { status, body } = errorResponse(error)
    const length = String(Buffer.byteLength(body))
    this.outgoing.writeHead(status, [
      'content-type',
      'application/json',
      'content-length',
      length,
      ...headers,
    ])
    this.outgoing.end(body)
    return status
  }
}
