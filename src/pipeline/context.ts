/** What a request brings into the pipeline and what the pipeline writes to. Implemented by `http/` for each runtime. */
import type { BallastError } from '../domain/errors.ts'
import type { RawHeaders } from '../domain/ports.ts'
import type { RequestTrace } from '../domain/tracing.ts'

/** `B`: whether its body was read whole or comes as a stream. */
export interface ClientRequest<B> {
  /** Sent back as `x-ballast-request-id`; sampling is decided by it. */
  readonly id: string
  readonly method: string
  /** Below `/v1`, query included: `/chat/completions`. */
  readonly path: string
  readonly headers: RawHeaders
  readonly body: B
  /** Name of the authenticated client; null where the configuration names none. */
  readonly client: string | null
  /** Milliseconds since the epoch. */
  readonly receivedAt: number
  /** The same moment and the moment the request was read (with a stream: its head), on the monotonic clock of `performance.now()`. */
  readonly startedAt: number
  readonly bodyReadAt: number
  readonly trace: RequestTrace
}

/** The answer to the client. After `end`, `destroy` or `fail` nothing more is called. */
export interface ClientResponse {
  /** Sends an informational answer (1xx) ahead of the head. */
  inform(status: number, headers: RawHeaders): void
  /** Sends status and headers; `flush` when the body may take its time. */
  head(status: number, statusText: string, headers: string[], flush: boolean): void
  /** @returns false when the client is slow: write on after `onDrain`. */
  write(chunk: Uint8Array): boolean
  /** The listener to call when a slow client can take more. */
  onDrain(listener: () => void): void
  /** @param trailers sent where the answer's framing has room for them. */
  end(trailers: RawHeaders): void
  /** Breaks off, so that the client can tell it is not the whole answer. */
  destroy(): void
  /** Answers with an error of ballast's own, before `head`. @returns the status sent. */
  fail(error: BallastError, headers: string[]): number
}
