/**
 * Judging by itself, on a store that proxies fill: no data plane, only metrics and health. Several of them may work on one
 * store. Started by `ballast judge`, in its main thread: there are no requests to be held up.
 */
import type { Server } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import { fetchByUndici } from '../adapters/judge-fetch-undici.ts'
import { createPrometheusMetrics } from '../adapters/metrics-prom.ts'
import { openStore } from '../adapters/store.ts'
import type { Config } from '../config/load.ts'
import { type Address, formatAddress } from '../config/values.ts'
import type { Log } from '../domain/ports.ts'
import type { Tracing } from '../domain/tracing.ts'
import { createHealth } from '../http/health.ts'
import { Judging, queueLimit } from './judging.ts'
import type { Reload, Reloadable } from './reloads.ts'
import { closeServer, listen } from './servers.ts'
import { tryReload } from './try-reload.ts'

export interface JudgeProcess extends Reloadable {
  readonly adminUrl: string
  /** Gives back what is not judged yet, and closes everything. */
  close(): Promise<void>
}

/** Why nothing could be judged by a configuration in a process of its own; null where it can. */
export function cannotJudge({ store, judge }: Pick<Config, 'store' | 'judge'>): string | null {
  if (store === 'memory')
    return 'the store is `memory`, which no other process can see: `ballast judge` needs one that processes share, such as sqlite:PATH'
  if (judge === undefined) return 'the configuration has no `judge`, so there is nobody to ask'
  return null
}

/** @throws Error when nothing can be judged by it, the store cannot be opened or the address is in use. */
export async function startJudge(
  config: Config,
  address: Address,
  log: Log,
  tracing: Tracing,
): Promise<JudgeProcess> {
  requireJudge(config)
  const metrics = createPrometheusMetrics()
  const store = await openStore(config.store, { queueLimit: queueLimit(config), log })
  const judging = new Judging({ store, fetch: fetchByUndici, metrics, tracing, log })
  let current = config
  let stopping = false
  metrics.observe({
    // Rates are told by the proxies: here they would only be told again.
    reports: async () => [],
    queue: () =>
      store.status().catch((error: unknown) => {
        log.error({ err: error }, 'the store could not be read for the metrics')
        return null
      }),
    configHash: () => current.hash,
    upstreams: () => [],
    requestsInFlight: () => 0,
    armStates: () => [],
  })
  const app = createHealth({
    metrics: () => metrics.expose(),
    notReady: () => (stopping ? 'stopping' : null),
  })
  const admin = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server
  let adminUrl: string
  try {
    adminUrl = `http://${formatAddress(await listen(admin, address))}`
    judging.use(config)
  } catch (error) {
    await Promise.all([closeServer(admin, 0), store.close()])
    throw error
  }

  const apply = async (next: Config) => {
    requireJudge(next)
    judging.use(next)
    current = next
  }
  const reload = async (read: (running: Config) => Config): Promise<Reload> => {
    if (stopping) return { outcome: 'unchanged', folders: current.folders }
    const reload = await tryReload(current, read, apply, log)
    metrics.configReload(reload.outcome)
    return reload
  }
  return {
    adminUrl,
    get config() {
      return current
    },
    reload,
    async close() {
      stopping = true
      await judging.stop()
      await store.close()
      await closeServer(admin, 0)
      await tracing.close()
    },
  }
}

function requireJudge(config: Config): void {
  const reason = cannotJudge(config)
  if (reason !== null) throw new Error(reason)
}
