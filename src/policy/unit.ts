/** What of a request is assigned (SPEC section 6). Called by `decide.ts`. */
import type { Unit, UnitSource } from '../domain/experiment.ts'
import type { RawHeaders } from '../domain/ports.ts'
import { findText } from './raw-headers.ts'
import type { DecodedRequest } from './surface.ts'

/** What a unit can be found in besides the body. */
export interface UnitCarrier {
  readonly id: string
  readonly headers: RawHeaders
  /** Name of the authenticated client; null where the configuration names none. */
  readonly client: string | null
}

/** The first source that is present and not empty; the request itself where none is. */
export function findUnit(
  sources: readonly UnitSource[],
  decoded: DecodedRequest,
  carrier: UnitCarrier,
): Unit {
  for (const source of sources) {
    const value = textAt(source, decoded, carrier)
    if (value !== null && value !== '') return { source, value }
  }
  return { source: 'request', value: carrier.id }
}

function textAt(source: UnitSource, decoded: DecodedRequest, carrier: UnitCarrier): string | null {
  switch (source) {
    case 'header':
      return findText(carrier.headers, 'x-ballast-unit')
    case 'session':
      return findText(carrier.headers, 'x-ballast-session')
    case 'user':
      return decoded.user
    case 'safety_identifier':
      return decoded.safetyIdentifier()
    case 'client':
      return carrier.client
    case 'request':
      return carrier.id
    default:
      return decoded.metadata(source.slice('metadata.'.length))
  }
}
