/**
 * A request's path (SPEC section 3): decode -> route -> assign -> inject -> forward -> relay -> record. An `Exchange`
 * is the context of one request; its methods are the steps, in this order. Relay and record, which pass-through
 * requests share, are in `relay.ts`. `docs/life-of-a-request.md` draws it.
 *
 * Called by the data planes of `http/`. It never awaits: the upstream's events drive it. The one exception is a route
 * whose domain a classifier tells: its requests wait for the answer before they are assigned.
 */
import { performance } from 'node:perf_hooks'
import { BallastError, toBallastError } from '../domain/errors.ts'
import type { Unit, UnitSource } from '../domain/experiment.ts'
import type { Upstream } from '../domain/ports.ts'
import type { DrawnOutcome } from '../domain/sample.ts'
import { assignArm, isSampled } from '../policy/assign.ts'
import type { CompiledArm, CompiledRoute, Plan } from '../policy/compile.ts'
import { splice } from '../policy/inject.ts'
import type { PreparedPolicy } from '../policy/prepare.ts'
import type { DecodedRequest } from '../policy/surface.ts'
import type { Surface } from '../policy/surfaces.ts'
import type { ClientRequest, ClientResponse } from './context.ts'
import { armByDomain, recognise } from './domain.ts'
import { applyGuard, type Guarded } from './guard.ts'
import { credentials, findHeader, findText, headerValue, requestHeaders } from './headers.ts'
import type { Recorder } from './record.ts'
import { CLIENT_CLOSED_REQUEST, Relay, type RelayDeps, UNROUTED } from './relay.ts'
import { Tap } from './tap.ts'

export interface PipelineDeps extends RelayDeps {
  /** The plan in force; read once per request, so that a request runs through one whole configuration. */
  readonly plan: () => Plan
  readonly upstreams: ReadonlyMap<string, Upstream>
  /** Name of the upstream for requests that no route decides. */
  readonly defaultUpstream: string
  readonly recorder: Recorder
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
  private arm: CompiledArm | null = null
  private unit: Unit = { source: 'request', value: '' }
  private unitHash = ''
  private policy: PreparedPolicy | null = null
  private body: Buffer
  private tap: Tap | null = null
  private guarded: Guarded | null = null
  private extra: 'trigger' | null = null
  /** What the domain rule says; null where none is asked. */
  private inDomain: boolean | null = null
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
      this.recognise(() => {
        this.assign()
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
    const model = this.decoded!.model ?? ''
    this.matched = this.deps.plan().route(model)
    if (this.matched === null) {
      throw new BallastError('ballast_no_route', `No route takes the model "${model.slice(0, 200)}".`, {
        source: 'client',
        param: 'model',
      })
    }
  }

  /** Tells whether the request is of the domain its model was trained on, where that matters, and goes on. */
  private recognise(next: () => void): void {
    const ask = this.matched!.training?.recognise ?? null
    if (ask === null) return next()
    this.leaving = new AbortController()
    const { name: route } = this.matched!
    const request = { route, body: this.given.body, decoded: this.decoded! }
    const answer = recognise(ask, request, this.leaving.signal, this.deps.metrics)
    if (typeof answer === 'boolean') {
      this.inDomain = answer
      return next()
    }
    // The route is known; what else the request is counted by, the answer decides.
    this.labels = { ...UNROUTED, route }
    void answer.then((inDomain) => {
      if (this.over) return
      this.inDomain = inDomain
      this.attempt(next)
    })
  }

  override clientGone(): void {
    this.leaving?.abort()
    super.clientGone()
  }

  /** The arm of the request's unit. */
  private assign(): void {
    const { experiment, labels } = this.matched!
    this.unit = this.findUnit(experiment.unit)
    const assigned = assignArm(experiment.name, experiment.salt, this.unit.value, experiment.arms)
    this.arm = this.inDomain === null ? assigned.arm : armByDomain(experiment, this.inDomain)
    this.unitHash = assigned.unitHash
    this.labels = labels.get(this.arm.name)!
  }

  private findUnit(sources: readonly UnitSource[]): Unit {
    for (const source of sources) {
      const value = this.unitFrom(source)
      if (value !== null) return { source, value }
    }
    return { source: 'request', value: this.given.id }
  }

  private unitFrom(source: UnitSource): string | null {
    switch (source) {
      case 'header':
        return findText(this.given.headers, 'x-ballast-unit')
      case 'session':
        return findText(this.given.headers, 'x-ballast-session')
      case 'user':
        return this.decoded!.user || null
      case 'client':
        return this.given.client
    }
  }

  /** Looks for text like the model's training context, and flags, strips or blocks it. */
  private guard(): void {
    const guard = this.matched!.training?.guard ?? null
    if (guard === null) return
    const { id, body } = this.given
    const { name: route } = this.matched!
    const request = { id, route, surface: this.surface, body, decoded: this.decoded! }
    this.guarded = applyGuard(guard, request, this.deps)
    if (this.guarded !== null) this.body = this.guarded.body
  }

  /** Splices the arm's context into the body. */
  private inject(): void {
    this.policy = this.arm!.policy?.(this.given.receivedAt) ?? null
    if (this.policy === null) return
    const decoded = this.guarded?.decoded ?? this.decoded!
    this.body = splice(this.body, decoded.plan(this.policy))
    for (const placement of this.policy.placements) this.deps.metrics.injection(this.policy.id, placement)
  }

  /** Sends the request on, and opens the tap if the exchange is drawn for judging. */
  private forward(): void {
    const { experiment, upstream } = this.matched!
    const { method, path, headers, bodyReadAt } = this.given
    if (experiment.name !== '') {
      this.deps.recorder.expose(experiment, this.arm!.name, this.unit.source, this.unitHash)
    }
    if (experiment.check !== null) this.draw(experiment.check.id)
    this.deps.metrics.proxyOverhead(this.matched!.name, performance.now() - bodyReadAt)
    this.send(this.deps.upstreams.get(upstream)!, {
      method,
      path,
      headers: requestHeaders(headers),
      credentials: credentials(headers),
      body: this.body,
    })
  }

  /** What was flagged is kept whether it is drawn or not, but counts only if it is. */
  private draw(check: string): void {
    const drawn = isSampled(check, this.given.id, this.arm!.sampleRate)
    this.extra = !drawn && this.guarded?.action === 'flag' ? 'trigger' : null
    if (drawn || this.extra !== null) this.tap = new Tap()
  }

  protected override get streaming(): boolean {
    return this.decoded!.stream
  }

  protected override ownHeaders(): string[] {
    const headers = super.ownHeaders()
    if (this.deps.expose && this.guarded !== null) headers.push('x-ballast-trigger', this.guarded.action)
    if (!this.deps.expose || this.arm === null || this.labels.experiment === '') return headers
    headers.push(
      'x-ballast-experiment',
      headerValue(this.labels.experiment),
      'x-ballast-arm',
      headerValue(this.arm.name),
    )
    if (this.arm.policyId !== null) headers.push('x-ballast-policy', headerValue(this.arm.policyId))
    return headers
  }

  protected override tapChunk(chunk: Uint8Array): void {
    if (this.tap !== null) this.tap.push(chunk)
  }

  /** Hands a sampled exchange on to be stored, or says why it cannot be judged. */
  protected override finished(code: number, whole: boolean): void {
    if (this.tap === null) return
    const { experiment, arm } = this.labels
    const lose = (outcome: DrawnOutcome) =>
      this.deps.recorder.lose(experiment, arm, this.extra === null ? outcome : `extra_${outcome}`)
    if (code === CLIENT_CLOSED_REQUEST) lose('incomplete')
    else if (code !== 200) lose('upstream_error')
    else if (!whole) lose('incomplete')
    else if (this.tap.overflowed) lose('too_large')
    else this.keepSample(this.tap)
  }

  private keepSample(tap: Tap): void {
    const { experiment } = this.matched!
    const arm = this.arm!
    const check = experiment.check!
    const contentType = findHeader(this.answerHeaders, 'content-type') ?? ''
    this.deps.recorder.keep({
      sample: {
        id: this.given.id,
        experiment: experiment.name,
        arm: arm.name,
        policy: arm.policyId,
        policyHash: this.policy?.hash ?? null,
        check: check.id,
        checkVersion: check.version,
        // What is kept for what it says is kept for certain.
        probability: this.extra === null ? arm.sampleRate : 1,
        extra: this.extra,
        model: this.decoded!.model ?? '',
        unit: this.unitHash,
        requestedAt: this.given.receivedAt,
      },
      surface: this.surface.name,
      decoded: this.decoded!,
      tap,
      encoding: findHeader(this.answerHeaders, 'content-encoding'),
      streamed: contentType.toLowerCase().startsWith('text/event-stream'),
    })
  }
}
