/** Composes ballast on Node: builds the parts a configuration asks for, listens, reloads, and ends in good order. */
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createAdaptorServer } from '@hono/node-server'
import { createPrometheusMetrics } from './adapters/metrics-prom.ts'
import { openStore } from './adapters/store.ts'
import { type Config, ConfigError } from './config/load.ts'
import { formatProblem } from './config/source.ts'
import { type Address, formatAddress } from './config/values.ts'
import type { Log } from './domain/ports.ts'
import type { Report } from './domain/report.ts'
import { createAdmin } from './http/admin.ts'
import { createDataPlane } from './http/data-plane.ts'
import { changesBetween } from './node/changes.ts'
import { Judging, queueLimit } from './node/judging.ts'
import type { Reload, Reloadable } from './node/reloads.ts'
import { ServedSnapshot } from './node/snapshot.ts'
import { UpstreamPools } from './node/upstreams.ts'
import { Recorder } from './pipeline/record.ts'
import type { Plan } from './policy/compile.ts'
import { warnings } from './policy/warnings.ts'

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
  /** Refuses new requests, lets running ones end within `drainMs` (default `limits.drain`), stores what is pending, and closes everything. */
  close(drainMs?: number): Promise<void>
}

/** Longer than the idle timeout of common load balancers, so that they and not ballast close idle connections. */
const KEEP_ALIVE_MS = 75_000
const SETTLE_POLL_MS = 20
const IDLE_SWEEP_MS = 50

/** @throws Error when the store cannot be opened or an address is in use; nothing is left running. */
export async function startBallast(config: Config, log: Log): Promise<Ballast> {
  const metrics = createPrometheusMetrics()
  const store = await openStore(config.store, { queueLimit: queueLimit(config), log })
  const keptUnitKey = await store.unitKey()
  const recorder = new Recorder({
    unitKey: () => current.config.unit_key ?? keptUnitKey,
    store,
    queue: store,
    metrics,
    log,
  })
  const pools = new UpstreamPools(metrics, log)
  const judging = new Judging({ store, metrics, log })
  const lasting = { pools, store, recorder, metrics, log }
  let current = new ServedSnapshot(config, lasting, null)

  const troubled = <T>(error: unknown, instead: T): T => {
    log.error({ err: error }, 'the store could not be read for the metrics')
    return instead
  }
  metrics.observe({
    // A store in trouble takes its own series away, not the others.
    reports: () => current.reports().catch((error: unknown) => troubled(error, [])),
    queue: () => store.status().catch((error: unknown) => troubled(error, { depth: 0, oldestAt: null })),
    configHash: () => current.config.hash,
  })

  let draining = false
  const data = createDataPlane({
    enter: () => current.enter(),
    limits: config.limits,
    metrics,
    log,
    draining: () => draining,
  })
  data.keepAliveTimeout = KEEP_ALIVE_MS
  const app = createAdmin({
    metrics: () => metrics.expose(),
    reports: () => current.reports(),
    configHash: () => current.config.hash,
    notReady: () => (draining ? 'draining' : null),
    token: () => current.config.admin.token ?? null,
    log,
  })
  const admin = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server

  const closeParts = async () => {
    await judging.stop()
    await recorder.close()
    await pools.close()
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
  judging.use(config)
  logWarnings(config, log)

  /** Puts a configuration in force for every request that begins from now on. */
  const apply = (next: Config) => {
    const previous = current
    const snapshot = new ServedSnapshot(next, lasting, previous)
    try {
      judging.use(next)
    } catch (error) {
      snapshot.leave()
      throw error
    }
    current = snapshot
    previous.leave()
  }

  return {
    url,
    adminUrl,
    get plan() {
      return current.plan
    },
    get config() {
      return current.config
    },
    reports: () => current.reports(),
    reload(read) {
      const running = current.config
      if (draining) return { outcome: 'unchanged', folders: running.folders }
      const reload = tryReload(running, read, apply, log)
      metrics.configReload(reload.outcome)
      return reload
    },
    async settle() {
      await recorder.settle()
      while ((await store.status()).depth > 0)
        await new Promise((resolve) => setTimeout(resolve, SETTLE_POLL_MS))
    },
    async close(drainMs = current.config.limits.drain) {
      draining = true
      await closeServer(data, drainMs)
      await closeParts()
      await closeServer(admin, 0)
    },
  }
}

/** Reads a configuration and applies it; says in the log what came of it. */
function tryReload(
  running: Config,
  read: (running: Config) => Config,
  apply: (next: Config) => void,
  log: Log,
): Reload {
  try {
    const next = read(running)
    const { hash, folders } = next
    if (hash === running.hash) {
      log.info({ config: hash }, 'the configuration was read again: it is the running one')
      return { outcome: 'unchanged', folders }
    }
    apply(next)
    log.info({ config: hash, changes: changesBetween(running, next) }, 'the configuration was reloaded')
    logWarnings(next, log)
    return { outcome: 'applied', folders }
  } catch (error) {
    const refused = error instanceof ConfigError
    const why = refused ? { problems: error.problems.map(formatProblem) } : { err: error }
    log.error({ ...why, config: running.hash }, 'the configuration was not reloaded: the running one stays')
    return { outcome: 'failed', folders: refused ? error.folders : [] }
  }
}

function logWarnings(config: Config, log: Log): void {
  for (const warning of warnings(config)) log.warn({}, formatProblem(warning))
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
