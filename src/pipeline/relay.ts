/**
 * The second half of a request's path, the same for every endpoint: forward, relay, record. An `Exchange`
 * (`pipeline.ts`) puts the steps of injection before it; a pass-through (`passthrough.ts`) nothing.
 */
import { performance } from 'node:perf_hooks'
import type { BallastError } from '../domain/errors.ts'
import type {
  Log,
  Metrics,
  RawHeaders,
  RequestLabels,
  Upstream,
  UpstreamCall,
  UpstreamHandler,
  UpstreamRequest,
} from '../domain/ports.ts'
import type { FinishedRequest, TokenUsage } from '../domain/tracing.ts'
import type { UpstreamPlace } from '../domain/upstream-place.ts'
import { BASE } from '../policy/surfaces.ts'
import type { ClientRequest, ClientResponse } from './context.ts'
import { logRequest, logsRequests } from './request-line.ts'

export interface RelayDeps {
  readonly metrics: Metrics
  readonly log: Log
}

/** Labels of requests that no route took. */
export const UNROUTED: RequestLabels = { route: 'other', experiment: '', arm: '' }

/** The status counted for a client that left before it was answered; no such status is sent. */
export const CLIENT_CLOSED_REQUEST = 499

export type RelayedRequest = Pick<
  ClientRequest<unknown>,
  'id' | 'method' | 'path' | 'client' | 'startedAt' | 'trace' | 'body'
>

export abstract class Relay implements UpstreamHandler, FinishedRequest {
  protected readonly request: RelayedRequest
  protected readonly response: ClientResponse
  labels: RequestLabels = UNROUTED
  place: UpstreamPlace | null = null
  attempts = 0
  failure: BallastError | null = null
  /** The status that reached the client; 0 before. */
  protected status = 0
  protected answerHeaders: RawHeaders = []
  private readonly relayDeps: RelayDeps
  private call: UpstreamCall | null = null
  private sentAt = 0
  private firstByteAt: number | null = null
  private responseBytes = 0
  private done = false

  constructor(deps: RelayDeps, request: RelayedRequest, response: ClientResponse) {
    this.relayDeps = deps
    this.request = request
    this.response = response
  }

  get id(): string {
    return this.request.id
  }

  get modelIsRoutes(): boolean {
    return this.labels !== UNROUTED && !this.labels.route.includes('*')
  }

  get firstByteMs(): number | null {
    return this.firstByteAt === null ? null : this.firstByteAt - this.sentAt
  }

  /** Of an arm whose policy was applied. */
  get policy(): string | null {
    return null
  }

  get usage(): TokenUsage | null {
    return null
  }

  get sampled(): boolean {
    return false
  }

  /** Whether the client was answered, or left. */
  protected get over(): boolean {
    return this.done
  }

  /** Whether the body may take its time, so that the head is sent at once. */
  protected abstract get streaming(): boolean

  /** What the answer's head says besides what the upstream sent. */
  protected ownHeaders(): string[] {
    return ['x-ballast-request-id', this.request.id]
  }

  /** A chunk of the answer, on its way to the client. */
  protected tapChunk(_chunk: Uint8Array): void {}

  /** After everything else, once. @param whole whether the answer came to its end. */
  protected finished(_code: number, _whole: boolean): void {}

  /** Sends the request to the upstream. */
  protected send(upstream: Upstream, request: UpstreamRequest): void {
    this.sentAt = performance.now()
    const call = upstream.send(request, this)
    // A send that fails at once has recorded the exchange already.
    if (!this.done) this.call = call
    this.response.onDrain(() => call.resume())
  }

  onTry(place: UpstreamPlace, before: string | null): void {
    this.place = place
    this.attempts++
    if (before !== null) this.request.trace.retried(place, before)
  }

  onInformation(status: number, headers: RawHeaders): void {
    this.response.inform(status, headers)
  }

  onHead(status: number, statusText: string, headers: RawHeaders): void {
    this.answerHeaders = headers
    this.response.head(status, statusText, [...headers, ...this.ownHeaders()], this.streaming)
    this.status = status
  }

  onData(chunk: Uint8Array): void {
    if (this.firstByteAt === null) this.seeFirstByte()
    this.responseBytes += chunk.length
    this.tapChunk(chunk)
    if (!this.response.write(chunk)) this.call?.pause()
  }

  onEnd(trailers: RawHeaders): void {
    if (this.done) return
    this.response.end(trailers)
    this.record(this.status, true)
  }

  /** The upstream failed, or a step before did. Before the head the client is told; after it the answer breaks off. */
  onError(error: BallastError): void {
    if (this.done) return
    this.failure = error
    if (error.source === 'internal')
      this.relayDeps.log.error({ err: error.cause, request: this.request.id }, error.message)
    if (this.status === 0) this.record(this.response.fail(error, this.ownHeaders()), false)
    else {
      this.response.destroy()
      this.record(this.status, false)
    }
  }

  /** The client left: the upstream call is cancelled at once. */
  clientGone(): void {
    if (this.done) return
    this.call?.abort()
    this.record(CLIENT_CLOSED_REQUEST, false)
  }

  private seeFirstByte(): void {
    this.firstByteAt = performance.now()
    this.relayDeps.metrics.firstByte(this.labels, this.firstByteAt - this.request.startedAt)
  }

  private record(code: number, whole: boolean): void {
    this.done = true
    const durationMs = performance.now() - this.request.startedAt
    const { metrics, log } = this.relayDeps
    metrics.requestFinished(this.labels, code, durationMs)
    this.request.trace.end(code, this)
    if (logsRequests(log)) this.log(log, code, durationMs)
    this.finished(code, whole)
  }

  private log(log: Log, status: number, durationMs: number): void {
    const { id, method, path, client, trace, body } = this.request
    const { labels, policy, place, attempts, responseBytes, failure } = this
    const requestBytes = body instanceof Uint8Array ? body.length : body === null ? 0 : null
    logRequest(log, {
      ...{ id, method, target: BASE + path, client, status, durationMs, requestBytes, responseBytes },
      ...{ labels, policy, place, attempts, failure, traceId: trace.traceId },
    })
  }
}
