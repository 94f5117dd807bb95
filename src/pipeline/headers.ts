/**
 * Which headers pass, both ways (SPEC section 4; RFC 9110 section 7.6.1): allow-lists, so that what nobody thought of
 * stays here. Compiled per upstream by `node.ts`, asked per request by its adapter.
 */
import { CREDENTIALS, HOP_BY_HOP, NEVER_SENT, nameMatcher } from '../domain/headers.ts'
import type { HeaderRules, RawHeaders } from '../domain/ports.ts'
import { findHeader } from '../policy/raw-headers.ts'

/** Stands in a list for ballast's own list of the direction. */
export const DEFAULT_HEADERS = 'default'

/** A `*` at the end stands for any rest. */
const DEFAULT_REQUEST = [
  'accept',
  'accept-*',
  'access-control-*',
  'anthropic-*',
  'baggage',
  'cache-control',
  'content-*',
  'http-referer',
  'idempotency-key',
  'if-*',
  'openai-*',
  'origin',
  'pragma',
  'prefer',
  'range',
  'traceparent',
  'tracestate',
  'user-agent',
  'x-*',
]
const DEFAULT_RESPONSE = [
  'accept-*',
  'access-control-*',
  'age',
  'allow',
  'anthropic-*',
  'cache-control',
  'cf-ray',
  'content-*',
  'date',
  'deprecation',
  'etag',
  'expires',
  'last-modified',
  'link',
  'location',
  'openai-*',
  'ratelimit-*',
  'server',
  'server-timing',
  'sunset',
  'trace*',
  'vary',
  'via',
  'warning',
  'www-authenticate',
  'x-*',
]
/**
 * They tell who the client is and what it may do elsewhere, or what stands between it and ballast; passed only where a list
 * names them.
 */
const ABOUT_THE_CLIENT = [
  'x-access-token',
  'x-amz-*',
  'x-api-*',
  'x-auth-*',
  'x-client-ip',
  'x-cluster-client-ip',
  'x-forwarded-*',
  'x-goog-*',
  'x-host',
  'x-http-method*',
  'x-original-*',
  'x-real-ip',
  'x-rewrite-*',
]

const NEVER_REQUEST = [...NEVER_SENT, ...CREDENTIALS]
const NEVER_RESPONSE = [...HOP_BY_HOP, 'x-ballast-*']
/** Without these an answer could not be read, or its waiting time not be honoured. */
const ALWAYS_RESPONSE = ['content-*', 'retry-after', 'retry-after-ms', 'trailer']

/** Names a client makes up must not fill the memory. */
const KNOWN_NAMES = 1_000
const LONGEST_KNOWN_NAME = 64

export interface HeaderSettings {
  /** Lower-case names or prefixes with a `*`, or `default`. */
  readonly request: readonly string[]
  readonly response: readonly string[]
  /** Sent with every request, instead of the client's of the same name. */
  readonly set: Readonly<Record<string, string>>
  /** Sent as `authorization: Bearer …`; `passthrough` sends the client's own credentials, null none. */
  readonly apiKey: string | null
}

export function compileHeaderRules({ request, response, set, apiKey }: HeaderSettings): HeaderRules {
  const passthrough = apiKey === 'passthrough'
  const own = Object.entries(set).flat()
  if (apiKey !== null && !passthrough) own.push('authorization', `Bearer ${apiKey}`)
  const replaced = nameMatcher(Object.keys(set).map((name) => name.toLowerCase()))
  const credentials = nameMatcher(passthrough ? CREDENTIALS : [])
  const listed = allowList(request, DEFAULT_REQUEST, NEVER_REQUEST)
  const requestPasses = remember((name) => !replaced(name) && (credentials(name) || listed(name)))
  const answerListed = allowList(response, DEFAULT_RESPONSE, NEVER_RESPONSE)
  const always = nameMatcher(ALWAYS_RESPONSE)
  const responsePasses = remember((name) => always(name) || answerListed(name))
  return {
    request(headers, streamed) {
      const passed = filter(headers, requestPasses)
      // A stream is announced as the client announced it; of a whole body the length is known.
      const length = streamed ? findHeader(headers, 'content-length') : null
      if (length !== null) passed.push('content-length', length)
      if (own.length > 0) passed.push(...own)
      return passed
    },
    response: (headers) => filter(headers, responsePasses),
    trailers: (headers) => filter(headers, (name) => responsePasses(name) && !framesMessage(name)),
  }
}

/** Whether a list lets the header pass; `never` wins. What says who the client is must stand there itself. */
function allowList(list: readonly string[], defaults: readonly string[], never: readonly string[]) {
  const named = nameMatcher(list.filter((entry) => entry !== DEFAULT_HEADERS))
  const usual = nameMatcher(list.includes(DEFAULT_HEADERS) ? defaults : [])
  const [stopped, private_] = [nameMatcher(never), nameMatcher(ABOUT_THE_CLIENT)]
  // Some servers take `_` for `-`: then a name could pass for another one.
  return (name: string) =>
    !stopped(name.replaceAll('_', '-')) &&
    (named(name) || (usual(name) && !name.includes('_') && !private_(name)))
}

/** How a message is framed and read must be known before its body (RFC 9110 section 6.5.1). */
const framesMessage = remember(
  nameMatcher(['content-length', 'content-encoding', 'content-type', 'content-range', 'trailer']),
)

/** Asks once for each spelling of a name. */
function remember(passes: (name: string) => boolean): (name: string) => boolean {
  const known = new Map<string, boolean>()
  return (spelled) => {
    const told = known.get(spelled)
    if (told !== undefined) return told
    const answer = passes(spelled.toLowerCase())
    if (spelled.length > LONGEST_KNOWN_NAME) return answer
    if (known.size >= KNOWN_NAMES) known.clear()
    known.set(spelled, answer)
    return answer
  }
}

/** @param name lower case. */
export function withoutHeader(headers: RawHeaders, name: string): string[] {
  return filter(headers, (spelled) => spelled.toLowerCase() !== name)
}

/** A name as a header may hold it: percent-encoded where it is not plain ASCII. */
export function headerValue(text: string): string {
  return /^[\x20-\x7e]*$/.test(text) ? text : encodeURIComponent(text)
}

function filter(headers: RawHeaders, passes: (spelled: string) => boolean): string[] {
  const named = namedByConnection(headers)
  const result: string[] = []
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!
    if (passes(name) && (named === null || !named.has(name.toLowerCase())))
      result.push(name, headers[index + 1]!)
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
