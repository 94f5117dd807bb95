/** What a ballast with several workers (`workers.ts`) and one of them (`worker-process.ts`) ask of each other. */
import type { Counted } from '../../adapters/metrics-deltas.ts'
import type { Address } from '../../config/values.ts'
import type { DrawnOutcome } from '../../domain/sample.ts'
import type { ArmEvent } from '../../domain/store.ts'
import type { CountedExposures } from '../../pipeline/exposure-counts.ts'
import type { FiledExchange } from '../../pipeline/filing.ts'
import type { OfficeConfig, OfficeMessage, PlainError } from '../office-messages.ts'
import type { UpstreamState } from '../upstreams.ts'

/** What a worker serves by. */
export interface InForce {
  readonly config: OfficeConfig
  /** What was done to arms. */
  readonly armEvents: readonly ArmEvent[]
}

/** What a worker begins with. */
export interface Beginning extends InForce {
  /** How many workers there are: of what is limited in all, each has such a part. */
  readonly workers: number
  /** Where they all listen, each by itself; null where the starting process hands connections out. */
  readonly shared: Address | null
}

/** What a worker has counted since it told last, and how it stands. */
export interface Tally {
  readonly counted: Counted
  readonly requestsInFlight: number
  readonly upstreams: readonly UpstreamState[]
  readonly cpuSeconds: number
  readonly residentBytes: number
}

/** One request of a client against its requests per minute. */
export interface RateRequest {
  readonly client: string
  readonly perMinute: number
}

export type LogMessage = Extract<OfficeMessage, { kind: 'log' }>

/** Of a worker. */
export type WorkerRequests = {
  /** Puts a configuration in force, whole. */
  use(next: InForce): void
  switchArms(events: readonly ArmEvent[]): void
  tally(): Tally
  /** Resolves when all that was answered so far is stored. */
  settle(): void
  /** Takes no new connections; resolves when the running requests have ended, at the latest after so many milliseconds. */
  drain(drainMs: number): void
  /** Hands over what is left and closes everything; nothing follows but its end. */
  finish(): Tally
}

/** Of the process that has started it. */
export type PrimaryRequests = {
  begin(): Beginning
  /** It listens. */
  serving(address: Address): void
  /** It cannot begin. */
  refused(error: PlainError): void
  expose(exposures: readonly CountedExposures[]): void
  file(exchange: FiledExchange): DrawnOutcome
  /** Null when the request is within the minute's, else in how many milliseconds the next minute begins. */
  rate(request: RateRequest): number | null
  tally(tally: Tally): void
  log(message: LogMessage): void
}
