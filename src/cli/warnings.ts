/**
 * What a configuration may say and probably does not mean. Nothing here keeps ballast from starting; what does is in
 * `config/references.ts`. Called by `ballast check`, which takes all its warnings from here.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Config } from '../config/load.ts'
import type { Path } from '../config/source.ts'
import { isLoopback } from '../config/values.ts'
import type { Rubric } from '../domain/check.ts'
import type { Route } from '../domain/experiment.ts'
import { CREDENTIALS } from '../domain/headers.ts'
import { compileHeaderRules, DEFAULT_HEADERS } from '../pipeline/headers.ts'
import { modelMatcher } from '../policy/compile.ts'

/** A warning and the value it is about, which `check` finds in the file. */
export interface Warning {
  readonly path: Path
  readonly message: string
}

type Finder = (config: Config) => readonly Warning[]

const FINDERS: readonly Finder[] = [
  unreachedRoutes,
  uselessArms,
  uselessShares,
  overlapping,
  unmeasured,
  unused,
  selfJudged,
  unreadable,
  exposed,
]

export function findWarnings(config: Config): Warning[] {
  return FINDERS.flatMap((find) => find(config))
}

/** The experiments that a route leads to, with their weights: one, or those that exclude each other. */
export function experimentsOf({
  experiment,
  experiments,
}: Pick<Route, 'experiment' | 'experiments'>): { readonly name: string; readonly weight: number }[] {
  const weights = experiments ?? (experiment === undefined ? {} : { [experiment]: 1 })
  return Object.entries(weights).map(([name, weight]) => ({ name, weight }))
}

/** The judge models that a rubric is put to; none where neither it nor a judge names any. */
export function modelsOf(
  { model, models }: Pick<Rubric, 'model' | 'models'>,
  judge: Config['judge'],
): readonly string[] {
  return models ?? (model === undefined ? (judge?.models ?? []) : [model])
}

/** No pattern can hold it, so only a `*` takes it. */
const ANY_RUN = '\0'

/**
 * Whether every model that `narrow` matches is matched by `broad` too: where `narrow` has a `*`, which stands for any
 * text, only a `*` of `broad` will do.
 */
export function covers(broad: string, narrow: string): boolean {
  return modelMatcher(broad)(narrow.replaceAll('*', ANY_RUN))
}

function unreachedRoutes({ routes }: Config): Warning[] {
  return routes.flatMap(({ model }, index) => {
    const earlier = routes.slice(0, index).find((route) => covers(route.model, model))
    if (earlier === undefined) return []
    const message = `is never reached: the earlier route "${earlier.model}" takes all its models; put this one before it`
    return [{ path: ['routes', index, 'model'], message }]
  })
}

function uselessArms({ experiments }: Config): Warning[] {
  return Object.entries(experiments).flatMap(([name, { arms }]) =>
    Object.entries(arms)
      .filter(([, { weight }]) => weight === 0)
      .map(([arm]) => ({
        path: ['experiments', name, 'arms', arm, 'weight'],
        message: 'is 0, so no unit comes into this arm',
      })),
  )
}

/** Experiments and units that nothing comes to, or everything. */
function uselessShares({ routes, experiments, holdout }: Config): Warning[] {
  const found: Warning[] = routes.flatMap((route, index) =>
    experimentsOf(route)
      .filter(({ weight }) => weight === 0)
      .map(({ name }) => ({
        path: ['routes', index, 'experiments', name],
        message: 'is 0, so no unit takes part in this experiment',
      })),
  )
  for (const [name, { ramp, arms, off }] of Object.entries(experiments)) {
    const shares = typeof ramp === 'number' ? [ramp] : Object.values(ramp)
    if (shares.every((share) => share === 0))
      found.push({ path: ['experiments', name, 'ramp'], message: 'is 0, so no unit is ever taken in' })
    const controls = Object.entries(arms).filter(([, { policy }]) => policy === undefined)
    const compared = Object.values(arms).some((arm) => arm.policy !== undefined && arm.off !== true)
    if (off === true || !compared || controls.length === 0) continue
    if (controls.some(([, arm]) => arm.off !== true)) continue
    const message = 'leaves nothing to compare with: no other arm injects nothing'
    found.push({ path: ['experiments', name, 'arms', controls[0]![0], 'off'], message })
  }
  if (holdout?.share === 1) {
    const message = 'is 1: every unit is kept out, so nothing is injected or measured'
    found.push({ path: ['holdout', 'share'], message })
  }
  return found
}

/** Routes on which experiments exclude each other in different ways: a unit may be in one here and in another there. */
function overlapping({ routes }: Config): Warning[] {
  const lists = routes.map((route) => experimentsOf(route).filter(({ weight }) => weight > 0))
  return lists.flatMap((list, index) => {
    const other = lists.slice(0, index).findIndex((earlier) => overlaps(earlier, list))
    if (other === -1) return []
    const key = routes[index]!.experiments === undefined ? 'experiment' : 'experiments'
    const message = `draws otherwise than the route "${routes[other]!.model}": a unit may take part in two experiments that exclude each other; give both routes the same list`
    return [{ path: ['routes', index, key], message }]
  })
}

type Weights = ReturnType<typeof experimentsOf>

function overlaps(one: Weights, other: Weights): boolean {
  if (one.length < 2 && other.length < 2) return false
  return !isDeepStrictEqual(one, other) && one.some(({ name }) => other.some((it) => it.name === name))
}

/** What is compared or checked, but never judged. */
function unmeasured({ experiments, routes }: Config): Warning[] {
  const found: Warning[] = []
  for (const [name, { arms, check, sample }] of Object.entries(experiments)) {
    const path = ['experiments', name]
    const used = Object.keys(arms).filter((arm) => arms[arm]!.weight > 0 && arms[arm]!.off !== true)
    const unsampled = used.filter((arm) => shareOf(sample, arm) === 0)
    if (check === undefined) {
      const message = 'is not measured: it has no "check" and no "sample", so there will be no rate'
      found.push({ path, message })
    } else if (unsampled.length === used.length && used.length > 0) {
      found.push({
        path: [...path, 'sample'],
        message: 'is 0: no answer is judged, so there will be no rate',
      })
    } else if (unsampled.length > 0) {
      const names = unsampled.map((arm) => `"${arm}"`).join(', ')
      const message = `leaves out ${names}: with no answer judged there is nothing to compare`
      found.push({ path: [...path, 'sample'], message })
    }
  }
  for (const [index, { check, sample, triggers }] of routes.entries()) {
    if (check !== undefined && sample === 0) {
      const judged = triggers === 'flag' ? 'only what is flagged' : 'no answer'
      const message = `is 0: ${judged} is judged, so there will be no rate`
      found.push({ path: ['routes', index, 'sample'], message })
    }
  }
  return found
}

function unused({ experiments, routes, upstreams, judge, passthrough }: Config): Warning[] {
  const led = new Set(routes.flatMap(experimentsOf).map(({ name }) => name))
  const called = new Set([
    ...routes.map(({ upstream }) => upstream),
    judge?.upstream,
    passthrough,
    ...Object.values(judge?.upstreams ?? {}),
  ])
  for (const name of [...called]) {
    for (const other of upstreams[name ?? '']?.fallback ?? []) called.add(other)
  }
  const missing = (
    kind: string,
    names: readonly string[],
    used: ReadonlySet<string | undefined>,
    why: string,
  ) => names.filter((name) => !used.has(name)).map((name) => ({ path: [kind, name], message: why }))
  return [
    ...missing('experiments', Object.keys(experiments), led, 'is not used: no route leads to it'),
    ...missing('upstreams', Object.keys(upstreams), called, 'is not used: nothing is sent to it'),
  ]
}

/** A judge of its own answers finds them good. */
function selfJudged({ routes, experiments, judge, checks, upstreams }: Config): Warning[] {
  if (judge === undefined) return []
  return routes.flatMap((route, index) => {
    const measured = [route, ...experimentsOf(route).map(({ name }) => experiments[name]!)]
    const rubrics = measured.flatMap(({ check, sample }) =>
      check === undefined || sample === undefined ? [] : (checks.get(check)?.rubrics ?? []),
    )
    const models = new Set(rubrics.flatMap((rubric) => modelsOf(rubric, judge)))
    const isSameUpstream = (model: string) => {
      const judging = judge.upstreams[model] ?? judge.upstream
      return upstreams[route.upstream]?.base_url === upstreams[judging]?.base_url
    }
    // Elsewhere, a model that only fits the pattern is likely to be another one.
    const own = [...models].find(
      (model) => model === route.model || (isSameUpstream(model) && firstRoute(routes, model) === index),
    )
    if (own === undefined) return []
    const message = `takes "${own}", which is also the judge: it would judge its own answers`
    return [{ path: ['routes', index, 'model'], message }]
  })
}

function firstRoute(routes: Config['routes'], model: string): number {
  return routes.findIndex((route) => modelMatcher(route.model)(model))
}

/** By this header an upstream reads a body as JSON. */
const CONTENT_TYPE = 'content-type'

function unreadable({ upstreams }: Config): Warning[] {
  return Object.entries(upstreams).flatMap(([name, { headers }]) => {
    const rules = compileHeaderRules({ ...headers, apiKey: null })
    if (rules.request([CONTENT_TYPE, ''], false).some((it) => it.toLowerCase() === CONTENT_TYPE)) return []
    const message = `leaves out "${CONTENT_TYPE}", by which an upstream reads a body as JSON; add it, or "${DEFAULT_HEADERS}"`
    return [{ path: ['upstreams', name, 'headers', 'request'], message }]
  })
}

/** Keys and budgets that others can read or use up. */
function exposed({ clients, listen, upstreams }: Config): Warning[] {
  const found: Warning[] = []
  if (clients === 'open' && !isLoopback(listen)) {
    const message = `is "open" on an address beyond this machine: whoever reaches it spends the upstreams' keys`
    found.push({ path: ['clients'], message })
  }
  for (const [name, { base_url, api_key, headers }] of Object.entries(upstreams)) {
    const { protocol, hostname } = new URL(base_url)
    const host = hostname.replace(/^\[|\]$/g, '')
    const key = api_key ?? Object.keys(headers.set).find((it) => CREDENTIALS.includes(it.toLowerCase()))
    if (protocol === 'http:' && key !== undefined && !isLoopback({ host, port: 0 })) {
      const message = 'is not encrypted (http), and keys are sent over it in clear text; use https'
      found.push({ path: ['upstreams', name, 'base_url'], message })
    }
  }
  return found
}

function shareOf(sample: number | Readonly<Record<string, number>> | undefined, arm: string): number {
  return typeof sample === 'object' ? (sample[arm] ?? 0) : (sample ?? 0)
}
