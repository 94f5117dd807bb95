/** The one place that knows HTTP statuses: ballast's errors in OpenAI's shape. `docs/errors.md` describes each. */
import type { BallastError, ErrorCode } from '../domain/errors.ts'

/** Status and OpenAI `type` of every code. */
export const STATUSES: Readonly<Record<ErrorCode, readonly [status: number, type: string]>> = {
  ballast_malformed_request: [400, 'invalid_request_error'],
  ballast_malformed_body: [400, 'invalid_request_error'],
  ballast_unknown_key: [401, 'authentication_error'],
  ballast_foreign_origin: [403, 'permission_error'],
  ballast_no_route: [404, 'invalid_request_error'],
  ballast_unknown_path: [404, 'invalid_request_error'],
  ballast_request_timeout: [408, 'invalid_request_error'],
  ballast_body_too_large: [413, 'invalid_request_error'],
  ballast_expectation_failed: [417, 'invalid_request_error'],
  ballast_policy_not_applicable: [422, 'invalid_request_error'],
  ballast_trigger_blocked: [422, 'invalid_request_error'],
  ballast_rate_limited: [429, 'rate_limit_error'],
  ballast_headers_too_large: [431, 'invalid_request_error'],
  ballast_internal: [500, 'server_error'],
  ballast_upgrade_unsupported: [501, 'server_error'],
  ballast_upstream_failed: [502, 'server_error'],
  ballast_overloaded: [503, 'server_error'],
  ballast_draining: [503, 'server_error'],
  ballast_upstream_unavailable: [503, 'server_error'],
  ballast_upstream_timeout: [504, 'server_error'],
}

export interface ErrorResponse {
  readonly status: number
  /** Names and values in turn. */
  readonly headers: readonly string[]
  /** JSON. */
  readonly body: string
}

/** @returns what a client is sent: the message, never the cause. */
export function errorResponse(error: BallastError): ErrorResponse {
  const [status, type] = STATUSES[error.code]
  const { message, param, code, retryAfterSeconds } = error
  const body = JSON.stringify({ error: { message, type, param, code } })
  const headers = ['content-type', 'application/json', 'content-length', String(Buffer.byteLength(body))]
  if (retryAfterSeconds !== null) headers.push('retry-after', String(retryAfterSeconds))
  return { status, headers, body }
}
