/**
 * Guards a ballast without keys: it listens on loopback only, but any web page in a browser on the same machine could
 * reach it, directly or by a name that was pointed at 127.0.0.1 (DNS rebinding).
 */
import { BallastError } from '../domain/errors.ts'

/** The last host that was found to be this machine. */
let lastLocalHost: string | undefined

/**
 * @throws BallastError `ballast_foreign_origin` when the request names another host than this machine, or comes from a
 *   page that does not.
 */
export function requireLocal(host: string | undefined, origin: string | undefined): void {
  // The host of the request before, mostly; to read it as a URL again would take 2 µs.
  if (origin === undefined && host !== undefined && host === lastLocalHost) return
  if (isLocal(`http://${host ?? 'localhost'}`) && (origin === undefined || isLocal(origin))) {
    lastLocalHost = host
    return
  }
  throw new BallastError(
    'ballast_foreign_origin',
    'Without keys, ballast answers only requests to localhost that no foreign web page makes; name `clients` (or, for the control plane, `admin.token`).',
    { source: 'client' },
  )
}

/**
 * For what changes something: a browser that is signed in sends its token along whichever page asks it to.
 * @throws BallastError `ballast_foreign_origin` when a page of another origin sends the request. Programs name no origin.
 */
export function requireSameOrigin(
  host: string | undefined,
  origin: string | undefined,
  fetchSite: string | undefined,
): void {
  // Browsers set it themselves, but only for pages that came by TLS or from this machine.
  if (fetchSite !== undefined ? fetchSite === 'same-origin' : origin === undefined || isOf(origin, host))
    return
  throw new BallastError('ballast_foreign_origin', 'Only the page of this ballast may do that.', {
    source: 'client',
  })
}

function isOf(origin: string, host: string | undefined): boolean {
  return URL.canParse(origin) && new URL(origin).host === host?.toLowerCase()
}

function isLocal(url: string): boolean {
  if (!URL.canParse(url)) return false
  const { hostname } = new URL(url)
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}
