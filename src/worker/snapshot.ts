/** One configuration as a Worker's requests are served by it; what `node/snapshot.ts` is on Node. Made by `settings.ts`. */
import { createFetchUpstream } from '../adapters/upstream-fetch.ts'
import { defaultUpstream } from '../config/default-upstream.ts'
import type { Config } from '../config/parse.ts'
import { Breaker } from '../domain/breaker.ts'
import type { Log, Metrics, Upstream } from '../domain/ports.ts'
import { placeOf } from '../domain/upstream-place.ts'
import { createAuthenticate } from '../http/auth.ts'
import { type CreateRate, Limits } from '../http/limits.ts'
import type { Snapshot } from '../http/served.ts'
import { Classifiers } from '../node/classifiers.ts'
import { compileHeaderRules } from '../pipeline/headers.ts'
import type { PipelineDeps } from '../pipeline/pipeline.ts'
import { type Target, withRetries } from '../pipeline/retry.ts'
import { compilePlan, type Plan } from '../policy/compile.ts'

/** What stays, whatever the configuration. */
export interface Lasting {
  readonly metrics: Metrics
  readonly log: Log
  readonly createRate: CreateRate
}

/** Besides where it is recorded, which each request has of its own. */
export type WorkerPipeline = Omit<PipelineDeps, 'recorder'>

export class WorkerSnapshot implements Omit<Snapshot, 'pipeline' | 'leave'> {
  readonly config: Config
  readonly plan: Plan
  readonly pipeline: WorkerPipeline
  readonly authenticate: Snapshot['authenticate']
  readonly localOnly: boolean
  readonly limits: Limits
  readonly largestBody: number
  readonly stallMs: number
  private readonly classifiers: Classifiers

  /** @param previous the one in force, whose limits go on. */
  constructor(config: Config, { metrics, log, createRate }: Lasting, previous: WorkerSnapshot | null) {
    const clients = Array.isArray(config.clients) ? config.clients : null
    this.config = config
    this.classifiers = new Classifiers(config, { metrics, log }, previous?.classifiers ?? null)
    this.plan = compilePlan(config, this.classifiers.create)
    this.authenticate = createAuthenticate(clients)
    this.localOnly = config.clients === undefined
    this.limits = new Limits(config.limits.concurrent, clients ?? [], createRate, previous?.limits)
    this.largestBody = config.limits.body
    this.stallMs = config.limits.stall
    this.pipeline = {
      plan: this.plan,
      upstreams: openUpstreams(config, metrics, log),
      defaultUpstream: defaultUpstream(config),
      metrics,
      log,
      expose: config.expose,
    }
  }
}

/** With retries, fallback and breaker; connections are the runtime's. */
function openUpstreams(
  { upstreams }: Pick<Config, 'upstreams'>,
  metrics: Metrics,
  log: Log,
): ReadonlyMap<string, Upstream> {
  const targets = new Map(
    Object.entries(upstreams).map(([name, settings]): [string, Target] => {
      const { base_url: baseUrl, api_key: apiKey = null, timeout, retries } = settings
      const headers = compileHeaderRules({ ...settings.headers, apiKey })
      const upstream = createFetchUpstream({ name, baseUrl, headers, timeout, metrics })
      const place = placeOf(name, baseUrl)
      return [name, { name, place, upstream, retries, breaker: new Breaker(settings.breaker) }]
    }),
  )
  return new Map(
    Object.entries(upstreams).map(([name, { fallback }]) => {
      const others = fallback.map((other) => targets.get(other)!)
      return [name, withRetries(name, [targets.get(name)!, ...others], log)]
    }),
  )
}
