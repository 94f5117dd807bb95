/** A worker of `ballast serve --workers`: serves requests, and leaves all else to the process that has started it (`workers.ts`). */
import cluster from 'node:cluster'
import { MetricDeltas } from '../../adapters/metrics-deltas.ts'
import { openTracing } from '../../adapters/tracing.ts'
import { noTracing, type Tracing } from '../../domain/tracing.ts'
import type { CreateRate } from '../../http/limits.ts'
import type { Keeper } from '../../pipeline/record.ts'
import { applyArmEvents } from '../arm-events.ts'
import { keepRequestsYoung } from '../heap.ts'
import { forwardedLog, plainError } from '../office-messages.ts'
import { Serving } from '../serving.ts'
import { Line } from './line.ts'
import type { InForce, LogMessage, PrimaryRequests, Tally, WorkerRequests } from './messages.ts'

/** For a request to be counted against its client's minute. */
const RATE_MS = 1_000
/** What is counted is told so often; who is killed takes so much with it at most. */
const TELL_MS = 500

async function main(): Promise<void> {
  keepRequestsYoung()
  // A terminal and a service manager tell all processes; what follows from it is told by the one that started this.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
  const deltas = new MetricDeltas()
  const { promise: made, resolve: make } = Promise.withResolvers<Serving>()
  made.catch(() => {})
  let tracing: Tracing = noTracing
  let drainMs = 0
  let finished = false

  const tally = (serving: Serving): Tally => {
    const { user, system } = process.cpuUsage()
    return {
      counted: deltas.take(),
      requestsInFlight: serving.requestsInFlight,
      upstreams: serving.upstreamStates(),
      cpuSeconds: (user + system) / 1e6,
      residentBytes: residentBytes(),
    }
  }
  const line = new Line<PrimaryRequests, WorkerRequests>(
    (messages) => process.send?.(messages, undefined, undefined, () => {}),
    {
      use: async ({ config, armEvents }: InForce) => {
        const prepared = (await made).prepare(config)
        applyArmEvents(prepared.plan, armEvents)
        drainMs = config.limits.drain
        await prepared.commit()
      },
      switchArms: async (events) => applyArmEvents((await made).plan, events),
      tally: async () => tally(await made),
      settle: async () => (await made).settle(),
      drain: async (ms) => (await made).drain(ms),
      finish: async () => {
        const serving = await made
        await serving.finish()
        await tracing.close()
        finished = true
        return tally(serving)
      },
    },
  )
  process.on('message', (messages: Parameters<typeof line.receive>[0]) => line.receive(messages))
  cluster.worker!.on('disconnect', () => {
    // Else Node ends it at once, and with it the requests that run.
    cluster.worker!.exitedAfterDisconnect = true
    if (finished) process.exit(0)
    line.end(new Error('the process that stores for the workers is gone'))
    void made.then((serving) => serving.drain(drainMs)).finally(() => process.exit(1))
  })

  const log = forwardedLog((message) => line.tell('log', message as LogMessage))
  try {
    const { config, armEvents, workers, shared } = await line.ask('begin', undefined)
    tracing = await openTracing(process.env, log)
    const serving = new Serving(config, {
      keeper: keeperAt(line),
      metrics: deltas.metrics,
      tracing,
      log,
      createRate: ratesAt(line),
      processes: workers,
    })
    drainMs = config.limits.drain
    applyArmEvents(serving.plan, armEvents)
    make(serving)
    await line.ask('serving', await serving.begin(shared ?? undefined))
    setInterval(() => line.tell('tally', tally(serving)), TELL_MS).unref()
  } catch (error) {
    await line.ask('refused', plainError(error)).catch(() => {})
    process.exit(1)
  }
}

let lastResident = 0

/** Read from /proc: where all descriptors are in use, what it was last. */
function residentBytes(): number {
  try {
    lastResident = process.memoryUsage.rss()
  } catch {}
  return lastResident
}

type Primary = Line<PrimaryRequests, WorkerRequests>

function keeperAt(line: Primary): Keeper {
  return {
    expose: (exposures) => line.ask('expose', exposures),
    keep: ({ body, tap, ...facts }) =>
      line.ask('file', { ...facts, body, answer: tap.copy() }).catch(() => 'store_error' as const),
  }
}

/** Requests per minute, counted for all workers together. Whoever has sent them all is refused here until the next minute. */
function ratesAt(line: Primary): CreateRate {
  return (perMinute) => {
    const refusedUntil = new Map<string, number>()
    return {
      async consume(client) {
        const wait = (refusedUntil.get(client) ?? 0) - performance.now()
        if (wait > 0) return wait
        // Where nobody counts, because that process hangs or is gone, nobody is let through: come again.
        const waitMs = await line.ask('rate', { client, perMinute }, RATE_MS).catch(() => RATE_MS)
        if (waitMs !== null) refusedUntil.set(client, performance.now() + waitMs)
        return waitMs
      },
    }
  }
}

await main()
