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
import type { ClientRequest, ClientResponse } from './context.ts'

export interface RelayDeps {
  readonly metrics: Metrics
  readonly log: Log
}

/** Labels of requests that no route took. */
export const UNROUTED: RequestLabels = { route: 'other', experiment: '', arm: '' }

/** The status counted for a client that left before it was answered; no such status is sent. */
export const CLIENT_CLOSED_REQUEST = 499

export type RelayedRequest = Pick<ClientRequest<unknown>, 'id' | 'startedAt'>

export abstract class Relay implements UpstreamHandler {
  protected readonly request: RelayedRequest
  protected readonly response: ClientResponse
  protected labels: RequestLabels = UNROUTED
  /** The status that reached the client; 0 before. */
  protected status = 0
  protected answerHeaders: RawHeaders = []
  private readonly relayDeps: RelayDeps
  private call: UpstreamCall | null = null
  private firstByteSeen = false
  private done = false

  constructor(deps: RelayDeps, request: RelayedRequest, response: ClientResponse) {
    this.relayDeps = deps
    this.request = request
    this.response = response
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
    const call = upstream.send(request, this)
    // A send that fails at once has recorded the exchange already.
    if (!this.done) this.call = call
    this.response.onDrain(() => call.resume())
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
    if (!this.firstByteSeen) this.seeFirstByte()
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
    const { log } = this.relayDeps
    if (error.source === 'internal') log.error({ err: error.cause, request: this.request.id }, error.message)
    else log.debug({ err: error, request: this.request.id }, 'a request failed')
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
    this.firstByteSeen = true
    this.relayDeps.metrics.firstByte(this.labels, performance.now() - this.request.startedAt)
  }

  private record(code: number, whole: boolean): void {
    this.done = true
    this.relayDeps.metrics.requestFinished(this.labels, code, performance.now() - this.request.startedAt)
    this.finished(code, whole)
  }
}
