/** Read by whatever composes a configuration's upstreams. */
import type { Config } from './parse.ts'

/** The upstream of requests that no route decides: as configured, else where the route for every model leads. */
export function defaultUpstream({
  passthrough,
  routes,
  upstreams,
}: Pick<Config, 'passthrough' | 'routes' | 'upstreams'>): string {
  return passthrough ?? routes.find(({ model }) => model === '*')?.upstream ?? Object.keys(upstreams)[0]!
}
