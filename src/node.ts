/** Composes ballast on Node: builds the parts a configuration asks for, listens, reloads, and ends in good order. */
import type { Server } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import { createPrometheusMetrics } from './adapters/metrics-prom.ts'
import { MetricSums } from './adapters/metrics-sum.ts'
import { CATALOG_FOLDER } from './config/catalog-folder.ts'
import type { Config } from './config/load.ts'
import { formatAddress } from './config/values.ts'
import type { Log } from './domain/ports.ts'
import type { Report } from './domain/report.ts'
import { noTracing, type Tracing } from './domain/tracing.ts'
import { createAdmin } from './http/admin.ts'
import { createMemoryRate } from './http/rate-memory.ts'
import { ArmEvents, armStatesOf } from './node/arm-events.ts'
import { Control } from './node/control.ts'
import { Office } from './node/office.ts'
import { ReloadHistory } from './node/reload-history.ts'
import type { Reload, Reloadable } from './node/reloads.ts'
import { closeServer, listen } from './node/servers.ts'
import { type DataSide, Serving } from './node/serving.ts'
import { logWarnings, tryReload } from './node/try-reload.ts'
import { Workers } from './node/workers/workers.ts'
import type { Plan } from './policy/compile.ts'

export { CATALOG_FOLDER }

export interface Ballast extends Reloadable {
  /** Base URL for clients, with `/v1`. */
  readonly url: string
  readonly adminUrl: string
  /** Of the configuration in force. */
  readonly plan: Plan
  /** The report of every experiment that has a check. */
  reports(): Promise<readonly Report[]>
  /** Resolves with the error after which it serves no more and is to be closed; never, where it serves. */
  readonly failure: Promise<Error>
  /** Resolves when every request answered so far is stored and judged. */
  settle(): Promise<void>
  /** Takes no new connections, lets running requests end within `drainMs` (default `limits.drain`), stores what is pending, and closes everything. */
  close(drainMs?: number): Promise<void>
}

const SETTLE_POLL_MS = 20
/** For the office to answer the control plane: so long a scrape waits at most. */
const ANSWER_MS = 5_000
/** For what is pending to be stored when ballast stops; a store that is locked takes up to ten seconds. */
export const LAST_STORING_MS = 20_000

export interface BallastOptions {
  /** Whether it judges what it samples; else `ballast judge` does. Default true. */
  readonly judges?: boolean
  /** Default: nothing is traced. It is closed with ballast. */
  readonly tracing?: Tracing
  /** Processes that serve requests behind one socket; left out, this process serves them itself. */
  readonly workers?: number
}

/** @throws Error when the store cannot be opened or an address is in use; nothing is left running. */
export async function startBallast(
  config: Config,
  log: Log,
  { judges = true, tracing = noTracing, workers = 1 }: BallastOptions = {},
): Promise<Ballast> {
  const sums = workers > 1 ? new MetricSums({ ofProcess: true }) : null
  const metrics = sums === null ? createPrometheusMetrics() : sums.metrics
  const office = await Office.start(config, { judges, traced: tracing !== noTracing, metrics, log })
  let fleet: Workers | null = null
  let data: DataSide
  const armEvents = new ArmEvents({
    store: office,
    metrics,
    log,
    changed: (events) => data.switchArms(events),
  })
  try {
    if (sums === null) {
      const createRate = createMemoryRate
      data = new Serving(config, { keeper: office, metrics, tracing, log, createRate, processes: 1 })
    } else {
      const count = (counted: Parameters<typeof sums.add>[0]) => void sums.add(counted)
      fleet = new Workers(config, workers, { office, armEvents: () => armEvents.inForce, count, log })
      data = fleet
    }
  } catch (error) {
    await office.close()
    throw error
  }
  let current = config

  const troubled = <T>(error: unknown, instead: T): T => {
    log.error({ err: error }, 'the store could not be read for the metrics')
    return instead
  }
  metrics.observe({
    // A store in trouble takes its own series away, not the others.
    reports: () => office.reports(ANSWER_MS).catch((error: unknown) => troubled(error, [])),
    queue: () => office.queue(ANSWER_MS).catch((error: unknown) => troubled(error, null)),
    configHash: () => current.hash,
    upstreams: () =>
      data.upstreamStates().map(({ upstream, breaker }) => ({ upstream, open: breaker !== 'closed' })),
    requestsInFlight: () => data.requestsInFlight,
    armStates: () => armStatesOf(data.plan),
    ...(fleet !== null && { workers: () => fleet.standing }),
  })

  let draining = false
  const reloads = new ReloadHistory()
  const app = createAdmin({
    metrics: async () => {
      await data.gather()
      return await metrics.expose()
    },
    api: new Control({
      office,
      armEvents,
      reloads,
      config: () => current,
      data,
      draining: () => draining,
      log,
    }),
    notReady: () => (draining ? 'draining' : data.notReady),
    token: () => current.admin.token ?? null,
    log,
  })
  const admin = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server

  const closeParts = async () => {
    const lastStoring = office.giveUpAfter(LAST_STORING_MS)
    await armEvents.stop()
    await data.finish()
    clearTimeout(lastStoring)
    await office.close()
  }
  let url: string
  let adminUrl: string
  try {
    await armEvents.begin()
    armEvents.use(data.plan)
    url = `http://${formatAddress(await data.begin())}/v1`
    adminUrl = `http://${formatAddress(await listen(admin, config.admin.listen))}`
    await office.use(config)
  } catch (error) {
    await Promise.all([data.drain(0), closeServer(admin, 0)])
    await closeParts()
    throw error
  }
  armEvents.start()
  logWarnings(config, log)

  /** Puts a configuration in force for every request that begins from now on. */
  const apply = async (next: Config) => {
    const prepared = data.prepare(next)
    try {
      await office.use(next)
    } catch (error) {
      prepared.discard()
      throw error
    }
    armEvents.use(prepared.plan)
    current = next
    await prepared.commit()
  }

  const reload = async (read: (running: Config) => Config): Promise<Reload> => {
    const running = current
    if (draining) return { outcome: 'unchanged', folders: running.folders }
    const reload = await tryReload(running, read, apply, log)
    metrics.configReload(reload.outcome)
    reloads.add(reload, current.hash)
    return reload
  }
  /** One after the other. */
  let reloading: Promise<Reload> = Promise.resolve({ outcome: 'unchanged', folders: [] })

  return {
    url,
    adminUrl,
    get plan() {
      return data.plan
    },
    get config() {
      return current
    },
    failure: data.failure,
    reports: () => office.freshReports(),
    reload(read) {
      reloading = reloading.then(() => reload(read))
      return reloading
    },
    async settle() {
      await data.settle()
      while ((await office.queue()).depth > 0)
        await new Promise((resolve) => setTimeout(resolve, SETTLE_POLL_MS))
    },
    async close(drainMs = current.limits.drain) {
      draining = true
      await data.drain(drainMs)
      await closeParts()
      await closeServer(admin, 0)
      await tracing.close()
    },
  }
}
