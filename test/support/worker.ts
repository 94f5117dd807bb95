/** Starts the bundled Worker on workerd, with its Durable Objects and settings, on port 0. */
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import type { Log } from '../../src/domain/ports.ts'
import { startEdge } from './edge.ts'
import { bundledWorker } from './worker-bundle.ts'

export interface RunningWorker {
  /** With a slash at the end. */
  readonly url: string
  /** What its settings hold under a key from now on. */
  put(key: string, text: string): Promise<void>
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
}

/** As `wrangler.toml` says. */
export const COMPATIBILITY_DATE = '2026-11-01'

export async function startWorker({ yaml, environment, log, folder }: WorkerOptions): Promise<RunningWorker> {
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
    },
    unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
    handleStructuredLogs: ({ message }) => relayLine(message, log),
    ...(folder === undefined ? {} : { resourcePersistencePath: folder }),
  })
  const miniflare = new Miniflare(options)
  try {
    const settings = await miniflare.getKVNamespace('SETTINGS')
    if (yaml !== null) await settings.put('ballast.yaml', yaml)
    const { port } = await miniflare.unsafeGetDirectURL()
    const edge = await startEdge(Number(port))
    return {
      url: `http://127.0.0.1:${edge.port}/`,
      put: async (key, text) => await settings.put(key, text),
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
