/** Starts the bundled Worker on workerd, with all that `wrangler.toml` binds, on port 0. */
import type { D1Database } from '@cloudflare/workers-types'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import type { Log } from '../../src/domain/ports.ts'
import { migrateD1 } from './d1-migrations.ts'
import { startEdge } from './edge.ts'
import { bundledWorker } from './worker-bundle.ts'

export interface RunningWorker {
  /** With a slash at the end. */
  readonly url: string
  /** What its settings hold under a key from now on. */
  put(key: string, text: string): Promise<void>
  /** What its samples and verdicts are in. */
  readonly d1: D1Database
  /** What its cron trigger does once a minute. */
  lookRound(): Promise<void>
  dispose(): Promise<void>
}

export interface WorkerOptions {
  /** Its configuration, in its settings; null: the bundled one. */
  readonly yaml: string | null
  /** Its secrets and variables. */
  readonly environment: Readonly<Record<string, string>>
  readonly log: Log
  /** Where Durable Objects and databases are kept; left out, they go with it. */
  readonly folder?: string
  /** Whether its messages go to its own queue, as deployed. Default true; else to one that nobody reads. */
  readonly messages?: boolean
}

/** As `wrangler.toml` says. */
export const COMPATIBILITY_DATE = '2026-11-01'

const QUEUE = 'ballast-judging'

export async function startWorker(given: WorkerOptions): Promise<RunningWorker> {
  const { yaml, environment, log, folder, messages = true } = given
  const options = convertV4MiniflareOptions({
    modules: true,
    script: bundledWorker(),
    compatibilityDate: COMPATIBILITY_DATE,
    compatibilityFlags: ['nodejs_compat', 'enable_request_signal'],
    bindings: { ...environment, LOG_LEVEL: 'debug' },
    kvNamespaces: ['SETTINGS'],
    durableObjects: {
      METRICS: { className: 'MetricsObject', useSQLite: true },
      RATES: { className: 'RateObject', useSQLite: true },
      OFFICE: { className: 'OfficeObject', useSQLite: true },
    },
    d1Databases: ['DB'],
    queueProducers: { JUDGING: messages ? QUEUE : 'nobody-reads-this' },
    queueConsumers: { [QUEUE]: { maxBatchSize: 100, maxBatchTimeout: 1, maxRetries: 20, retryDelay: 1 } },
    unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
    handleStructuredLogs: ({ message }) => relayLine(message, log),
    ...(folder === undefined ? {} : { resourcePersistencePath: folder }),
  })
  const miniflare = new Miniflare(options)
  try {
    const settings = await miniflare.getKVNamespace('SETTINGS')
    if (yaml !== null) await settings.put('ballast.yaml', yaml)
    const d1 = (await miniflare.getD1Database('DB')) as unknown as D1Database
    await migrateD1(d1)
    const { port } = await miniflare.unsafeGetDirectURL()
    const edge = await startEdge(Number(port))
    return {
      url: `http://127.0.0.1:${edge.port}/`,
      put: async (key, text) => await settings.put(key, text),
      d1,
      async lookRound() {
        const worker = await miniflare.getWorker()
        await worker.scheduled({ cron: '* * * * *' })
      },
      async dispose() {
        await edge.close()
        await miniflare.dispose()
      },
    }
  } catch (error) {
    await miniflare.dispose()
    throw error
  }
}

/** A line of the Worker's log, as its `consoleLog` wrote it. */
function relayLine(text: string, log: Log): void {
  let line: { level?: unknown; msg?: unknown }
  try {
    line = JSON.parse(text) as typeof line
  } catch {
    return
  }
  const { level, msg, ...fields } = line
  if (level === 'debug' || level === 'info' || level === 'warn' || level === 'error')
    log[level](fields, String(msg))
}
