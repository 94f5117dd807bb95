/**
 * One request on `node:http`, on its way in: admits it, reads what must be read, and hands it to the pipeline. Made by
 * `data-plane.ts` for each request.
 */
import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { performance } from 'node:perf_hooks'
import { BallastError, toBallastError } from '../domain/errors.ts'
import type { UpstreamBody } from '../domain/ports.ts'
import type { RequestTrace } from '../domain/tracing.ts'
import type { ClientRequest } from '../pipeline/context.ts'
import { passThrough } from '../pipeline/passthrough.ts'
import { serve } from '../pipeline/pipeline.ts'
import { CLIENT_CLOSED_REQUEST, type Relay, UNROUTED } from '../pipeline/relay.ts'
import { logRequest, logsRequests } from '../pipeline/request-line.ts'
import { BodyBuffer, bodyTooLarge } from './body.ts'
import type { ClientMessage } from './client-message.ts'
import { requireLocal } from './origin.ts'
import { Outgoing } from './outgoing.ts'
import { authorityOf, readTarget, type Target } from './path.ts'
import { type BodyHead, namesModel, requireReadable } from './reading.ts'
import type { DataPlaneDeps, Snapshot } from './served.ts'

export class Incoming {
  private readonly deps: DataPlaneDeps
  private readonly snapshot: Snapshot
  private readonly incoming: ClientMessage
  private readonly outgoing: ServerResponse
  private readonly answer: Outgoing
  private readonly running: Set<Incoming>
  private readonly id = randomUUID()
  private readonly receivedAt = Date.now()
  private readonly startedAt = performance.now()
  private readonly trace: RequestTrace
  private client: string | null = null
  private relay: Relay | null = null
  /** Answered before the pipeline had it; the rest of the body is not looked at. */
  private refused = false
  private entered = false

  /** @param running the requests of its connection that are not over; it adds and removes itself. */
  constructor(
    deps: DataPlaneDeps,
    incoming: ClientMessage,
    outgoing: ServerResponse,
    running: Set<Incoming>,
  ) {
    this.deps = deps
    this.running = running.add(this)
    this.snapshot = deps.enter()
    this.incoming = incoming
    this.outgoing = outgoing
    this.trace = deps.tracing.request(incoming.method!, incoming.url!, incoming.rawHeaders)
    this.answer = new Outgoing(incoming, outgoing, this.snapshot.stallMs, deps)
  }

  /** @param expectsContinue whether the client sends its body only when it is told to. */
  begin(expectsContinue: boolean): void {
    // 'close' without a finished answer means that the client left.
    this.outgoing.on('close', () => this.closed())
    try {
      const target = this.admit()
      const counted = this.snapshot.limits.count(this.client)
      if (counted === null) return this.proceed(target, expectsContinue)
      counted
        .then(() => this.proceed(target, expectsContinue))
        .catch((thrown: unknown) => this.refuse(toBallastError(thrown)))
    } catch (thrown) {
      this.refuse(toBallastError(thrown))
    }
  }

  /**
   * Refuses the request for what its connection brought, if that concerns it and it was not answered yet.
   * @returns whether it did.
   */
  interrupt(error: BallastError): boolean {
    if (this.incoming.complete || this.outgoing.headersSent || this.relay !== null || this.refused)
      return false
    this.outgoing.shouldKeepAlive = false
    this.refuse(error)
    return true
  }

  private admit(): Target {
    if (this.deps.refusing()) {
      throw new BallastError('ballast_draining', 'ballast is shutting down; send the request again.', {
        source: 'internal',
        retryable: true,
      })
    }
    const { method, url, headers } = this.incoming
    requireWellFormed(this.incoming)
    if (this.snapshot.localOnly) requireLocal(authorityOf(url!) ?? headers.host, headers.origin)
    this.client = this.snapshot.authenticate(headers.authorization ?? null)
    const target = readTarget(method!, url!)
    this.snapshot.limits.enter(this.client)
    this.entered = true
    return target
  }

  private proceed({ path, surface }: Target, expectsContinue: boolean): void {
    if (surface !== null) requireReadable(this.bodyHead(), this.snapshot.largestBody)
    if (expectsContinue) this.answer.continue()
    if (surface !== null) {
      this.collect((body) => serve(this.snapshot.pipeline, surface, this.request(path, body), this.answer))
    } else if (namesModel(this.bodyHead(), this.snapshot.largestBody)) {
      this.collect((body) => passThrough(this.snapshot.pipeline, this.request(path, body), this.answer))
    } else {
      // By an iterator, so that an upstream that reads no further does not take the client's connection with it.
      const body: UpstreamBody = this.hasBody() ? this.incoming.streamBody() : null
      this.relay = passThrough(this.snapshot.pipeline, this.request(path, body), this.answer)
    }
  }

  private hasBody(): boolean {
    const { headers } = this.incoming
    return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
  }

  private bodyHead(): BodyHead {
    const { headers } = this.incoming
    return {
      length: Number(headers['content-length'] ?? 0),
      type: headers['content-type'] ?? null,
      encoding: headers['content-encoding'] ?? null,
    }
  }

  /** Reads the body whole and hands it on. */
  private collect(run: (body: Buffer) => Relay): void {
    const body = new BodyBuffer(
      Number(this.incoming.headers['content-length'] ?? 0),
      this.snapshot.largestBody,
    )
    this.incoming.takeBody((chunk) => {
      if (this.refused) return
      if (chunk === null) this.relay = run(body.take())
      else if (!body.push(chunk)) this.refuse(bodyTooLarge(this.snapshot.largestBody))
    })
  }

  private request<B>(path: string, body: B): ClientRequest<B> {
    return {
      id: this.id,
      method: this.incoming.method!,
      path,
      headers: this.incoming.rawHeaders,
      body,
      client: this.client,
      receivedAt: this.receivedAt,
      startedAt: this.startedAt,
      bodyReadAt: performance.now(),
      trace: this.trace,
    }
  }

  /** Answers a request that the pipeline never sees. */
  private refuse(error: BallastError): void {
    this.refused = true
    if (error.source === 'internal' && error.cause !== undefined) {
      this.deps.log.error({ err: error.cause, request: this.id }, error.message)
    }
    this.count(this.answer.fail(error, ['x-ballast-request-id', this.id]), error)
  }

  private closed(): void {
    this.running.delete(this)
    this.answer.closed()
    if (this.entered) this.snapshot.limits.leave(this.client)
    if (this.relay !== null) this.relay.clientGone()
    else if (!this.refused) this.count(CLIENT_CLOSED_REQUEST, null)
    this.snapshot.leave()
  }

  private count(status: number, failure: BallastError | null): void {
    const { id, client, trace, deps } = this
    const durationMs = performance.now() - this.startedAt
    deps.metrics.requestFinished(UNROUTED, status, durationMs)
    trace.refused(id, status, failure)
    if (!logsRequests(deps.log)) return
    const { method, url } = this.incoming
    const { traceId } = trace
    logRequest(deps.log, {
      id,
      method: method!,
      target: url!,
      client,
      status,
      durationMs,
      traceId,
      failure,
    })
  }
}

/** What `node:http` lets pass, and no request may have. */
function requireWellFormed({ method, httpVersion, headers, rawHeaders }: ClientMessage): void {
  const malformed = (message: string) =>
    new BallastError('ballast_malformed_request', message, { source: 'client' })
  // It would give the client what ballast sends to the upstream, its key included (RFC 9110 section 9.3.8).
  if (method === 'TRACE') throw malformed('TRACE is not served.')
  if (headers.host === undefined && httpVersion !== '1.0')
    throw malformed('The request has no `host` header.')
  let hosts = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]!.length === 4 && rawHeaders[index]!.toLowerCase() === 'host') hosts++
  }
  if (hosts > 1) throw malformed('The request has more than one `host` header.')
  const coding = headers['transfer-encoding']
  if (coding !== undefined && coding.toLowerCase() !== 'chunked')
    throw malformed('Of transfer codings only `chunked` is read.')
}
