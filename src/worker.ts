/** ballast on Cloudflare Workers: the entry of the bundle (`wrangler.toml`), composed of the same parts as on Node. */
import { MetricDeltas } from './adapters/metrics-deltas.ts'
import { toBallastError } from './domain/errors.ts'
import { errorResponse } from './http/errors.ts'
import { createControl, isControl } from './worker/control.ts'
import type { Context, Env } from './worker/env.ts'
import { HandOver } from './worker/hand-over.ts'
import { WorkerIncoming } from './worker/incoming.ts'
import { consoleLog, levelOf } from './worker/log.ts'
import { MetricsOutbox } from './worker/outbox.ts'
import { objectRates } from './worker/rate-object.ts'
import { RequestRecording } from './worker/recording.ts'
import { Settings } from './worker/settings.ts'
import { judgeWoken, lookRound } from './worker/waking.ts'

export { MetricsObject } from './worker/metrics-object.ts'
export { OfficeObject } from './worker/office-object.ts'
export { RateObject } from './worker/rate-object.ts'

/** What all requests of an isolate share. */
class Isolate {
  readonly log
  readonly counted = new MetricDeltas()
  readonly outbox: MetricsOutbox
  readonly handOver: HandOver
  readonly settings: Settings

  constructor(env: Env) {
    this.log = consoleLog(levelOf(env.LOG_LEVEL))
    this.outbox = new MetricsOutbox(this.counted, this.log)
    this.handOver = new HandOver(this.log)
    const { metrics } = this.counted
    this.settings = new Settings({ metrics, log: this.log, createRate: objectRates(env.RATES) })
  }
}

let isolate: Isolate | null = null

export default {
  async fetch(request: Request, env: Env, context: Context): Promise<Response> {
    isolate ??= new Isolate(env)
    const { log, counted, outbox, handOver, settings } = isolate
    const { metrics } = counted
    const { pathname } = new URL(request.url)
    const snapshot = await settings.inForce(env, context).catch(toBallastError)
    if (isControl(pathname)) {
      const { notReady, refused } = settings
      const served = 'config' in snapshot ? snapshot : null
      return await createControl({ snapshot: served, notReady, refused, env, log }).fetch(request)
    }
    if (!('config' in snapshot)) {
      const { status, headers, body } = errorResponse(snapshot)
      return new Response(body, { status, headers: { [headers[0]!]: headers[1]! } })
    }
    const recorder = new RequestRecording(metrics, handOver)
    const { response, over } = new WorkerIncoming({ snapshot, recorder, metrics, log }, request).run()
    const { config } = snapshot
    const storing = over.then(() => recorder.settle({ env, config }))
    context.waitUntil(over.then(() => outbox.flush(env.METRICS)))
    context.waitUntil(storing.then(() => outbox.flush(env.METRICS)))
    return await response
  },

  /** A message says that samples may wait. */
  async queue(_messages: unknown, env: Env): Promise<void> {
    await judgeWoken(env)
  },

  /** Once a minute. */
  async scheduled(_trigger: unknown, env: Env): Promise<void> {
    await lookRound(env)
  },
}
