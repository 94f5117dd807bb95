/**
 * Whether a request is of the domain its model was trained on, for routes with `match_training`. Called by `pipeline.ts`
 * before it assigns an arm.
 */
import type { Metrics } from '../domain/ports.ts'
import type { CompiledArm, CompiledExperiment } from '../policy/compile.ts'
import { decodeText } from '../policy/json-scanner.ts'
import type { DecodedRequest } from '../policy/surface.ts'
import {
  DOMAIN_REACH,
  IN_DOMAIN,
  lastUserTexts,
  OUT_OF_DOMAIN,
  type RecogniseDomain,
} from '../policy/training.ts'

/** A request to ask about. */
export interface AskedRequest {
  /** The route's name. */
  readonly route: string
  readonly body: Buffer
  readonly decoded: DecodedRequest
}

/**
 * @param ask the route's rule; one that asks a classifier counts by itself.
 * @returns a promise, which never rejects, where a classifier is asked.
 * @throws BallastError `ballast_malformed_body` when the text holds an escape that does not exist.
 */
export function recognise(
  ask: RecogniseDomain,
  { route, body, decoded }: AskedRequest,
  signal: AbortSignal,
  metrics: Metrics,
): boolean | Promise<boolean> {
  const texts = lastUserTexts(decoded.texts()).map(({ spot }) => decodeText(body, spot))
  const text = texts.join('\n').slice(0, DOMAIN_REACH)
  const answer = text === '' ? false : ask(text, signal)
  if (typeof answer === 'boolean') metrics.domainCheck(route, answer ? 'inside' : 'outside')
  return answer
}

/** The arm that a domain rule leads to. */
export function armByDomain({ arms }: Pick<CompiledExperiment, 'arms'>, inDomain: boolean): CompiledArm {
  return arms.find(({ name }) => name === (inDomain ? IN_DOMAIN : OUT_OF_DOMAIN))!
}
