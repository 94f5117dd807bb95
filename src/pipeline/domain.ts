/**
 * Asks whether a request is of the domain its model was trained on, for routes with `match_training`. Called by
 * `pipeline.ts` once the request's unit is assigned.
 */
import type { Metrics } from '../domain/ports.ts'
import { domainText } from '../policy/domain.ts'
import type { DecodedRequest } from '../policy/surface.ts'
import type { CompiledDomain } from '../policy/training.ts'

/** A request to ask about. */
export interface DomainRequest {
  /** The route's name. */
  readonly route: string
  readonly body: Buffer
  readonly decoded: DecodedRequest
}

/**
 * @returns a promise, which never rejects, where a classifier is asked; that counts by itself.
 * @throws BallastError `ballast_malformed_body` when the text holds an escape that does not exist.
 */
export function recognise(
  domain: CompiledDomain,
  { route, body, decoded }: DomainRequest,
  signal: AbortSignal,
  metrics: Metrics,
): boolean | Promise<boolean> {
  const text = domainText(decoded, body)
  if (text !== '' && domain.kind === 'classifier') return domain.classifier.classify(text, signal)
  const inDomain = text !== '' && domain.kind === 'patterns' && domain.matches(text)
  metrics.domainCheck(route, inDomain ? 'inside' : 'outside')
  return inDomain
}
