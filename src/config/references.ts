/**
 * What the schema cannot see: names that lead nowhere, settings that contradict each other. Works on the raw values,
 * so that these problems are reported together with those of the schema. Called by `load.ts`.
 */
import { CREDENTIALS, NEVER_SENT, nameMatcher } from '../domain/headers.ts'
import { isManifestPath } from '../domain/training-manifest.ts'
import type { Catalog } from './catalog-texts.ts'
import { didYouMean } from './near.ts'
import {
  checkExclusive,
  checkExperiment,
  list,
  mapping,
  NO_SAMPLE,
  type Raw,
} from './references-experiments.ts'
import type { ConfigValues } from './schema.ts'
import type { Path, YamlSource } from './source.ts'
import { checkTraining } from './training.ts'
import { isLoopback } from './values.ts'

/**
 * @param values the parsed configuration, undefined when the schema found problems.
 * @param foldersFound whether every folder of policies is there.
 */
export function checkReferences(
  source: YamlSource,
  values: ConfigValues | undefined,
  catalog: Catalog,
  foldersFound: boolean,
): void {
  const raw = mapping(source.value)
  const upstreams = mapping(raw.upstreams)
  const experiments = mapping(raw.experiments)
  // Where they are no mapping, what is missing from them follows from that.
  const isMapping = (value: unknown) => mapping(value) === value
  const referUpstream = (path: Path, name: unknown) =>
    isMapping(raw.upstreams) && refer(path, name, Object.keys(upstreams), 'upstream')

  const refer = (path: Path, name: unknown, known: Iterable<string>, what: string) => {
    if (typeof name !== 'string') return
    const names = [...known]
    if (names.includes(name)) return
    // Of many policies those of the same file are most likely meant.
    const file = name.slice(0, name.indexOf('/') + 1)
    names.sort((a, b) => Number(b.startsWith(file)) - Number(a.startsWith(file)))
    const there =
      names.length === 0
        ? '; there are none'
        : `; there are ${names.slice(0, 8).join(', ')}${names.length > 8 ? ', …' : ''}`
    source.report(path, `${what} "${name}" does not exist${didYouMean(name, names) || there}`)
  }
  // Where the catalog has problems of its own, what is missing from it follows from them.
  const catalogWhole = foldersFound && catalog.problems.length === 0
  const referPolicy = (path: Path, name: unknown) =>
    catalogWhole && refer(path, name, catalog.policies.keys(), 'policy')
  const referCheck = (path: Path, name: unknown) =>
    catalogWhole && refer(path, name, catalog.checks.keys(), 'check')

  const patterns = new Set<unknown>()
  let judged = false
  for (const [index, value] of list(raw.routes).entries()) {
    const route = mapping(value)
    const at = (key: string): Path => ['routes', index, key]
    referUpstream(at('upstream'), route.upstream)
    if (raw.experiments === undefined || isMapping(raw.experiments))
      refer(at('experiment'), route.experiment, Object.keys(experiments), 'experiment')
    referPolicy(at('policy'), route.policy)
    referCheck(at('check'), route.check)
    if (patterns.has(route.model))
      source.report(at('model'), 'is never reached: an earlier route has the same model')
    else if (patterns.has('*'))
      source.report(at('model'), 'is never reached: an earlier route takes every model')
    patterns.add(route.model)
    const experimental = ['experiment', 'experiments'].filter((key) => route[key] !== undefined)
    for (const key of ['policy', 'check', 'sample']) {
      if (experimental.length > 0 && route[key] !== undefined) {
        source.report(at(key), `stands beside "${experimental[0]}", which has its own; move it there`)
      }
    }
    if (experimental.length === 2)
      source.report(at('experiments'), 'stands beside "experiment"; a route has one of them')
    checkExclusive(source, at('experiments'), mapping(route.experiments), experiments)
    if (route.sample !== undefined && route.check === undefined && experimental.length === 0) {
      source.report(at('sample'), 'says how much to judge, but there is no "check" to judge by')
    }
    // What is flagged is judged whatever the share.
    if (route.check !== undefined && route.sample === undefined && route.triggers !== 'flag')
      source.report(at('check'), NO_SAMPLE)
    judged ||= Number(route.sample) > 0
    checkTraining(source, ['routes', index], route, upstreams, refer)
    if (typeof route.trained_with !== 'string' || !isManifestPath(route.trained_with))
      referPolicy(at('trained_with'), route.trained_with)
    // What a guard flags is judged whatever the share.
    const named = [String(route.experiment), ...Object.keys(mapping(route.experiments))]
    const checks = [route.check, ...named.map((name) => mapping(experiments[name]).check)]
    judged ||= route.triggers === 'flag' && checks.some((check) => check !== undefined)
  }

  for (const [name, value] of Object.entries(experiments)) {
    const experiment = mapping(value)
    checkExperiment(source, name, experiment, { policy: referPolicy, check: referCheck })
    judged ||= [experiment.sample, ...Object.values(mapping(experiment.sample))].some((it) => Number(it) > 0)
  }

  referUpstream(['passthrough'], raw.passthrough)
  const judge = mapping(raw.judge)
  referUpstream(['judge', 'upstream'], judge.upstream)
  if (judged && raw.judge === undefined)
    source.report([], '"judge" is missing: something is sampled, and nobody would judge it')
  referJudgeUpstreams(source, catalogWhole ? catalog : null)

  const keys = new Map<unknown, number>()
  for (const [index, value] of list(raw.clients).entries()) {
    const { key, name } = mapping(value)
    if (keys.has(key))
      source.report(['clients', index, 'key'], `is also the key of client ${keys.get(key)! + 1} of the list`)
    if (list(raw.clients).findIndex((other) => mapping(other).name === name) < index) {
      source.report(['clients', index, 'name'], 'stands twice')
    }
    keys.set(key, index)
  }
  for (const [name, upstream] of Object.entries(upstreams)) {
    checkHeaders(source, ['upstreams', name], mapping(upstream))
    for (const [index, fallback] of list(mapping(upstream).fallback).entries()) {
      referUpstream(['upstreams', name, 'fallback', index], fallback)
      if (fallback === name) source.report(['upstreams', name, 'fallback', index], 'is the upstream itself')
    }
    if (mapping(upstream).api_key === 'passthrough' && list(raw.clients).length > 0) {
      source.report(
        ['upstreams', name, 'api_key'],
        "would hand the clients' ballast keys to the upstream; use a key of its own",
      )
    }
  }

  if (values === undefined) return
  if (values.clients === undefined && !isLoopback(values.listen)) {
    source.report(
      ['listen'],
      'is reachable from other machines, but "clients" is missing; name them, or write `clients: open`',
    )
  }
  if (values.admin.token === undefined && !isLoopback(values.admin.listen)) {
    source.report(['admin', 'listen'], 'is reachable from other machines, but "admin.token" is missing')
  }
}

/** @param catalog null where it has problems of its own. */
function referJudgeUpstreams(source: YamlSource, catalog: Catalog | null): void {
  const raw = mapping(source.value)
  const judge = mapping(raw.judge)
  const upstreams = mapping(raw.upstreams)
  const places: [Path, unknown][] = [[['judge', 'upstream'], judge.upstream]]
  const asked = new Set([judge.model, ...list(judge.models)])
  for (const { rubrics } of catalog?.checks.values() ?? []) {
    for (const { model, models = [] } of rubrics) for (const it of [model, ...models]) asked.add(it)
  }
  for (const [model, upstream] of Object.entries(mapping(judge.upstreams))) {
    const at = ['judge', 'upstreams', model]
    places.push([at, upstream])
    if (typeof upstream === 'string' && !Object.hasOwn(upstreams, upstream))
      source.report(at, `upstream "${upstream}" does not exist`)
  }
  for (const key of ['upstreams', 'budgets']) {
    for (const model of Object.keys(mapping(judge[key]))) {
      if (catalog !== null && !asked.has(model))
        source.reportKey(['judge', key], model, `no judge and no rubric is called "${model}"`)
    }
  }
  for (const [at, name] of places) {
    if (mapping(upstreams[String(name)]).api_key === 'passthrough') {
      source.report(at, 'has `api_key: passthrough`, but the judge has no client whose key it could pass')
    }
  }
}

const neverSent = nameMatcher(NEVER_SENT)
const isCredential = nameMatcher(CREDENTIALS)

function checkHeaders(source: YamlSource, at: Path, upstream: Raw): void {
  const headers = mapping(upstream.headers)
  for (const [index, value] of list(headers.request).entries()) {
    const name = String(value).toLowerCase()
    const path = [...at, 'headers', 'request', index]
    if (isCredential(name))
      source.report(path, 'authorizes the client; it passes only with `api_key: passthrough`')
    else if (neverSent(name)) source.report(path, 'never passes: it is for this connection or for ballast')
  }
  const seen = new Set<string>()
  for (const key of Object.keys(mapping(headers.set))) {
    const [name, path] = [key.toLowerCase(), [...at, 'headers', 'set']]
    if (neverSent(name)) source.reportKey(path, key, `"${key}" is set by ballast itself or never sent`)
    else if (name === 'authorization' && upstream.api_key !== undefined)
      source.reportKey(path, key, `"${key}" stands beside "api_key", which sends it too; keep one`)
    if (seen.has(name)) source.reportKey(path, key, `"${key}" stands twice, spelt differently`)
    seen.add(name)
  }
}
