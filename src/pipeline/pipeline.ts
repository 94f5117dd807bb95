/**
 * A request's path (SPEC section 3): decode -> route -> assign -> inject -> forward -> relay -> record. An `Exchange`
 * is the context of one request; its methods are the steps, in this order. `docs/life-of-a-request.md` draws it.
 *
 * Called by the data planes of `http/`. It never awaits: the upstream's events drive it.
 */
import { performance } from 'node:perf_hooks'
import { BallastError, toBallastError } from '../domain/errors.ts'
import type { Unit, UnitSource } from '../domain/experiment.ts'
import type {
  Log,
  Metrics,
  RawHeaders,
  RequestLabels,
  Upstream,
  UpstreamCall,
  UpstreamHandler,
} from '../domain/ports.ts'
import { assignArm, isSampled } from '../policy/assign.ts'
import type { CompiledArm, CompiledRoute, Plan } from '../policy/compile.ts'
import { splice } from '../policy/inject.ts'
import type { PreparedPolicy } from '../policy/prepare.ts'
import type { DecodedRequest } from '../policy/surface.ts'
import type { ClientRequest, ClientResponse } from './context.ts'
import { findHeader, requestHeaders, responseHeaders } from './headers.ts'
import type { Recorder } from './record.ts'
import { Tap } from './tap.ts'

export interface PipelineDeps {
  /** The plan in force; read once per request, so that a request runs through one whole configuration. */
  readonly plan: () => Plan
  readonly upstreams: ReadonlyMap<string, PipelineUpstream>
  readonly recorder: Recorder
  readonly metrics: Metrics
  readonly log: Log
  /** Whether answers name experiment, arm and policy. */
  readonly expose: boolean
}

export interface PipelineUpstream {
  readonly upstream: Upstream
  /** Whether the client's own credentials are sent on (`api_key: passthrough`). */
  readonly passCredentials: boolean
}

/** Labels of requests that no route took. */
export const UNROUTED: RequestLabels = { route: 'other', experiment: '', arm: '' }

/** The status counted for a client that left before it was answered; no such status is sent. */
export const CLIENT_CLOSED_REQUEST = 499

/**
 * Runs one request. Whatever happens, `response` is answered or broken off and the request is recorded once.
 * @returns the exchange, to be told when the client leaves.
 */
export function serve(deps: PipelineDeps, request: ClientRequest, response: ClientResponse): Exchange {
  const exchange = new Exchange(deps, request, response)
  exchange.run()
  return exchange
}

export class Exchange implements UpstreamHandler {
  private readonly deps: PipelineDeps
  private readonly request: ClientRequest
  private readonly response: ClientResponse

  private decoded: DecodedRequest | null = null
  private matched: CompiledRoute | null = null
  private arm: CompiledArm | null = null
  private unit: Unit = { source: 'request', value: '' }
  private unitHash = ''
  private policy: PreparedPolicy | null = null
  private body: Buffer
  private labels: RequestLabels = UNROUTED
  private tap: Tap | null = null
  private call: UpstreamCall | null = null
  /** The status that reached the client; 0 before. */
  private status = 0
  private answerHeaders: RawHeaders = []
  private firstByteSeen = false
  private done = false

  constructor(deps: PipelineDeps, request: ClientRequest, response: ClientResponse) {
    this.deps = deps
    this.request = request
    this.response = response
    this.body = request.body
  }

  run(): void {
    try {
      this.decode()
      this.route()
      this.assign()
      this.inject()
      this.forward()
    } catch (thrown) {
      this.onError(toBallastError(thrown))
    }
  }

  /** Finds model, user and the places for a context in the body. */
  private decode(): void {
    this.decoded = this.request.surface.decode(this.request.body)
  }

  /** The first route whose pattern the model matches. */
  private route(): void {
    const model = this.decoded!.model ?? ''
    this.matched = this.deps.plan().route(model)
    if (this.matched === null) {
      throw new BallastError('ballast_no_route', `No route takes the model "${model.slice(0, 200)}".`, {
        source: 'client',
        param: 'model',
      })
    }
  }

  /** The arm of the request's unit. */
  private assign(): void {
    const { experiment, labels } = this.matched!
    this.unit = this.findUnit(experiment.unit)
    const assigned = assignArm(experiment.name, experiment.salt, this.unit.value, experiment.arms)
    this.arm = assigned.arm
    this.unitHash = assigned.unitHash
    this.labels = labels.get(this.arm.name)!
  }

  private findUnit(sources: readonly UnitSource[]): Unit {
    for (const source of sources) {
      const value = this.unitFrom(source)
      if (value !== null) return { source, value }
    }
    return { source: 'request', value: this.request.id }
  }

  private unitFrom(source: UnitSource): string | null {
    switch (source) {
      case 'header':
        return findHeader(this.request.headers, 'x-ballast-unit')
      case 'session':
        return findHeader(this.request.headers, 'x-ballast-session')
      case 'user':
        return this.decoded!.user || null
      case 'client':
        return this.request.client
    }
  }

  /** Splices the arm's context into the body. */
  private inject(): void {
    const { body, receivedAt } = this.request
    this.policy = this.arm!.policy?.(receivedAt) ?? null
    if (this.policy === null) return
    this.body = splice(body, this.decoded!.plan(this.policy))
    for (const placement of this.policy.placements) this.deps.metrics.injection(this.policy.id, placement)
  }

  /** Sends the request on, and opens the tap if the exchange is drawn for judging. */
  private forward(): void {
    const { experiment, upstream: name } = this.matched!
    const { upstream, passCredentials } = this.deps.upstreams.get(name)!
    const { id, method, path, headers, bodyReadAt } = this.request
    if (experiment.name !== '') {
      this.deps.recorder.expose(experiment.name, this.arm!.name, this.unit.source, this.unitHash)
    }
    if (experiment.check !== null && isSampled(experiment.check.id, id, this.arm!.sampleRate))
      this.tap = new Tap()
    this.deps.metrics.proxyOverhead(this.matched!.name, performance.now() - bodyReadAt)
    const request = { method, path, headers: requestHeaders(headers, passCredentials), body: this.body }
    const call = upstream.send(request, this)
    // A send that fails at once has recorded the exchange already.
    if (!this.done) this.call = call
    this.response.onDrain(() => call.resume())
  }

  // --- relay: the upstream's answer, as it comes --------------------------------------------------------------

  onHead(status: number, statusText: string, headers: RawHeaders): void {
    this.answerHeaders = headers
    const passed = responseHeaders(headers)
    this.addOwnHeaders(passed)
    this.response.head(status, statusText, passed, this.decoded!.stream)
    this.status = status
  }

  onData(chunk: Uint8Array): void {
    if (!this.firstByteSeen) this.seeFirstByte()
    if (this.tap !== null) this.tap.push(chunk)
    if (!this.response.write(chunk)) this.call?.pause()
  }

  onEnd(): void {
    if (this.done) return
    this.response.end()
    this.record(this.status, true)
  }

  /** The upstream failed, or a step above did. Before the head the client is told; after it the answer breaks off. */
  onError(error: BallastError): void {
    if (this.done) return
    if (error.source === 'internal')
      this.deps.log.error({ err: error.cause, request: this.request.id }, error.message)
    else this.deps.log.debug({ err: error, request: this.request.id }, 'a request failed')
    if (this.status === 0) {
      const headers: string[] = []
      this.addOwnHeaders(headers)
      this.record(this.response.fail(error, headers), false)
    } else {
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
    this.deps.metrics.firstByte(this.labels, performance.now() - this.request.startedAt)
  }

  private addOwnHeaders(headers: string[]): void {
    headers.push('x-ballast-request-id', this.request.id)
    if (!this.deps.expose || this.arm === null || this.labels.experiment === '') return
    headers.push('x-ballast-experiment', this.labels.experiment, 'x-ballast-arm', this.arm.name)
    if (this.arm.policyId !== null) headers.push('x-ballast-policy', this.arm.policyId)
  }

  // --- record: on every exit, once ------------------------------------------------------------------------------

  /** @param whole whether the answer came to its end. */
  private record(code: number, whole: boolean): void {
    this.done = true
    this.deps.metrics.requestFinished(this.labels, code, performance.now() - this.request.startedAt)
    if (this.tap === null) return
    const { experiment, arm } = this.labels
    if (code === CLIENT_CLOSED_REQUEST) this.deps.recorder.lose(experiment, arm, 'incomplete')
    else if (code !== 200) this.deps.recorder.lose(experiment, arm, 'upstream_error')
    else if (!whole) this.deps.recorder.lose(experiment, arm, 'incomplete')
    else if (this.tap.overflowed) this.deps.recorder.lose(experiment, arm, 'too_large')
    else this.keepSample(this.tap)
  }

  private keepSample(tap: Tap): void {
    const { experiment } = this.matched!
    const arm = this.arm!
    const check = experiment.check!
    const contentType = findHeader(this.answerHeaders, 'content-type') ?? ''
    this.deps.recorder.keep({
      sample: {
        id: this.request.id,
        experiment: experiment.name,
        arm: arm.name,
        policy: arm.policyId,
        policyHash: this.policy?.hash ?? null,
        check: check.id,
        checkVersion: check.version,
        probability: arm.sampleRate,
        model: this.decoded!.model ?? '',
        unit: this.unitHash,
        requestedAt: this.request.receivedAt,
      },
      surface: this.request.surface.name,
      decoded: this.decoded!,
      tap,
      encoding: findHeader(this.answerHeaders, 'content-encoding'),
      streamed: contentType.toLowerCase().startsWith('text/event-stream'),
    })
  }
}
