/**
 * Requests served by several processes behind one socket: starts them, keeps all of them at the same configuration, adds up
 * what they count, and replaces those that die. Composed by `node.ts`, for `ballast serve --workers`; what they sample goes
 * to the back office of this process, which serves none itself.
 */
import type { Counted } from '../../adapters/metrics-deltas.ts'
import type { WorkersStanding } from '../../adapters/metrics-prom.ts'
import type { Address } from '../../config/values.ts'
import { type Log, noLog, noMetrics } from '../../domain/ports.ts'
import type { ArmEvent } from '../../domain/store.ts'
import type { MinuteRate } from '../../http/limits.ts'
import { createMemoryRate } from '../../http/rate-memory.ts'
import { type Keeper, Recorder } from '../../pipeline/record.ts'
import type { Plan } from '../../policy/compile.ts'
import type { Office } from '../office.ts'
import type { OfficeConfig } from '../office-messages.ts'
import { probe } from '../servers.ts'
import type { DataSide, Prepared } from '../serving.ts'
import { type Lasting, ServedSnapshot } from '../snapshot.ts'
import { UpstreamPools, type UpstreamState } from '../upstreams.ts'
import type { RateRequest, Tally } from './messages.ts'
import { WorkerHandle } from './worker-handle.ts'

/** A worker that lived so long has not died of how it began. */
const LONG_LIFE_MS = 60_000
const FIRST_WAIT_MS = 100
const LONGEST_WAIT_MS = 10_000
/** So many that end before they serve, one after the other, and nobody serves: then there is no use in more. */
const MOST_FAILED = 5
/** To put a configuration in force; who takes longer is replaced. */
const APPLY_MS = 10_000
/** For arms' switches, and for what was counted: a worker that is busy hears of it later. */
const SOON_MS = 1_000
/** Beyond what a worker gives its requests. */
const DRAIN_MARGIN_MS = 5_000
/** A worker tells twice a second. Who has not, so many looks in a row, hangs: its connections wait for nothing. */
const LOOK_MS = 5_000
const SILENT_LOOKS = 4
/** One that starts has more to do than to tell. */
const STARTING_LOOKS = 8
/** Systems whose kernels spread connections over sockets that listen at one address. */
const SPREADING = new Set(['linux', 'freebsd'])
const FINISH_MS = 25_000

export interface WorkersDeps {
  readonly office: Pick<Office, 'expose' | 'file'>
  /** What was done to arms, as it is in force. */
  readonly armEvents: () => readonly ArmEvent[]
  /** Adds what a worker has counted. */
  readonly count: (counted: Counted) => void
  readonly log: Log
}

const nowhere: Keeper = { expose: async () => {}, keep: async () => 'store_error' }

export class Workers implements DataSide {
  readonly failure: Promise<Error>
  private readonly fail: (error: Error) => void
  private readonly deps: WorkersDeps
  private readonly size: number
  /** By number. */
  private readonly handles = new Map<number, WorkerHandle>()
  private readonly replacing = new Set<NodeJS.Timeout>()
  /** Nobody is served by it; what can be put in force here can be in a worker. */
  private current: ServedSnapshot
  private readonly lasting: Lasting
  private readonly rates = new Map<string, { readonly perMinute: number; readonly rate: MinuteRate }>()
  private readonly first = Promise.withResolvers<Address>()
  private restarts = 0
  private failedStarts = 0
  private waitMs = 0
  private closing = false
  private shared: Address | null = null
  private looking: NodeJS.Timeout | undefined
  private gathering: Promise<void> | null = null

  /** @throws when nothing can be served by the configuration. */
  constructor(config: OfficeConfig, size: number, deps: WorkersDeps) {
    this.deps = deps
    this.size = size
    const recorder = new Recorder({ keeper: nowhere, metrics: noMetrics, log: noLog, processes: 1 })
    const pools = new UpstreamPools(noMetrics, deps.log)
    const common = { metrics: noMetrics, log: deps.log, createRate: createMemoryRate, processes: 1 }
    this.lasting = { pools, recorder, ...common }
    this.current = new ServedSnapshot(config, this.lasting, null)
    const { promise, resolve } = Promise.withResolvers<Error>()
    this.failure = promise
    this.fail = resolve
    this.first.promise.catch(() => {})
  }

  get plan(): Plan {
    return this.current.plan
  }

  get notReady(): string | null {
    return this.serving.length > 0 ? null : 'no worker serves'
  }

  get requestsInFlight(): number {
    return this.all.reduce((sum, { tally }) => sum + (tally?.requestsInFlight ?? 0), 0)
  }

  get standing(): WorkersStanding {
    const workers = [...this.handles].map(([number, { state, tally }]) => ({
      worker: String(number),
      state,
      used: tally === null ? null : tally,
    }))
    return { restarts: this.restarts, workers }
  }

  async begin(): Promise<Address> {
    if (SPREADING.has(process.platform)) this.shared = await probe(this.current.config.listen)
    this.looking = setInterval(() => this.look(), LOOK_MS).unref()
    const started = Array.from({ length: this.size }, (_, index) => this.start(index + 1))
    const address = await Promise.race([this.first.promise, this.failed()])
    await Promise.race([Promise.allSettled(started), this.failed()])
    return address
  }

  prepare(next: OfficeConfig): Prepared {
    const previous = this.current
    const snapshot = new ServedSnapshot(next, this.lasting, previous)
    return {
      plan: snapshot.plan,
      commit: async () => {
        this.current = snapshot
        previous.leave()
        const inForce = { config: withoutPlace(next), armEvents: this.deps.armEvents() }
        await this.everyone(async (it) => {
          try {
            await it.line.ask('use', inForce, APPLY_MS)
          } catch (error) {
            this.deps.log.error(
              { err: error, worker: it.number },
              'a worker could not apply the configuration and is replaced',
            )
            it.kill()
          }
        })
      },
      discard: () => snapshot.leave(),
    }
  }

  switchArms(events: readonly ArmEvent[]): Promise<void> {
    return this.everyone((it) => it.line.ask('switchArms', events, SOON_MS))
  }

  gather(): Promise<void> {
    this.gathering ??= this.everyone(async (it) =>
      this.take(it, await it.line.ask('tally', undefined, SOON_MS)),
    ).finally(() => {
      this.gathering = null
    })
    return this.gathering
  }

  /** As the worst of the workers sees it: each finds out for itself. */
  upstreamStates(): readonly UpstreamState[] {
    const rank = (state: UpstreamState['breaker']) => ['closed', 'half-open', 'open'].indexOf(state)
    return this.current.upstreamStates().map((own) => {
      const seen = this.all.flatMap(
        ({ tally }) => tally?.upstreams.filter(({ upstream }) => upstream === own.upstream) ?? [],
      )
      const [worst = own] = seen.toSorted((a, b) => rank(b.breaker) - rank(a.breaker))
      return {
        ...own,
        breaker: worst.breaker,
        failures: Math.max(0, ...seen.map(({ failures }) => failures)),
        retryInMs: Math.max(0, ...seen.map(({ retryInMs }) => retryInMs)),
      }
    })
  }

  settle(): Promise<void> {
    return this.everyone((it) => it.line.ask('settle', undefined))
  }

  async drain(drainMs: number): Promise<void> {
    this.closing = true
    for (const timer of this.replacing) clearTimeout(timer)
    await Promise.all(
      this.all.map(async (it) => {
        if (it.state === 'starting') return it.kill()
        it.drains()
        try {
          await it.line.ask('drain', drainMs, drainMs + DRAIN_MARGIN_MS)
        } catch (error) {
          this.deps.log.error({ err: error, worker: it.number }, 'a worker did not end its requests in order')
          it.kill()
        }
      }),
    )
  }

  async finish(): Promise<void> {
    this.closing = true
    await Promise.all(
      this.all.map(async (it) => {
        if (it.state === 'starting') it.kill()
        else {
          try {
            this.take(it, await it.line.ask('finish', undefined, FINISH_MS))
            it.disconnect()
          } catch (error) {
            this.deps.log.error({ err: error, worker: it.number }, 'a worker did not end in order')
            it.kill()
          }
        }
        await it.ended
      }),
    )
    clearInterval(this.looking)
    await this.lasting.recorder.close()
    await this.lasting.pools.close()
  }

  private get all(): WorkerHandle[] {
    return [...this.handles.values()]
  }

  private get serving(): WorkerHandle[] {
    return this.all.filter(({ state }) => state === 'serving')
  }

  private async failed(): Promise<never> {
    throw await this.failure
  }

  /** Of a worker that is gone before it answers nothing is said: its end is told where it is replaced. */
  private async everyone(ask: (handle: WorkerHandle) => Promise<void>): Promise<void> {
    await Promise.allSettled(this.all.filter(({ begun }) => begun).map(ask))
  }

  private take(handle: WorkerHandle, tally: Tally): void {
    this.deps.count(tally.counted)
    handle.tally = tally
    handle.silent = 0
  }

  /** By looks and not by the clock: a machine that was asleep has all of them silent for long, and nobody hangs. */
  private look(): void {
    for (const handle of this.all) {
      if (++handle.silent <= (handle.state === 'starting' ? STARTING_LOOKS : SILENT_LOOKS)) continue
      this.deps.log.error({ worker: handle.number, pid: handle.pid }, 'a worker hangs and is ended')
      handle.kill()
    }
  }

  /** Starts one. @returns what resolves when it serves or has ended. */
  private start(number: number): Promise<void> {
    const { office, log, armEvents } = this.deps
    const { promise, resolve } = Promise.withResolvers<void>()
    const handle = new WorkerHandle(number, log, {
      begin: () => {
        handle.begun = true
        const { shared, size: workers } = this
        return { config: withoutPlace(this.current.config), armEvents: armEvents(), workers, shared }
      },
      serving: (address) => {
        handle.serves()
        log.info({ worker: number, pid: handle.pid }, 'a worker serves')
        this.failedStarts = 0
        this.first.resolve(address)
        resolve()
      },
      refused: (error) => handle.refuse(error),
      expose: (exposures) => office.expose(exposures),
      file: (exchange) => office.file(exchange),
      rate: (request) => this.consume(request),
      tally: (tally) => this.take(handle, tally),
    })
    this.handles.set(number, handle)
    void handle.ended.then((reason) => {
      resolve()
      this.replace(handle, reason)
    })
    return promise
  }

  private replace(handle: WorkerHandle, reason: Error): void {
    this.handles.delete(handle.number)
    if (this.closing) return
    const { log } = this.deps
    if (!handle.served) this.failedStarts++
    const hopeless = this.failedStarts >= MOST_FAILED && this.serving.length === 0
    if (hopeless || (handle.refused && this.serving.length === 0)) {
      this.closing = true
      for (const timer of this.replacing) clearTimeout(timer)
      for (const it of this.all) it.kill()
      return this.fail(
        hopeless
          ? new Error(`${this.failedStarts} workers in a row ended before they served: ${reason.message}`, {
              cause: reason,
            })
          : reason,
      )
    }
    if (handle.livedMs > LONG_LIFE_MS) this.waitMs = 0
    // While nobody serves every moment counts; how often it is tried then has its own bound.
    const waitMs = this.serving.length === 0 ? Math.min(this.waitMs, FIRST_WAIT_MS) : this.waitMs
    this.waitMs = Math.min(Math.max(FIRST_WAIT_MS, 2 * waitMs), LONGEST_WAIT_MS)
    log.error(
      { err: reason, worker: handle.number, pid: handle.pid, waitMs },
      'a worker has died and is replaced',
    )
    const timer = setTimeout(() => {
      this.replacing.delete(timer)
      this.restarts++
      void this.start(handle.number)
    }, waitMs)
    this.replacing.add(timer)
  }

  private consume({ client, perMinute }: RateRequest): Promise<number | null> {
    let known = this.rates.get(client)
    if (known?.perMinute !== perMinute) {
      known = { perMinute, rate: createMemoryRate(perMinute) }
      this.rates.set(client, known)
    }
    return known.rate.consume(client)
  }
}

/** As it can be sent. */
function withoutPlace(config: OfficeConfig): OfficeConfig {
  const { place: _, ...rest } = config as OfficeConfig & { place?: unknown }
  return rest
}
