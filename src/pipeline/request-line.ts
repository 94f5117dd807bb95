/**
 * The one line that the log has of each request, at `debug`. Written where a request ends: by `relay.ts`, and by the data
 * planes for those that the pipeline never had.
 */
import type { BallastError } from '../domain/errors.ts'
import type { Log, RequestLabels } from '../domain/ports.ts'
import type { UpstreamPlace } from '../domain/upstream-place.ts'

export interface RequestLine {
  readonly id: string
  readonly method: string
  /** As the client spelled it. */
  readonly target: string
  /** Name of the authenticated client; null without one. */
  readonly client: string | null
  readonly status: number
  readonly durationMs: number
  /** The last ones are unknown where the pipeline never had it. */
  readonly labels?: RequestLabels
  readonly policy?: string | null
  readonly place?: UpstreamPlace | null
  readonly attempts?: number
  /** Null where the body was a stream. */
  readonly requestBytes?: number | null
  readonly responseBytes?: number
  readonly traceId: string | null
  readonly failure: BallastError | null
}

/** Longer ones are nothing that is served. */
const LONGEST_PATH = 200

/** Whether it is worth making a line. */
export function logsRequests(log: Log): boolean {
  return log.isLevelEnabled?.('debug') ?? true
}

/** What is undefined is left out of the line. What follows a `?` may be a key; a client's error may quote the client. */
export function logRequest(log: Log, line: RequestLine): void {
  const { labels, place, failure } = line
  const assigned = labels !== undefined && labels.experiment !== ''
  log.debug(
    {
      request: line.id,
      method: line.method,
      path: line.target.split('?', 1)[0]!.slice(0, LONGEST_PATH),
      client: line.client ?? undefined,
      route: labels?.route,
      experiment: assigned ? labels.experiment : undefined,
      arm: assigned ? labels.arm : undefined,
      policy: line.policy ?? undefined,
      status: line.status,
      durationMs: Math.round(line.durationMs * 1_000) / 1_000,
      upstream: place?.name,
      attempts: place ? line.attempts : undefined,
      requestBytes: line.requestBytes ?? undefined,
      responseBytes: line.responseBytes,
      traceId: line.traceId ?? undefined,
      error: failure?.code,
      reason: failure?.source === 'upstream' ? failure.message : undefined,
    },
    'request',
  )
}
