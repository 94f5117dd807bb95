/** The endpoints whose requests are injected, by their path below `/v1`. Used by the data planes and the pipeline. */
import { decodeChat } from './chat.ts'
import { decodeCompletions } from './completions.ts'
import { decodeResponses } from './responses.ts'
import type { DecodedRequest, SurfaceName } from './surface.ts'

/** What is served stands below it. */
export const BASE = '/v1'

export interface Surface {
  readonly name: SurfaceName
  /** @throws BallastError `ballast_malformed_body`. */
  readonly decode: (body: Buffer) => DecodedRequest
}

export const SURFACES: ReadonlyMap<string, Surface> = new Map([
  ['/chat/completions', { name: 'chat', decode: decodeChat }],
  ['/responses', { name: 'responses', decode: decodeResponses }],
  ['/completions', { name: 'completions', decode: decodeCompletions }],
])

const BY_NAME = new Map([...SURFACES.values()].map((surface) => [surface.name, surface]))

export function surfaceNamed(name: SurfaceName): Surface {
  return BY_NAME.get(name)!
}
