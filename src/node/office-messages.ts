/** What the main thread (`office.ts`) and the back office's thread (`office-thread.ts`) say to each other. */
import type { Config } from '../config/load.ts'
import { type Log, type LogLevel, type Metrics, noMetrics } from '../domain/ports.ts'
import type { Report } from '../domain/report.ts'
import type { DrawnOutcome } from '../domain/sample.ts'
import type { ArmEvent, QueueStatus } from '../domain/store.ts'
import type { CountedExposures } from '../pipeline/exposure-counts.ts'
import type { FiledExchange } from '../pipeline/filing.ts'
import type { DeskRequests } from './desk-requests.ts'

/** A configuration as it can be sent: without its function. */
export type OfficeConfig = Omit<Config, 'place'>

/** What a thread begins with. */
export interface ThreadData {
  readonly config: OfficeConfig
  /** Whether it judges; else it leaves that to others. */
  readonly judges: boolean
  /** Whether the configuration is in force already: a thread that replaces another. */
  readonly begun: boolean
  /** Whether it traces, by the environment. */
  readonly traced: boolean
}

/** What the thread is asked for, and what it answers; what the control plane asks besides is in `desk-requests.ts`. */
export interface OfficeRequests extends DeskRequests {
  use(config: OfficeConfig): void
  expose(exposures: readonly CountedExposures[]): void
  file(exchange: FiledExchange): DrawnOutcome
  /** @param fresh made now; else at most a moment old. */
  reports(fresh: boolean): readonly Report[]
  queue(): QueueStatus
  /** What is in force of what was done to arms. */
  armEvents(): ArmEvent[]
  /** Gives samples back, closes the store; nothing follows but the thread's end. */
  close(): void
}

export type RequestName = keyof OfficeRequests
export type Argument<N extends RequestName> = Parameters<OfficeRequests[N]>[0]
export type Answer<N extends RequestName> = ReturnType<OfficeRequests[N]>

/** To the thread, as an array. */
export type OfficeRequest = {
  [N in RequestName]: { readonly id: number; readonly name: N; readonly argument: Argument<N> }
}[RequestName]

/** From the thread, as an array. */
export type OfficeMessage =
  | { readonly kind: 'ready' }
  /** It cannot begin. */
  | { readonly kind: 'refused'; readonly error: PlainError }
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly error: PlainError }
  | { readonly kind: 'metric'; readonly call: MetricCall }
  | {
      readonly kind: 'log'
      readonly level: LogLevel
      readonly fields: Readonly<Record<string, unknown>>
      readonly error: PlainError | null
      readonly message: string
    }

export type MetricCall = {
  [N in keyof Metrics]: { readonly name: N; readonly args: Parameters<Metrics[N]> }
}[keyof Metrics]

type SendMessage = (message: OfficeMessage) => void

/** Metrics that are counted elsewhere. */
export function forwardedMetrics(send: SendMessage): Metrics {
  const forward = (name: string) => [
    name,
    (...args: unknown[]) => send({ kind: 'metric', call: { name, args } as unknown as MetricCall }),
  ]
  return Object.fromEntries(Object.keys(noMetrics).map(forward)) as unknown as Metrics
}

export function countForwarded(metrics: Metrics, { name, args }: MetricCall): void {
  const count = metrics[name] as (...args: readonly unknown[]) => void
  count(...args)
}

/** A log that is written elsewhere. */
export function forwardedLog(send: SendMessage): Log {
  const method =
    (level: LogLevel): Log['info'] =>
    ({ err, ...fields }, message) =>
      send({ kind: 'log', level, fields, error: err === undefined ? null : plainError(err), message })
  return { debug: method('debug'), info: method('info'), warn: method('warn'), error: method('error') }
}

/** Of an error what survives being sent; a clone would lose its code and the name of its class. */
export interface PlainError {
  readonly name: string
  readonly message: string
  readonly code: string | null
  readonly stack: string | null
  readonly cause: PlainError | null
}

const DEEPEST_CAUSE = 5

export function plainError(thrown: unknown, depth = 0): PlainError {
  if (!(thrown instanceof Error)) {
    return { name: 'Error', message: String(thrown), code: null, stack: null, cause: null }
  }
  const { name, message, stack = null, cause } = thrown
  const { code } = thrown as { code?: unknown }
  return {
    name,
    message,
    code: typeof code === 'string' ? code : null,
    stack,
    cause: cause === undefined || depth === DEEPEST_CAUSE ? null : plainError(cause, depth + 1),
  }
}

export function revivedError({ name, message, code, stack, cause }: PlainError): Error {
  const error = new Error(message, cause === null ? undefined : { cause: revivedError(cause) })
  return Object.assign(error, {
    name,
    ...(code === null ? {} : { code }),
    ...(stack === null ? {} : { stack }),
  })
}
