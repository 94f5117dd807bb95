/**
 * Which targets are served, and as what. A path that an upstream could take for another one than ballast does is refused:
 * else another spelling of `/chat/completions` would go round its injection, or `..` leave the upstream's base URL.
 * Called by the data plane.
 */
import { BallastError } from '../domain/errors.ts'
import { BASE, SURFACES, type Surface } from '../policy/surfaces.ts'

export interface Target {
  /** Below `/v1`, query included, as the client spelled it. */
  readonly path: string
  /** What is injected there; null where the request passes as it is. */
  readonly surface: Surface | null
}

/** What in a path gives reason to look closer than at the path alone. */
const UNUSUAL = /[%\\;#A-Z]|\/\/|\/\.|\/$/
const ABSOLUTE = /^https?:\/\/[^/?#]*/i

/**
 * @param url the request target: a path, or a whole URL (RFC 9112 section 3.2.2).
 * @throws BallastError `ballast_unknown_path`.
 */
export function readTarget(method: string, url: string): Target {
  const target = url.startsWith('/') ? url : url.replace(ABSOLUTE, '')
  const query = target.indexOf('?')
  const path = query === -1 ? target : target.slice(0, query)
  if (!path.startsWith(`${BASE}/`)) throw unknownPath(`all that is stands below ${BASE}/`)
  const below = path.slice(BASE.length)
  const surface = method === 'POST' ? (SURFACES.get(below) ?? null) : null
  if (surface === null && UNUSUAL.test(below)) requireUnambiguous(method, below)
  return { path: target.slice(BASE.length), surface }
}

/** What the authority of an absolute target says, which stands for the `host` header then. */
export function authorityOf(url: string): string | null {
  return ABSOLUTE.exec(url)?.[0].replace(/^https?:\/\//i, '') ?? null
}

function requireUnambiguous(method: string, path: string): void {
  const plain = normalize(path)
  if (/(^|\/)\.{1,2}(\/|$)/.test(plain)) throw unknownPath('it climbs out of where it stands')
  if (/%5c|\\/i.test(path)) throw unknownPath('it holds a backslash')
  const meant = `/${plain.split('/').filter(Boolean).join('/')}`.toLowerCase()
  if (method === 'POST' && SURFACES.has(meant)) throw unknownPath(`spell it ${BASE}${meant}`)
}

/** As the most generous of servers might read it: decoded, without parameters of segments and without a fragment. */
function normalize(path: string): string {
  const [bare] = path.split('#', 1) as [string]
  const decoded = bare.replace(/%([0-7][0-9a-f])/gi, (_escape, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  return decoded
    .replaceAll('\\', '/')
    .split('/')
    .map((segment) => segment.split(';', 1)[0])
    .join('/')
}

function unknownPath(why: string): BallastError {
  return new BallastError('ballast_unknown_path', `This path is not served: ${why}.`, { source: 'client' })
}
