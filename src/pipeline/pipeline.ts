/**
 * A request's path (SPEC section 3): decode -> route -> assign -> inject -> forward -> relay -> record. An `Exchange`
 * is the context of one request; its methods are the steps, in this order. What the first four decide is decided in
 * `policy/decide.ts`; relay and record, which pass-through requests share, are in `relay.ts`.
 * `docs/life-of-a-request.md` draws it.
 *
 * Called by the data planes of `http/`. It never awaits: the upstream's events drive it. The one exception is a route
 * whose domain a classifier tells: its requests wait for the answer before they have their arm.
 */
import { performance } from 'node:perf_hooks'
import { toBallastError } from '../domain/errors.ts'
import type { Upstream, UpstreamBody } from '../domain/ports.ts'
import type { DrawnOutcome } from '../domain/sample.ts'
import type { Operation, TokenUsage } from '../domain/tracing.ts'
import { isSampled } from '../policy/assign.ts'
import type { CompiledRoute, Plan } from '../policy/compile.ts'
import { type Assignment, armByDomain, assign, domainFor, findRoute, inject } from '../policy/decide.ts'
import type { Guarded } from '../policy/guard.ts'
import { spliceToSend } from '../policy/inject.ts'
import { findHeader } from '../policy/raw-headers.ts'
import type { DecodedRequest, SurfaceName } from '../policy/surface.ts'
import type { Surface } from '../policy/surfaces.ts'
import type { ClientRequest, ClientResponse } from './context.ts'
import { recognise } from './domain.ts'
import { guardRequest } from './guard.ts'
import { headerValue } from './headers.ts'
import type { Recording } from './record.ts'
import { CLIENT_CLOSED_REQUEST, Relay, type RelayDeps } from './relay.ts'
import { Tap } from './tap.ts'
import { readUsage, USAGE_TAIL } from './usage.ts'

const OPERATIONS: Record<SurfaceName, Operation> = {
  chat: 'chat',
  responses: 'chat',
  completions: 'text_completion',
}

/** Of one configuration: a request keeps what it began with. */
export interface PipelineDeps extends RelayDeps {
  readonly plan: Plan
  readonly upstreams: ReadonlyMap<string, Upstream>
  /** Name of the upstream for requests that no route decides. */
  readonly defaultUpstream: string
  readonly recorder: Recording
  /** Whether answers name experiment, arm and policy. */
  readonly expose: boolean
}

/**
 * Runs one request of an injected surface. Whatever happens, `response` is answered or broken off and the request is
 * recorded once.
 * @returns the exchange, to be told when the client leaves.
 */
export function serve(
  deps: PipelineDeps,
  surface: Surface,
  request: ClientRequest<Buffer>,
  response: ClientResponse,
): Relay {
  const exchange = new Exchange(deps, surface, request, response)
  exchange.run()
  return exchange
}

class Exchange extends Relay {
  private readonly deps: PipelineDeps
  private readonly surface: Surface
  private readonly given: ClientRequest<Buffer>

  private decoded: DecodedRequest | null = null
  private matched: CompiledRoute | null = null
  private assignment: Assignment | null = null
  /** What the unit was assigned by; by the time it is answered, switches may have been thrown. */
  private assignedBy = ''
  /** What the client sent, without what the guard stripped; and what is sent on. */
  private body: Buffer
  private injected: UpstreamBody = null
  private tap: Tap | null = null
  private guarded: Guarded | null = null
  private extra: 'trigger' | null = null
  /** Ends the asking when the client leaves. */
  private leaving: AbortController | null = null

  constructor(
    deps: PipelineDeps,
    surface: Surface,
    request: ClientRequest<Buffer>,
    response: ClientResponse,
  ) {
    super(deps, request, response)
    this.deps = deps
    this.surface = surface
    this.given = request
    this.body = request.body
  }

  run(): void {
    this.attempt(() => {
      this.decode()
      this.route()
      this.assign()
      this.recognise(() => {
        this.guard()
        this.inject()
        this.forward()
      })
    })
  }

  private attempt(steps: () => void): void {
    try {
      steps()
    } catch (thrown) {
      this.onError(toBallastError(thrown))
    }
  }

  /** Finds model, user and the places for a context in the body. */
  private decode(): void {
    this.decoded = this.surface.decode(this.given.body)
  }

  /** The first route whose pattern the model matches. */
  private route(): void {
    this.matched = findRoute(this.deps.plan, this.decoded!)
  }

  /** The arm of the request's unit. */
  private assign(): void {
    this.assignment = assign(this.matched!, this.decoded!, this.given)
    this.labels = this.assignment.labels
  }

  /** Where the domain of the model's training decides, tells whether the request is of it, and goes on in that arm. */
  private recognise(next: () => void): void {
    const domain = domainFor(this.matched!, this.assignment!)
    if (domain === null) return next()
    this.leaving = new AbortController()
    const { name: route, unassigned } = this.matched!
    const request = { route, body: this.given.body, decoded: this.decoded! }
    const answer = recognise(domain, request, this.leaving.signal, this.deps.metrics)
    const go = (inDomain: boolean) => {
      this.assignment = armByDomain(this.matched!, this.assignment!, inDomain)
      this.labels = this.assignment.labels
      next()
    }
    if (typeof answer === 'boolean') return go(answer)
    // A client that leaves meanwhile has been in no arm.
    this.labels = unassigned
    void answer.then((inDomain) => {
      if (!this.over) this.attempt(() => go(inDomain))
    })
  }

  override clientGone(): void {
    this.leaving?.abort()
    super.clientGone()
  }

  /** Looks for text like the model's training context, and flags, strips or blocks it. */
  private guard(): void {
    const guard = this.matched!.training?.guard ?? null
    if (guard === null) return
    const named = { id: this.given.id, route: this.matched!.name }
    const request = { surface: this.surface, body: this.given.body, decoded: this.decoded! }
    this.guarded = guardRequest(guard, named, request, this.deps)
    if (this.guarded !== null) this.body = this.guarded.body
  }

  /** Splices the arm's context into the body. */
  private inject(): void {
    const decoded = this.guarded?.decoded ?? this.decoded!
    const { outcome, policy, placements, splices } = inject(this.assignment!, decoded, this.given)
    if (policy === null) return
    this.injected = spliceToSend(this.body, splices)
    for (const placement of placements) this.deps.metrics.injection(policy.id, placement)
    if (outcome === 'unmet' || outcome === 'unsupported') this.deps.metrics.notInjected(policy.id, outcome)
  }

  /** Sends the request on, and opens the tap if the exchange is drawn for judging. */
  private forward(): void {
    const { name: route, upstream } = this.matched!
    const { method, path, headers, bodyReadAt } = this.given
    this.count()
    const to = this.deps.upstreams.get(upstream)!
    const { model, stream } = this.decoded!
    const operation = OPERATIONS[this.surface.name]
    const sent = this.given.trace.forward(operation, model, stream, to.place ?? null, headers)
    this.deps.metrics.proxyOverhead(route, performance.now() - bodyReadAt)
    this.send(to, {
      method,
      path,
      headers: sent,
      body: this.injected ?? this.body,
    })
  }

  /** Counts the request under its arm and draws it for judging, or not. */
  private count(): void {
    const { experiment, arm, unit, unitHash } = this.assignment!
    if (experiment === null || arm === null || experiment.name === '') return
    this.assignedBy = experiment.assignment
    this.deps.recorder.expose(experiment, arm.name, unit.source, unitHash)
    if (experiment.check !== null) this.draw(experiment.check.id, arm.sampleRate)
  }

  /** What was flagged is kept whether it is drawn or not, but counts only if it is. */
  private draw(check: string, rate: number): void {
    const drawn = isSampled(check, this.given.id, rate)
    this.extra = !drawn && this.guarded?.action === 'flag' ? 'trigger' : null
    if (!drawn && this.extra === null) return
    if (this.deps.recorder.full) this.lose('overload')
    else this.tap = new Tap()
  }

  /** Counts that the exchange was drawn and cannot be judged. */
  private lose(outcome: DrawnOutcome): void {
    const { experiment, arm } = this.labels
    this.deps.recorder.lose(experiment, arm, this.extra === null ? outcome : `extra_${outcome}`)
  }

  protected override get streaming(): boolean {
    return this.decoded!.stream
  }

  protected override ownHeaders(): string[] {
    const headers = super.ownHeaders()
    if (this.deps.expose && this.guarded !== null) headers.push('x-ballast-trigger', this.guarded.action)
    if (!this.deps.expose || this.assignment === null) return headers
    const { experiment, arm } = this.labels
    const { policy: policyId } = this
    if (experiment !== '')
      headers.push('x-ballast-experiment', headerValue(experiment), 'x-ballast-arm', headerValue(arm))
    if (policyId !== null) headers.push('x-ballast-policy', headerValue(policyId))
    return headers
  }

  override get policy(): string | null {
    return this.assignment?.treated?.policyId ?? null
  }

  override get sampled(): boolean {
    return this.tap !== null
  }

  /** Of what the tap holds as plain text. */
  override get usage(): TokenUsage | null {
    if (this.tap === null || findHeader(this.answerHeaders, 'content-encoding') !== null) return null
    return readUsage(this.tap.tail(USAGE_TAIL))
  }

  protected override tapChunk(chunk: Uint8Array): void {
    if (this.tap !== null) this.tap.push(chunk)
  }

  /** Hands a sampled exchange on to be stored, or says why it cannot be judged. */
  protected override finished(code: number, whole: boolean): void {
    if (this.tap === null) return
    if (code === CLIENT_CLOSED_REQUEST) this.lose('incomplete')
    else if (code !== 200) this.lose('upstream_error')
    else if (!whole) this.lose('incomplete')
    else if (this.tap.overflowed) this.lose('too_large')
    else this.keepSample(this.tap)
  }

  private keepSample(tap: Tap): void {
    const unitHash = this.assignment!.unitHash
    const experiment = this.assignment!.experiment!
    const arm = this.assignment!.arm!
    const check = experiment.check!
    const contentType = findHeader(this.answerHeaders, 'content-type') ?? ''
    this.deps.recorder.keep({
      sample: {
        id: this.given.id,
        experiment: experiment.name,
        arm: arm.name,
        policy: arm.policyId,
        policyHash: arm.policyHash,
        check: check.id,
        checkVersion: check.version,
        // What is kept for what it says is kept for certain.
        probability: this.extra === null ? arm.sampleRate : 1,
        extra: this.extra,
        model: this.decoded!.model ?? '',
        traceparent: this.given.trace.traceparent,
        unit: unitHash,
        assignment: `${this.assignedBy} ${experiment.rates}`,
        requestedAt: this.given.receivedAt,
      },
      surface: this.surface.name,
      body: this.given.body,
      tap,
      encoding: findHeader(this.answerHeaders, 'content-encoding'),
      streamed: contentType.toLowerCase().startsWith('text/event-stream'),
    })
  }
}
