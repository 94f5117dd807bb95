/** What the data plane is given: the configuration that a request is served by, and what stays the same for all. */
import type { Log, Metrics } from '../domain/ports.ts'
import type { Tracing } from '../domain/tracing.ts'
import type { PipelineDeps } from '../pipeline/pipeline.ts'
import type { Authenticate } from './auth.ts'
import type { Limits } from './limits.ts'

/** All of one configuration that a request is served by. */
export interface Snapshot {
  readonly pipeline: PipelineDeps
  readonly authenticate: Authenticate
  /** Whether only requests to this machine are answered, none that a foreign web page makes. */
  readonly localOnly: boolean
  readonly limits: Limits
  /** Largest body that is read whole, in bytes. */
  readonly largestBody: number
  /** How long a client that is behind may read nothing, in milliseconds. */
  readonly stallMs: number
  /** Says that the request it was handed out for is over. */
  leave(): void
}

export interface DataPlaneDeps {
  /** The configuration in force. Asked once per request, when it begins, so that a request runs through a whole one. */
  readonly enter: () => Snapshot
  /** What the server is made with: largest head in bytes, longest time for a request to come in, in milliseconds. */
  readonly limits: { readonly headers: number; readonly receive: number }
  readonly metrics: Metrics
  readonly log: Log
  readonly tracing: Tracing
  /** Whether the process is ending: answers are the last ones on their connections. */
  readonly draining: () => boolean
  /** Whether it has been ending for so long that new requests are refused. */
  readonly refusing: () => boolean
}
