/**
 * One request on a Worker, on its way in: admits it, reads what must be read, and hands it to the pipeline. Called by
 * `worker.ts` for each request; `http/incoming.ts` is its like on Node.
 */
import { BallastError, toBallastError } from '../domain/errors.ts'
import type { Log, Metrics } from '../domain/ports.ts'
import { noRequestTrace } from '../domain/tracing.ts'
import { BodyBuffer, bodyTooLarge } from '../http/body.ts'
import { requireLocal } from '../http/origin.ts'
import { readTarget, type Target } from '../http/path.ts'
import { type BodyHead, namesModel, requireReadable } from '../http/reading.ts'
import type { ClientRequest } from '../pipeline/context.ts'
import { passThrough } from '../pipeline/passthrough.ts'
import { type PipelineDeps, serve } from '../pipeline/pipeline.ts'
import type { Recording } from '../pipeline/record.ts'
import { CLIENT_CLOSED_REQUEST, type Relay, UNROUTED } from '../pipeline/relay.ts'
import { logRequest, logsRequests } from '../pipeline/request-line.ts'
import { FetchAnswer } from './answer.ts'
import type { WorkerSnapshot } from './snapshot.ts'

export interface IncomingDeps {
  readonly snapshot: WorkerSnapshot
  readonly recorder: Recording
  readonly metrics: Metrics
  readonly log: Log
}

export class WorkerIncoming {
  private readonly deps: IncomingDeps
  private readonly incoming: Request
  private readonly answer: FetchAnswer
  private readonly id = crypto.randomUUID()
  private readonly receivedAt = Date.now()
  private readonly startedAt = performance.now()
  private client: string | null = null
  private relay: Relay | null = null
  /** Answered or left before the pipeline had it. */
  private refused = false
  private entered = false

  constructor(deps: IncomingDeps, incoming: Request) {
    this.deps = deps
    this.incoming = incoming
    this.answer = new FetchAnswer(incoming.method, deps.snapshot.stallMs, () => this.gone())
  }

  /** @returns the answer, its body to come; `over` says when everything is counted. */
  run(): { readonly response: Promise<Response>; readonly over: Promise<void> } {
    this.incoming.signal.addEventListener('abort', () => this.gone())
    const over = this.answer.over.then(() => {
      if (this.entered) this.deps.snapshot.limits.leave(this.client)
    })
    void this.begin().catch((thrown: unknown) => this.refuse(toBallastError(thrown)))
    return { response: this.answer.response, over }
  }

  private async begin(): Promise<void> {
    const { snapshot } = this.deps
    const target = this.admit()
    await snapshot.limits.count(this.client)
    await this.proceed(target)
  }

  private admit(): Target {
    const { method, url, headers } = this.incoming
    const { snapshot } = this.deps
    if (headers.get('upgrade')?.toLowerCase() === 'websocket') {
      const message = 'ballast does not relay WebSockets; connect to the provider.'
      throw new BallastError('ballast_upgrade_unsupported', message, { source: 'client' })
    }
    // It would give the client what ballast sends to the upstream, its key included (RFC 9110 section 9.3.8).
    if (method === 'TRACE')
      throw new BallastError('ballast_malformed_request', 'TRACE is not served.', { source: 'client' })
    const { host, origin } = new URL(url)
    if (snapshot.localOnly) requireLocal(host, headers.get('origin') ?? undefined)
    this.client = snapshot.authenticate(headers.get('authorization'))
    // As it stands there: an empty query would be lost.
    const target = readTarget(method, url.slice(origin.length))
    snapshot.limits.enter(this.client)
    this.entered = true
    return target
  }

  private async proceed({ path, surface }: Target): Promise<void> {
    const { snapshot } = this.deps
    const pipeline = this.pipeline()
    const head = this.bodyHead()
    if (surface !== null) {
      requireReadable(head, snapshot.largestBody)
      const body = await this.readBody(head.length)
      if (!this.refused) this.relay = serve(pipeline, surface, this.request(path, body), this.answer)
    } else if (namesModel(head, snapshot.largestBody)) {
      const body = await this.readBody(head.length)
      if (!this.refused) this.relay = passThrough(pipeline, this.request(path, body), this.answer)
    } else {
      const body = this.incoming.body as AsyncIterable<Uint8Array> | null
      this.relay = passThrough(pipeline, this.request(path, body), this.answer)
    }
  }

  private pipeline(): PipelineDeps {
    return { ...this.deps.snapshot.pipeline, recorder: this.deps.recorder }
  }

  private bodyHead(): BodyHead {
    const { headers } = this.incoming
    return {
      length: Number(headers.get('content-length') ?? 0),
      type: headers.get('content-type'),
      encoding: headers.get('content-encoding'),
    }
  }

  /** @throws BallastError when it is larger than it may be, or did not come in whole. */
  private async readBody(announced: number): Promise<Buffer> {
    const limit = this.deps.snapshot.largestBody
    const body = new BodyBuffer(announced, limit)
    for await (const chunk of this.incoming.body ?? []) {
      const { buffer, byteOffset, length } = chunk as Uint8Array<ArrayBuffer>
      if (!body.push(Buffer.from(buffer, byteOffset, length))) throw bodyTooLarge(limit)
    }
    return body.take()
  }

  private request<B>(path: string, body: B): ClientRequest<B> {
    return {
      id: this.id,
      method: this.incoming.method,
      path,
      headers: [...this.incoming.headers].flat(),
      body,
      client: this.client,
      receivedAt: this.receivedAt,
      startedAt: this.startedAt,
      bodyReadAt: performance.now(),
      trace: noRequestTrace,
    }
  }

  /** Answers a request that the pipeline never sees. */
  private refuse(error: BallastError): void {
    if (this.refused || this.relay !== null) return
    this.refused = true
    if (error.source === 'internal' && error.cause !== undefined) {
      this.deps.log.error({ err: error.cause, request: this.id }, error.message)
    }
    this.count(this.answer.fail(error, ['x-ballast-request-id', this.id]), error)
  }

  private gone(): void {
    if (this.answer.complete) return
    if (this.relay !== null) this.relay.clientGone()
    else if (!this.refused) {
      this.refused = true
      this.count(CLIENT_CLOSED_REQUEST, null)
    }
    this.answer.leave()
  }

  private count(status: number, failure: BallastError | null): void {
    const { id, client, deps } = this
    const durationMs = performance.now() - this.startedAt
    deps.metrics.requestFinished(UNROUTED, status, durationMs)
    if (!logsRequests(deps.log)) return
    const { method, url } = this.incoming
    const target = new URL(url).pathname
    logRequest(deps.log, { id, method, target, client, status, durationMs, traceId: null, failure })
  }
}
