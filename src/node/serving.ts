/**
 * Serves requests in this process: the data plane with its upstreams, limits and recorder, over the configurations that
 * follow each other. Composed by `node.ts`, and by each worker of a ballast that has several (`workers/`).
 */
import type { Address } from '../config/values.ts'
import type { Log, Metrics } from '../domain/ports.ts'
import type { ArmEvent } from '../domain/store.ts'
import type { Tracing } from '../domain/tracing.ts'
import { createDataPlane } from '../http/data-plane.ts'
import type { CreateRate } from '../http/limits.ts'
import { type Keeper, Recorder } from '../pipeline/record.ts'
import type { Plan } from '../policy/compile.ts'
import type { OfficeConfig } from './office-messages.ts'
import { closeServer, LATE_MS, listen } from './servers.ts'
import { type Lasting, ServedSnapshot } from './snapshot.ts'
import { UpstreamPools, type UpstreamState } from './upstreams.ts'

/** Longer than the idle timeout of common load balancers, so that they and not ballast close idle connections. */
const KEEP_ALIVE_MS = 75_000

/** A configuration that can be put in force: one of the two must follow. */
export interface Prepared {
  readonly plan: Plan
  commit(): Promise<void>
  discard(): void
}

/** What serves requests, as far as the control plane goes: this process, or workers. */
export interface DataSide {
  /** In force. */
  readonly plan: Plan
  /** Null while it takes requests, else why not. */
  readonly notReady: string | null
  readonly requestsInFlight: number
  /** Resolves with the error after which it serves no more; never, where it serves. */
  readonly failure: Promise<Error>
  /** @throws Error when the address is in use, or nothing can serve. */
  begin(): Promise<Address>
  /** @throws when it cannot be put in force: then nothing has changed. */
  prepare(next: OfficeConfig): Prepared
  /** Something was done to arms; the switches of `plan` are thrown already. */
  switchArms(events: readonly ArmEvent[]): Promise<void>
  /** Brings in what was counted and how upstreams stand. */
  gather(): Promise<void>
  upstreamStates(): readonly UpstreamState[]
  /** Resolves when all that was answered so far is stored. */
  settle(): Promise<void>
  /** Takes no new connections; resolves when the running requests have ended, at the latest after so many milliseconds. */
  drain(drainMs: number): Promise<void>
  /** Hands over what is left and closes everything. */
  finish(): Promise<void>
}

export interface ServingDeps {
  readonly keeper: Keeper
  readonly metrics: Metrics
  /** Closed by whoever opened it. */
  readonly tracing: Tracing
  readonly log: Log
  readonly createRate: CreateRate
  /** Processes that share what is limited in all. */
  readonly processes: number
}

export class Serving implements DataSide {
  readonly failure = new Promise<Error>(() => {})
  private readonly lasting: Lasting
  private readonly recorder: Recorder
  private readonly server: ReturnType<typeof createDataPlane>
  private current: ServedSnapshot
  private draining = false
  private refusing = false

  /** @throws when nothing can be served by it; nothing is left open. */
  constructor(config: OfficeConfig, { keeper, metrics, tracing, log, createRate, processes }: ServingDeps) {
    const pools = new UpstreamPools(metrics, log)
    this.recorder = new Recorder({ keeper, metrics, log, processes })
    this.lasting = { pools, recorder: this.recorder, metrics, log, createRate, processes }
    this.current = new ServedSnapshot(config, this.lasting, null)
    this.server = createDataPlane({
      enter: () => this.current.enter(),
      limits: config.limits,
      metrics,
      log,
      tracing,
      draining: () => this.draining,
      refusing: () => this.refusing,
    })
    this.server.keepAliveTimeout = KEEP_ALIVE_MS
  }

  get plan(): Plan {
    return this.current.plan
  }

  get notReady(): string | null {
    return this.server.listening ? null : 'not listening'
  }

  get requestsInFlight(): number {
    return this.current.limits.inFlight
  }

  /** @param shared where it listens with others; left out, by itself where the configuration says. */
  begin(shared?: Address): Promise<Address> {
    return listen(this.server, shared ?? this.current.config.listen, shared !== undefined)
  }

  prepare(next: OfficeConfig): Prepared {
    const previous = this.current
    const snapshot = new ServedSnapshot(next, this.lasting, previous)
    return {
      plan: snapshot.plan,
      commit: async () => {
        this.current = snapshot
        previous.leave()
      },
      discard: () => snapshot.leave(),
    }
  }

  async switchArms(): Promise<void> {}

  async gather(): Promise<void> {}

  upstreamStates(): readonly UpstreamState[] {
    return this.current.upstreamStates()
  }

  settle(): Promise<void> {
    return this.recorder.settle()
  }

  async drain(drainMs: number): Promise<void> {
    this.draining = true
    const late = setTimeout(
      () => {
        this.refusing = true
      },
      Math.min(LATE_MS, drainMs),
    )
    await closeServer(this.server, drainMs)
    clearTimeout(late)
  }

  async finish(): Promise<void> {
    await this.recorder.close()
    await this.lasting.pools.close()
  }
}
