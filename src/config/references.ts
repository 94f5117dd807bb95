/**
 * What the schema cannot see: names that lead nowhere, settings that contradict each other. Works on the raw values,
 * so that these problems are reported together with those of the schema. Called by `load.ts`.
 */
import type { Catalog } from './catalog.ts'
import { type ConfigValues, isLoopback } from './schema.ts'
import type { Path, YamlSource } from './source.ts'
import { checkTraining } from './training.ts'

type Raw = Record<string, unknown>

const NO_SAMPLE = 'judges nothing without "sample": say which share of the answers to judge, from 0 to 1'

const mapping = (value: unknown): Raw =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Raw) : {}
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])

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

  const refer = (path: Path, name: unknown, known: Iterable<string>, what: string) => {
    if (typeof name !== 'string') return
    const names = [...known]
    if (names.includes(name)) return
    const hint =
      names.length === 0
        ? 'there are none'
        : `there are ${names.slice(0, 8).join(', ')}${names.length > 8 ? ', …' : ''}`
    source.report(path, `${what} "${name}" does not exist; ${hint}`)
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
    refer(at('upstream'), route.upstream, Object.keys(upstreams), 'upstream')
    refer(at('experiment'), route.experiment, Object.keys(experiments), 'experiment')
    referPolicy(at('policy'), route.policy)
    referCheck(at('check'), route.check)
    if (patterns.has(route.model))
      source.report(at('model'), 'is never reached: an earlier route has the same model')
    else if (patterns.has('*'))
      source.report(at('model'), 'is never reached: an earlier route takes every model')
    patterns.add(route.model)
    for (const key of ['policy', 'check', 'sample']) {
      if (route.experiment !== undefined && route[key] !== undefined) {
        source.report(at(key), `stands beside "experiment", which has its own; move it there`)
      }
    }
    if (route.sample !== undefined && route.check === undefined && route.experiment === undefined) {
      source.report(at('sample'), 'says how much to judge, but there is no "check" to judge by')
    }
    if (route.check !== undefined && route.sample === undefined) source.report(at('check'), NO_SAMPLE)
    judged ||= Number(route.sample) > 0
    checkTraining(source, ['routes', index], route, upstreams, refer)
    referPolicy(at('trained_with'), route.trained_with)
    // What a guard flags is judged whatever the share.
    const measured = route.check ?? mapping(experiments[String(route.experiment)]).check
    judged ||= route.triggers === 'flag' && measured !== undefined
  }

  for (const [name, value] of Object.entries(experiments)) {
    const experiment = mapping(value)
    const arms = mapping(experiment.arms)
    referCheck(['experiments', name, 'check'], experiment.check)
    for (const [arm, settings] of Object.entries(arms)) {
      referPolicy(['experiments', name, 'arms', arm, 'policy'], mapping(settings).policy)
    }
    const settings = Object.values(arms).map(mapping)
    if (settings.length === 0) {
      if (experiment.arms !== undefined)
        source.report(['experiments', name, 'arms'], 'is empty: an experiment has at least one arm')
    } else {
      if (settings.every(({ weight }) => weight === 0))
        source.report(['experiments', name, 'arms'], 'all weights are 0')
      if (settings.every(({ policy }) => policy !== undefined) && experiment.without_control !== true) {
        source.report(
          ['experiments', name, 'arms'],
          'no arm injects nothing, so there is nothing to compare with; add `control: {weight: 1}`, or say `without_control: true`',
        )
      }
    }
    if (experiment.sample !== undefined && experiment.check === undefined) {
      source.report(
        ['experiments', name, 'sample'],
        'says how much to judge, but there is no "check" to judge by',
      )
    }
    if (experiment.check !== undefined && experiment.sample === undefined) {
      source.report(['experiments', name, 'check'], NO_SAMPLE)
    }
    const rates = mapping(experiment.sample)
    for (const arm of Object.keys(rates)) {
      if (!(arm in arms))
        source.reportKey(['experiments', name, 'sample'], arm, `arm "${arm}" does not exist`)
    }
    judged ||= Number(experiment.sample) > 0 || Object.values(rates).some((rate) => Number(rate) > 0)
  }

  refer(['passthrough'], raw.passthrough, Object.keys(upstreams), 'upstream')
  const judge = mapping(raw.judge)
  refer(['judge', 'upstream'], judge.upstream, Object.keys(upstreams), 'upstream')
  if (judged && raw.judge === undefined)
    source.report([], '"judge" is missing: something is sampled, and nobody would judge it')
  if (mapping(upstreams[String(judge.upstream)]).api_key === 'passthrough') {
    source.report(
      ['judge', 'upstream'],
      'has `api_key: passthrough`, but the judge has no client whose key it could pass',
    )
  }

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
    for (const [index, fallback] of list(mapping(upstream).fallback).entries()) {
      refer(['upstreams', name, 'fallback', index], fallback, Object.keys(upstreams), 'upstream')
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
