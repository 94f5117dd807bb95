/**
 * The control plane of a Worker: Hono as on Node, on the same host as the data plane. Beyond health everything needs
 * `admin.token`, the metrics too: a Worker listens to the world. Called by `worker.ts`.
 */
import { Hono } from 'hono'
import type { Log } from '../domain/ports.ts'
import { createHealth, failure, guard, notServed } from '../http/health.ts'
import { armStatesOf } from '../node/arm-events.ts'
import type { Env } from './env.ts'
import { type OfficeFacts, officeOf } from './office-calls.ts'
import { objectOf } from './outbox.ts'
import type { WorkerSnapshot } from './snapshot.ts'

/** The rest is the data plane's. */
export function isControl(path: string): boolean {
  return /^\/(?:|metrics|healthz|readyz|api\/.*)$/.test(path)
}

export interface ControlDeps {
  /** Null where there is no configuration to serve by. */
  readonly snapshot: WorkerSnapshot | null
  /** Null when it does its work, else why not. */
  readonly notReady: string | null
  /** Whether the configuration that was read last was refused. */
  readonly refused: boolean
  readonly env: Env
  readonly log: Log
}

export function createControl({ snapshot, notReady, refused, env, log }: ControlDeps): Hono {
  const token = () => snapshot?.config.admin.token ?? null
  const configHash = () => snapshot?.config.hash ?? ''
  // What is counted is told all the same.
  const untold = (error: unknown): OfficeFacts => {
    log.error({ err: error }, 'the office object could not be asked for the metrics')
    return { reports: [], queue: null, judges: [], refused: false }
  }
  const health = createHealth({
    notReady: () => notReady,
    metrics: async () => {
      const facts = await officeOf(env.OFFICE).facts().catch(untold)
      return await objectOf(env.METRICS).expose({
        configHash: configHash(),
        armStates: snapshot === null ? [] : armStatesOf(snapshot.plan),
        reports: facts.reports,
        queue: facts.queue,
        judges: facts.judges,
        reloaded: !refused && !facts.refused,
      })
    },
  })
  const app = new Hono()
  app.use('/metrics', guard(token))
  app.route('/', health)
  app.use(guard(token))
  app.get('/api/config', (c) => c.json({ hash: configHash() }))
  app.get('/api/experiments', async (c) => c.json(await officeOf(env.OFFICE).reports()))
  app.notFound(notServed)
  app.onError(failure(log))
  return app
}
