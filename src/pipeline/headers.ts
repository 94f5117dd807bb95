/** Which headers pass, both ways (SPEC section 4; RFC 9110 section 7.6.1). Called per request by the pipeline. */
import type { RawHeaders } from '../domain/ports.ts'

/** Of one connection only, both ways. */
const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]

/** Not forwarded either: what the new request sets itself, and what is meant for ballast alone. */
const REQUEST_STOPS = new Set([
  ...HOP_BY_HOP,
  'host',
  'content-length',
  'expect',
  'cookie',
  'x-ballast-unit',
  'x-ballast-session',
])

/** Sent on only with `api_key: passthrough`. */
const CREDENTIALS = new Set(['authorization', 'api-key', 'x-api-key'])

const RESPONSE_STOPS = new Set(HOP_BY_HOP)

/** The client's headers for the upstream, without its credentials. */
export function requestHeaders(headers: RawHeaders): string[] {
  return filter(headers, (name) => !REQUEST_STOPS.has(name) && !CREDENTIALS.has(name))
}

/** What the client authorizes itself with. */
export function credentials(headers: RawHeaders): string[] {
  return filter(headers, (name) => CREDENTIALS.has(name))
}

/** The length of a body that is streamed on. */
export function bodyHeaders(headers: RawHeaders): string[] {
  return filter(headers, (name) => name === 'content-length')
}

/** The upstream's headers without those of the connection, and without another ballast's. */
export function responseHeaders(headers: RawHeaders): string[] {
  return filter(headers, (name) => !RESPONSE_STOPS.has(name) && !name.startsWith('x-ballast-'))
}

/** A name as a header may hold it: percent-encoded where it is not plain ASCII. */
export function headerValue(text: string): string {
  return /^[\x20-\x7e]*$/.test(text) ? text : encodeURIComponent(text)
}

function filter(headers: RawHeaders, passes: (name: string) => boolean): string[] {
  const named = namedByConnection(headers)
  const result: string[] = []
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!.toLowerCase()
    if (passes(name) && named?.has(name) !== true) result.push(headers[index]!, headers[index + 1]!)
  }
  return result
}

/** Headers that `connection` declares to be for this hop only; it may stand more than once. */
function namedByConnection(headers: RawHeaders): Set<string> | null {
  let named: Set<string> | null = null
  for (let index = 0; index < headers.length; index += 2) {
    if (headers[index]!.length !== 10 || headers[index]!.toLowerCase() !== 'connection') continue
    const value = headers[index + 1]!
    if (value === 'keep-alive' || value === 'close') continue
    named ??= new Set()
    for (const name of value.split(',')) named.add(name.trim().toLowerCase())
  }
  return named
}
