/**
 * The one error type of ballast. Thrown in every layer, turned into an HTTP status only by `http/errors.ts`.
 * The fields follow SPEC's wording: who caused it, what exactly, and whether trying again can help.
 */

/** Who is to blame: the caller, the model provider, or ballast itself. */
export type ErrorSource = 'client' | 'upstream' | 'internal'

export const ERROR_CODES = [
  'ballast_malformed_request',
  'ballast_malformed_body',
  'ballast_unknown_key',
  'ballast_foreign_origin',
  'ballast_no_route',
  'ballast_unknown_path',
  'ballast_request_timeout',
  'ballast_body_too_large',
  'ballast_expectation_failed',
  'ballast_policy_not_applicable',
  'ballast_trigger_blocked',
  'ballast_rate_limited',
  'ballast_headers_too_large',
  'ballast_upstream_failed',
  'ballast_upstream_timeout',
  'ballast_upstream_unavailable',
  'ballast_draining',
  'ballast_overloaded',
  'ballast_internal',
  'ballast_upgrade_unsupported',
] as const

/** What went wrong; stable, and the `code` that clients see. Described in `docs/errors.md`. */
export type ErrorCode = (typeof ERROR_CODES)[number]

export interface BallastErrorOptions {
  /** Who caused it. */
  source: ErrorSource
  /** The request parameter at fault, as OpenAI names it (`messages`, `model`). */
  param?: string
  /** Whether the same request may succeed later. Default false. */
  retryable?: boolean
  /** When to try again; the client is told. */
  retryAfterSeconds?: number
  cause?: unknown
}

export class BallastError extends Error {
  override readonly name = 'BallastError'
  readonly code: ErrorCode
  readonly source: ErrorSource
  readonly param: string | null
  readonly retryable: boolean
  readonly retryAfterSeconds: number | null

  /** @param message what is wrong, where, and what to do; it reaches the client, so it must hold no secret. */
  constructor(code: ErrorCode, message: string, options: BallastErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.source = options.source
    this.param = options.param ?? null
    this.retryable = options.retryable ?? false
    this.retryAfterSeconds = options.retryAfterSeconds ?? null
  }
}

/** Wraps anything thrown that is not a `BallastError`: a fault of ballast's own, told to the client without detail. */
export function toBallastError(thrown: unknown): BallastError {
  if (thrown instanceof BallastError) return thrown
  return new BallastError('ballast_internal', 'ballast failed to handle this request; its log says why.', {
    source: 'internal',
    cause: thrown,
  })
}
