/** Header names with a meaning of their own (RFC 9110 section 7.6.1; SPEC section 4). Read by configuration and pipeline. */

/** Of one connection only, both ways. */
export const HOP_BY_HOP: readonly string[] = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'transfer-encoding',
  'upgrade',
]

/** What the client authorizes itself with: sent on only with `api_key: passthrough`. */
export const CREDENTIALS: readonly string[] = ['authorization', 'api-key', 'x-api-key']

/** Of the client's other headers, those no upstream ever sees: of the connection, of ballast, or set anew. */
export const NEVER_SENT: readonly string[] = [
  ...HOP_BY_HOP,
  'trailer',
  'host',
  'content-length',
  'expect',
  'cookie',
  'x-ballast-*',
]

/** @param entries lower-case names; a `*` at the end stands for any rest. */
export function nameMatcher(entries: readonly string[]): (name: string) => boolean {
  const exact = new Set(entries.filter((entry) => !entry.endsWith('*')))
  const prefixes = entries.filter((entry) => entry.endsWith('*')).map((entry) => entry.slice(0, -1))
  return (name) => exact.has(name) || prefixes.some((prefix) => name.startsWith(prefix))
}
