/**
 * Requests below `/v1` that are not injected: relayed as they are, their bodies streamed. Called by the data planes of
 * `http/`. A JSON body that names a model goes where its route says, so that embeddings reach the upstream their
 * model is at; everything else goes to the default upstream.
 */
import { performance } from 'node:perf_hooks'
import { toBallastError } from '../domain/errors.ts'
import type { UpstreamBody } from '../domain/ports.ts'
import { scanModel } from '../policy/model.ts'
import type { ClientRequest, ClientResponse } from './context.ts'
import type { PipelineDeps } from './pipeline.ts'
import { Relay, UNROUTED } from './relay.ts'

/**
 * Relays one request.
 * @param request its body whole, or as a stream that is read at the upstream's pace.
 * @returns the exchange, to be told when the client leaves.
 */
export function passThrough(
  deps: PipelineDeps,
  request: ClientRequest<UpstreamBody>,
  response: ClientResponse,
): Relay {
  const exchange = new PassThrough(deps, request, response)
  exchange.run()
  return exchange
}

class PassThrough extends Relay {
  private readonly deps: PipelineDeps
  private readonly given: ClientRequest<UpstreamBody>
  private model: string | null = null

  constructor(deps: PipelineDeps, request: ClientRequest<UpstreamBody>, response: ClientResponse) {
    super(deps, request, response)
    this.deps = deps
    this.given = request
  }

  run(): void {
    const { method, path, headers, body, bodyReadAt } = this.given
    try {
      const upstream = this.chooseUpstream()
      const to = this.deps.upstreams.get(upstream)!
      const operation = path === '/embeddings' ? 'embeddings' : null
      const sent = this.given.trace.forward(operation, this.model, false, to.place ?? null, headers)
      this.deps.metrics.proxyOverhead(this.labels.route, performance.now() - bodyReadAt)
      this.send(to, { method, path, headers: sent, body })
    } catch (thrown) {
      this.onError(toBallastError(thrown))
    }
  }

  private chooseUpstream(): string {
    const { body } = this.given
    const model = Buffer.isBuffer(body) ? scanModel(body) : null
    this.model = model
    const route = model === null ? null : this.deps.plan.route(model)
    this.labels = route === null ? UNROUTED : { route: route.name, experiment: '', arm: '' }
    return route?.upstream ?? this.deps.defaultUpstream
  }

  /** Nothing is known of the answer: its head is not held back. */
  protected override get streaming(): boolean {
    return true
  }
}
