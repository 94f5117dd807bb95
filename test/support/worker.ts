/** Starts the bundled Worker on workerd, with all that `wrangler.toml` binds, on port 0. */
import type { D1Database } from '@cloudflare/workers-types'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import type { Log } from '../../src/domain/ports.ts'
import { migrationStatements, TABLES_MADE } from './d1-migrations.ts'
import { startEdge } from './edge.ts'
import { bundledWorker } from './worker-bundle.ts'

export interface RunningWorker {
  /** With a slash at the end. */
  readonly url: string
  /** What its settings hold under a key from now on. */
  put(key: string, text: string): Promise<void>
  /** What its samples and verdicts are in. */
  d1(): Promise<D1Database>
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

/**
 * Puts settings and makes tables, beside the Worker and on the same bindings. Miniflare's own way there begins with a
 * thread that loads a client, for each Worker: a quarter of all that starting one costs.
 */
const HANDS = `export default {
  async fetch(request, { SETTINGS, DB }) {
    const { put, made, statements } = await request.json()
    for (const [key, text] of put) await SETTINGS.put(key, text)
    if (statements.length > 0 && (await DB.prepare(made).first()) === null)
      await DB.batch(statements.map((it) => DB.prepare(it)))
    return new Response()
  },
}`

interface HandWork {
  /** Settings, by key. */
  readonly put: readonly (readonly [key: string, text: string])[]
  /** What makes the tables, where `TABLES_MADE` finds none. */
  readonly statements: readonly string[]
}

export async function startWorker(given: WorkerOptions): Promise<RunningWorker> {
  const { yaml, environment, log, folder, messages = true } = given
  const shared = {
    compatibilityDate: COMPATIBILITY_DATE,
    kvNamespaces: ['SETTINGS'],
    d1Databases: ['DB'],
    unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
  }
  const options = convertV4MiniflareOptions({
    handleStructuredLogs: ({ message }) => relayLine(message, log),
    ...(folder === undefined ? {} : { resourcePersistencePath: folder }),
    workers: [
      {
        ...shared,
        name: 'ballast',
        // Not `script`: that is read through for what it imports, which a bundle does not.
        modules: [{ type: 'ESModule', path: 'worker.js', contents: bundledWorker() }],
        compatibilityFlags: ['nodejs_compat', 'enable_request_signal'],
        bindings: { ...environment, LOG_LEVEL: 'debug' },
        durableObjects: {
          METRICS: { className: 'MetricsObject', useSQLite: true },
          RATES: { className: 'RateObject', useSQLite: true },
          OFFICE: { className: 'OfficeObject', useSQLite: true },
        },
        queueProducers: { JUDGING: messages ? QUEUE : 'nobody-reads-this' },
        queueConsumers: { [QUEUE]: { maxBatchSize: 100, maxBatchTimeout: 1, maxRetries: 20, retryDelay: 1 } },
      },
      { ...shared, name: 'hands', modules: [{ type: 'ESModule', path: 'hands.js', contents: HANDS }] },
    ],
  })
  const miniflare = new Miniflare(options)
  try {
    const hands = await miniflare.unsafeGetDirectURL('hands')
    const work = async ({ put, statements }: HandWork) => {
      const body = JSON.stringify({ put, made: TABLES_MADE, statements })
      const response = await fetch(hands, { method: 'POST', body })
      if (!response.ok) throw new Error(`the Worker could not be set up: ${await response.text()}`)
    }
    await work({ put: yaml === null ? [] : [['ballast.yaml', yaml]], statements: migrationStatements() })
    const { port } = await miniflare.unsafeGetDirectURL('ballast')
    const edge = await startEdge(Number(port))
    return {
      url: `http://127.0.0.1:${edge.port}/`,
      put: (key, text) => work({ put: [[key, text]], statements: [] }),
      d1: async () => (await miniflare.getD1Database('DB', 'ballast')) as unknown as D1Database,
      async lookRound() {
        const worker = await miniflare.getWorker('ballast')
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
