/**
 * What the domain rule of a route with `match_training` is asked about. Called by `decide.ts`, and by the pipeline, which
 * can ask a classifier too.
 */
import { decodeText } from './json-scanner.ts'
import type { ClientText, DecodedRequest } from './surface.ts'

/** Of the client's text so much is put to the domain rule, from its beginning: UTF-16 units. */
const DOMAIN_REACH = 16_384

/**
 * The client's last user message; of `/v1/completions`, all prompts. Empty where there is none: such a request is in no
 * domain.
 * @throws BallastError `ballast_malformed_body` when the text holds an escape that does not exist.
 */
export function domainText(decoded: DecodedRequest, body: Buffer): string {
  const texts = lastUserTexts(decoded.texts()).map(({ spot }) => decodeText(body, spot))
  return texts.join('\n').slice(0, DOMAIN_REACH)
}

function lastUserTexts(texts: readonly ClientText[]): ClientText[] {
  const last = texts.findLast(({ role }) => role === 'user')
  return last === undefined
    ? []
    : texts.filter(({ role, message }) => role === 'user' && message === last.message)
}
