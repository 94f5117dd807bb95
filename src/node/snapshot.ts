/**
 * One configuration as requests are served by it. Made when ballast starts and at each reload; a request keeps the one
 * it began with. Made by `serving.ts`.
 */
import { fetchByUndici } from '../adapters/judge-fetch-undici.ts'
import { defaultUpstream } from '../config/default-upstream.ts'
import type { Log, Metrics } from '../domain/ports.ts'
import { createAuthenticate } from '../http/auth.ts'
import { type CreateRate, Limits } from '../http/limits.ts'
import type { Snapshot } from '../http/served.ts'
import type { PipelineDeps } from '../pipeline/pipeline.ts'
import type { Recorder } from '../pipeline/record.ts'
import { compilePlan, type Plan } from '../policy/compile.ts'
import { Classifiers } from './classifiers.ts'
import type { OfficeConfig } from './office-messages.ts'
import { type OpenUpstreams, type UpstreamPools, type UpstreamState, upstreamStates } from './upstreams.ts'

/** What stays, whatever the configuration. */
export interface Lasting {
  readonly pools: UpstreamPools
  readonly recorder: Recorder
  readonly metrics: Metrics
  readonly log: Log
  /** Where requests per minute are counted. */
  readonly createRate: CreateRate
  /** Processes that serve together: each takes such a part of the requests at a time, and one at least. */
  readonly processes: number
}

export class ServedSnapshot implements Snapshot {
  readonly config: OfficeConfig
  readonly plan: Plan
  readonly pipeline: PipelineDeps
  readonly authenticate: Snapshot['authenticate']
  readonly localOnly: boolean
  readonly limits: Limits
  readonly largestBody: number
  readonly stallMs: number
  private readonly classifiers: Classifiers
  private readonly pools: UpstreamPools
  private readonly upstreams: OpenUpstreams
  /** Requests under way, and one for being in force. */
  private users = 1

  /** @param previous the one in force, whose unchanged parts are kept. @throws when it cannot be made; nothing is left open. */
  constructor(config: OfficeConfig, lasting: Lasting, previous: ServedSnapshot | null) {
    const { pools, recorder, metrics, log, createRate, processes } = lasting
    const clients = Array.isArray(config.clients) ? config.clients : null
    this.config = config
    this.classifiers = new Classifiers(
      config,
      { fetch: fetchByUndici, metrics, log },
      previous?.classifiers ?? null,
    )
    this.plan = compilePlan(config, this.classifiers.create)
    this.authenticate = createAuthenticate(clients)
    this.localOnly = config.clients === undefined
    const part = (most: number) => Math.max(1, Math.floor(most / processes))
    const parts = (clients ?? []).map(({ concurrent, ...client }) => ({
      ...client,
      ...(concurrent !== undefined && { concurrent: part(concurrent) }),
    }))
    this.limits = new Limits(part(config.limits.concurrent), parts, createRate, previous?.limits)
    this.largestBody = config.limits.body
    this.stallMs = config.limits.stall
    this.pools = pools
    this.upstreams = pools.hold(config, previous?.upstreams ?? null)
    this.pipeline = {
      plan: this.plan,
      upstreams: this.upstreams.byName,
      defaultUpstream: defaultUpstream(config),
      recorder,
      metrics,
      log,
      expose: config.expose,
    }
  }

  upstreamStates(): UpstreamState[] {
    return upstreamStates(this.upstreams)
  }

  enter(): this {
    this.users++
    return this
  }

  /** The last one to leave closes what no later configuration uses. */
  leave(): void {
    this.users--
    if (this.users === 0) this.pools.release(this.upstreams)
  }
}
