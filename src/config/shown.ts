/** The running configuration as it may be served: no secret is in it. Used by `node/control.ts`. */
import { shownStore } from '../domain/store-address.ts'
import type { Config } from './load.ts'
import { formatAddress } from './values.ts'

const HIDDEN = '(hidden)'

/**
 * @returns the values with their defaults. Keys and tokens are hidden; so is every text that holds one of them, wherever
 *   the environment put it.
 */
export function shownConfig(config: Config): Record<string, unknown> {
  const {
    policies,
    checks,
    folders,
    place: _,
    hash: __,
    admin,
    clients,
    upstreams,
    unit_key,
    ...rest
  } = config
  const shown = {
    ...rest,
    listen: formatAddress(config.listen),
    admin: { listen: formatAddress(admin.listen), ...hiddenAs('token', admin.token) },
    store: shownStore(config.store),
    policies: folders,
    loaded: { policies: policies.size, checks: checks.size },
    ...(clients !== undefined && {
      clients: Array.isArray(clients) ? clients.map((client) => ({ ...client, key: HIDDEN })) : clients,
    }),
    upstreams: Object.fromEntries(
      Object.entries(upstreams).map(([name, { api_key, headers, ...upstream }]) => [
        name,
        {
          ...upstream,
          ...(api_key === 'passthrough' ? { api_key } : hiddenAs('api_key', api_key)),
          headers: { ...headers, set: mapValues(headers.set, () => HIDDEN) },
        },
      ]),
    ),
    ...hiddenAs('unit_key', unit_key),
  }
  return withoutSecrets(shown, secretsOf(config)) as Record<string, unknown>
}

function hiddenAs(name: string, secret: string | undefined): Record<string, string> {
  return secret === undefined ? {} : { [name]: HIDDEN }
}

/** Shorter ones would hide half of the configuration. */
const SHORTEST = 6

function secretsOf({ admin, clients, upstreams, unit_key }: Config): string[] {
  const places = Object.values(upstreams)
  return [
    admin.token,
    unit_key,
    ...(Array.isArray(clients) ? clients.map(({ key }) => key) : []),
    ...places.map(({ api_key }) => (api_key === 'passthrough' ? undefined : api_key)),
    ...places.flatMap(({ headers }) => Object.values(headers.set)),
  ].filter((it): it is string => it !== undefined && it.length >= SHORTEST)
}

function withoutSecrets(value: unknown, secrets: readonly string[]): unknown {
  if (typeof value === 'string') return secrets.some((it) => value.includes(it)) ? HIDDEN : value
  if (Array.isArray(value)) return value.map((it) => withoutSecrets(it, secrets))
  if (typeof value !== 'object' || value === null) return value
  return mapValues(value, (it) => withoutSecrets(it, secrets))
}

function mapValues(record: object, change: (value: unknown) => unknown): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]))
}
