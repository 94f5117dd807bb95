/** Composes ballast on Node: builds the parts a configuration asks for, listens, reloads, and ends in good order. */
import type { Server } from 'node:http'
import { join } from 'node:path'
import { createAdaptorServer } from '@hono/node-server'
import { createPrometheusMetrics } from './adapters/metrics-prom.ts'
import type { Config } from './config/load.ts'
import { formatAddress } from './config/values.ts'
import type { Log } from './domain/ports.ts'
import type { Report } from './domain/report.ts'
import { noTracing, type Tracing } from './domain/tracing.ts'
import { createAdmin } from './http/admin.ts'
import { createDataPlane } from './http/data-plane.ts'
import { ArmEvents, armStatesOf } from './node/arm-events.ts'
import { Control } from './node/control.ts'
import { Office } from './node/office.ts'
import { ReloadHistory } from './node/reload-history.ts'
import type { Reload, Reloadable } from './node/reloads.ts'
import { closeServer, LATE_MS, listen } from './node/servers.ts'
import { ServedSnapshot } from './node/snapshot.ts'
import { logWarnings, tryReload } from './node/try-reload.ts'
import { UpstreamPools } from './node/upstreams.ts'
import { Recorder } from './pipeline/record.ts'
import type { Plan } from './policy/compile.ts'

/** The folder of policies that ships with ballast: what `policies: catalog` stands for. */
export const CATALOG_FOLDER = join(import.meta.dirname, '..', 'policies')

export interface Ballast extends Reloadable {
  /** Base URL for clients, with `/v1`. */
  readonly url: string
  readonly adminUrl: string
  /** Of the configuration in force. */
  readonly plan: Plan
  /** The report of every experiment that has a check. */
  reports(): Promise<readonly Report[]>
  /** Resolves when every request answered so far is stored and judged. */
  settle(): Promise<void>
  /** Takes no new connections, lets running requests end within `drainMs` (default `limits.drain`), stores what is pending, and closes everything. */
  close(drainMs?: number): Promise<void>
}

/** Longer than the idle timeout of common load balancers, so that they and not ballast close idle connections. */
const KEEP_ALIVE_MS = 75_000
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
}

/** @throws Error when the store cannot be opened or an address is in use; nothing is left running. */
export async function startBallast(
  config: Config,
  log: Log,
  { judges = true, tracing = noTracing }: BallastOptions = {},
): Promise<Ballast> {
  const metrics = createPrometheusMetrics()
  const office = await Office.start(config, { judges, traced: tracing !== noTracing, metrics, log })
  const recorder = new Recorder({ keeper: office, metrics, log })
  const pools = new UpstreamPools(metrics, log)
  const armEvents = new ArmEvents({ store: office, metrics, log })
  const lasting = { pools, recorder, metrics, log }
  let current: ServedSnapshot
  try {
    current = new ServedSnapshot(config, lasting, null)
  } catch (error) {
    await office.close()
    throw error
  }

  const troubled = <T>(error: unknown, instead: T): T => {
    log.error({ err: error }, 'the store could not be read for the metrics')
    return instead
  }
  metrics.observe({
    // A store in trouble takes its own series away, not the others.
    reports: () => office.reports(ANSWER_MS).catch((error: unknown) => troubled(error, [])),
    queue: () => office.queue(ANSWER_MS).catch((error: unknown) => troubled(error, null)),
    configHash: () => current.config.hash,
    upstreams: () => current.standings(),
    requestsInFlight: () => current.limits.inFlight,
    armStates: () => armStatesOf(current.plan),
  })

  let [draining, refusing] = [false, false]
  const data = createDataPlane({
    enter: () => current.enter(),
    limits: config.limits,
    metrics,
    log,
    tracing,
    draining: () => draining,
    refusing: () => refusing,
  })
  data.keepAliveTimeout = KEEP_ALIVE_MS
  const reloads = new ReloadHistory()
  const app = createAdmin({
    metrics: () => metrics.expose(),
    api: new Control({
      office,
      armEvents,
      reloads,
      current: () => current,
      draining: () => draining,
      log,
    }),
    notReady: () => (draining ? 'draining' : null),
    token: () => current.config.admin.token ?? null,
    log,
  })
  const admin = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server

  const closeParts = async () => {
    const lastStoring = office.giveUpAfter(LAST_STORING_MS)
    await armEvents.stop()
    await recorder.close()
    clearTimeout(lastStoring)
    await Promise.all([pools.close(), office.close()])
  }
  let url: string
  let adminUrl: string
  try {
    await armEvents.begin()
    armEvents.use(current.plan)
    url = `http://${formatAddress(await listen(data, config.listen))}/v1`
    adminUrl = `http://${formatAddress(await listen(admin, config.admin.listen))}`
    await office.use(config)
  } catch (error) {
    await Promise.all([closeServer(data, 0), closeServer(admin, 0)])
    await closeParts()
    throw error
  }
  armEvents.start()
  logWarnings(config, log)

  /** Puts a configuration in force for every request that begins from now on. */
  const apply = async (next: Config) => {
    const previous = current
    const snapshot = new ServedSnapshot(next, lasting, previous)
    try {
      await office.use(next)
    } catch (error) {
      snapshot.leave()
      throw error
    }
    armEvents.use(snapshot.plan)
    current = snapshot
    previous.leave()
  }

  const reload = async (read: (running: Config) => Config): Promise<Reload> => {
    const running = current.config
    if (draining) return { outcome: 'unchanged', folders: running.folders }
    const reload = await tryReload(running, read, apply, log)
    metrics.configReload(reload.outcome)
    reloads.add(reload, current.config.hash)
    return reload
  }
  /** One after the other. */
  let reloading: Promise<Reload> = Promise.resolve({ outcome: 'unchanged', folders: [] })

  return {
    url,
    adminUrl,
    get plan() {
      return current.plan
    },
    get config() {
      return current.config
    },
    reports: () => office.freshReports(),
    reload(read) {
      reloading = reloading.then(() => reload(read))
      return reloading
    },
    async settle() {
      await recorder.settle()
      while ((await office.queue()).depth > 0)
        await new Promise((resolve) => setTimeout(resolve, SETTLE_POLL_MS))
    },
    async close(drainMs = current.config.limits.drain) {
      draining = true
      const late = setTimeout(
        () => {
          refusing = true
        },
        Math.min(LATE_MS, drainMs),
      )
      await closeServer(data, drainMs)
      clearTimeout(late)
      await closeParts()
      await closeServer(admin, 0)
      await tracing.close()
    },
  }
}
