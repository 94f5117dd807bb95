/** Composes ballast on Node: builds the parts a configuration asks for, listens, and ends in good order. */
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createAdaptorServer } from '@hono/node-server'
import { createOpenAIJudge } from './adapters/judge-openai.ts'
import { createPrometheusMetrics, type PrometheusMetrics } from './adapters/metrics-prom.ts'
import { openSqliteStore, type SqliteStore } from './adapters/store-sqlite.ts'
import { createUndiciUpstream } from './adapters/upstream-undici.ts'
import type { Config } from './config/load.ts'
import { type Address, formatAddress } from './config/schema.ts'
import type { Log, Upstream } from './domain/ports.ts'
import type { Report } from './domain/report.ts'
import { createAdmin } from './http/admin.ts'
import { createAuthenticate } from './http/auth.ts'
import { createDataPlane } from './http/data-plane.ts'
import { JudgeWorker } from './judge/worker.ts'
import { Breaker } from './pipeline/breaker.ts'
import { compileHeaderRules } from './pipeline/headers.ts'
import { Recorder } from './pipeline/record.ts'
import { type Target, withRetries } from './pipeline/retry.ts'
import { compilePlan, type Plan } from './policy/compile.ts'
import { buildReport } from './stats/report.ts'

/** The folder of policies that ships with ballast: what `policies: catalog` stands for. */
export const CATALOG_FOLDER = join(import.meta.dirname, '..', 'policies')

export interface Ballast {
  /** Base URL for clients, with `/v1`. */
  readonly url: string
  readonly adminUrl: string
  readonly plan: Plan
  /** The report of every experiment that has a check. */
  reports(): Promise<readonly Report[]>
  /** Resolves when every request answered so far is stored and judged. */
  settle(): Promise<void>
  /** Refuses new requests, lets running ones end within `drainMs` (default `limits.drain`), stores what is pending, and closes everything. */
  close(drainMs?: number): Promise<void>
}

/** Reports are made at most this often, however often they are asked for. */
const REPORT_AGE_MS = 200
/** Between two reports it rests this many times as long as the last one took. */
const REPORT_REST = 20
/** Longer than the idle timeout of common load balancers, so that they and not ballast close idle connections. */
const KEEP_ALIVE_MS = 75_000
const SETTLE_POLL_MS = 20
const IDLE_SWEEP_MS = 50

/** @throws Error when the store cannot be opened or an address is in use; nothing is left running. */
export async function startBallast(config: Config, log: Log): Promise<Ballast> {
  const metrics = createPrometheusMetrics()
  const plan = compilePlan(config)
  const store = await openSqliteStore({
    path: config.store === 'memory' ? ':memory:' : config.store.slice('sqlite:'.length),
    queueLimit: config.judge?.queue ?? Number.POSITIVE_INFINITY,
  })
  const upstreams = createUpstreams(config, metrics, log)
  const recorder = new Recorder({ store, queue: store, metrics, log })
  const worker = createWorker(config, store, metrics, log)
  const reports = cachedReports(plan, store)
  const troubled = <T>(error: unknown, instead: T): T => {
    log.error({ err: error }, 'the store could not be read for the metrics')
    return instead
  }
  metrics.observe({
    // A store in trouble takes its own series away, not the others.
    reports: () => reports().catch((error: unknown) => troubled(error, [])),
    queue: () => store.status().catch((error: unknown) => troubled(error, { depth: 0, oldestAt: null })),
    configHash: () => config.hash,
  })

  const clients = Array.isArray(config.clients) ? config.clients : null
  let draining = false
  const data = createDataPlane({
    pipeline: {
      plan: () => plan,
      upstreams: upstreams.byName,
      defaultUpstream: defaultUpstream(config),
      recorder,
      metrics,
      log,
      expose: config.expose,
    },
    authenticate: createAuthenticate(clients),
    localOnly: config.clients === undefined,
    limits: config.limits,
    clients: clients ?? [],
    metrics,
    log,
    draining: () => draining,
  })
  data.keepAliveTimeout = KEEP_ALIVE_MS
  const app = createAdmin({
    metrics: () => metrics.expose(),
    reports,
    configHash: () => config.hash,
    notReady: () => (draining ? 'draining' : null),
    token: config.admin.token ?? null,
    log,
  })
  const admin = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server

  const closeParts = async () => {
    await worker?.stop()
    await recorder.close()
    await upstreams.close()
    await store.close()
  }
  let url: string
  let adminUrl: string
  try {
    url = `http://${formatAddress(await listen(data, config.listen))}/v1`
    adminUrl = `http://${formatAddress(await listen(admin, config.admin.listen))}`
  } catch (error) {
    await Promise.all([closeServer(data, 0), closeServer(admin, 0)])
    await closeParts()
    throw error
  }
  worker?.start()

  return {
    url,
    adminUrl,
    plan,
    reports,
    async settle() {
      await recorder.settle()
      while ((await store.status()).depth > 0)
        await new Promise((resolve) => setTimeout(resolve, SETTLE_POLL_MS))
    },
    async close(drainMs = config.limits.drain) {
      draining = true
      await closeServer(data, drainMs)
      await closeParts()
      await closeServer(admin, 0)
    },
  }
}

interface Upstreams {
  /** As the pipeline sees them: with retries, fallback and breaker. */
  readonly byName: ReadonlyMap<string, Upstream>
  close(): Promise<void>
}

function createUpstreams({ upstreams }: Config, metrics: PrometheusMetrics, log: Log): Upstreams {
  const targets = new Map(
    Object.entries(upstreams).map(
      ([name, { base_url: baseUrl, api_key: key, http2, headers: lists, timeout, retries, breaker }]) => {
        const headers = compileHeaderRules({ ...lists, apiKey: key ?? null })
        const upstream = createUndiciUpstream({ name, baseUrl, http2, headers, timeout, metrics })
        return [name, { name, upstream, retries, breaker: new Breaker(breaker) } satisfies Target]
      },
    ),
  )
  const byName = Object.entries(upstreams).map(([name, { fallback }]) => {
    const others = fallback.map((other) => targets.get(other)!)
    return [name, withRetries(name, [targets.get(name)!, ...others], log)] as const
  })
  return {
    byName: new Map(byName),
    async close() {
      await Promise.all([...targets.values()].map(({ upstream }) => upstream.close()))
    },
  }
}

/** The upstream of requests that no route decides: as configured, else where the route for every model leads. */
export function defaultUpstream({ passthrough, routes, upstreams }: Config): string {
  return passthrough ?? routes.find(({ model }) => model === '*')?.upstream ?? Object.keys(upstreams)[0]!
}

function createWorker(
  { judge, upstreams, checks }: Config,
  store: SqliteStore,
  metrics: PrometheusMetrics,
  log: Log,
): JudgeWorker | null {
  if (judge === undefined) return null
  const upstream = upstreams[judge.upstream]!
  return new JudgeWorker({
    queue: store,
    store,
    judge: createOpenAIJudge({
      baseUrl: upstream.base_url,
      apiKey: upstream.api_key ?? null,
      timeout: judge.timeout,
    }),
    checks: () => checks,
    metrics,
    log,
    model: judge.model,
    concurrency: judge.concurrency,
    timeout: judge.timeout,
    attempts: judge.attempts,
  })
}

/** Reports from the store, made once for all who ask at about the same time, and never more than a small share of it. */
function cachedReports(plan: Plan, store: SqliteStore): () => Promise<readonly Report[]> {
  let stale = Number.NEGATIVE_INFINITY
  let made: Promise<readonly Report[]> = Promise.resolve([])
  return () => {
    const begun = performance.now()
    if (begun > stale) {
      stale = Number.POSITIVE_INFINITY
      made = makeReports(plan, store).finally(() => {
        const ended = performance.now()
        stale = ended + Math.max(REPORT_AGE_MS, (ended - begun) * REPORT_REST)
      })
    }
    return made
  }
}

async function makeReports(plan: Plan, store: SqliteStore): Promise<Report[]> {
  const measured = plan.experiments.flatMap((experiment) =>
    experiment.check === null ? [] : [{ experiment, check: experiment.check }],
  )
  return await Promise.all(
    measured.map(async ({ experiment, check }) =>
      buildReport({
        experiment,
        check,
        exposures: await store.exposures(experiment.name),
        samples: await store.samples(experiment.name, check.id),
        verdicts: await store.verdicts(experiment.name, check.id),
      }),
    ),
  )
}

function listen(server: Server, { host, port }: Address): Promise<Address> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code === 'EADDRINUSE' ? 'something listens there already' : error.message
      reject(new Error(`cannot listen on ${formatAddress({ host, port })}: ${reason}`, { cause: error }))
    })
    server.listen(port, host, () => {
      const { address, port: chosen } = server.address() as AddressInfo
      resolve({ host: host === 'localhost' ? host : address, port: chosen })
    })
  })
}

/** Stops listening and resolves when the running requests have ended, at the latest after `drainMs`. */
function closeServer(server: Server, drainMs: number): Promise<void> {
  return new Promise((resolve) => {
    if (!server.listening) return resolve()
    const timer = setTimeout(() => server.closeAllConnections(), drainMs)
    // `close` ends the connections that are idle now; one that becomes idle later would stay for its keep-alive.
    const sweep = setInterval(() => server.closeIdleConnections(), IDLE_SWEEP_MS)
    server.close(() => {
      clearTimeout(timer)
      clearInterval(sweep)
      resolve()
    })
  })
}
