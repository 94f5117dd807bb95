/** What the schema cannot see of experiments: arms that compare nothing, units that cannot be. Called by `references.ts`. */
import { isDeepStrictEqual } from 'node:util'
import { DEFAULT_UNIT, RESERVED_NAMES } from '../domain/experiment.ts'
import { didYouMean } from './near.ts'
import { checkRules } from './references-rules.ts'
import type { Path, YamlSource } from './source.ts'

/** A mapping as the file has it, before the schema has seen it. */
export type Raw = Record<string, unknown>

export const mapping = (value: unknown): Raw =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Raw) : {}
export const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])

export const NO_SAMPLE =
  'judges nothing without "sample": say which share of the answers to judge, from 0 to 1'

/** Each notes a problem where a name leads nowhere. */
interface References {
  readonly policy: (path: Path, name: unknown) => void
  readonly check: (path: Path, name: unknown) => void
}

export function checkExperiment(source: YamlSource, name: string, experiment: Raw, refer: References): void {
  const at = (...path: PropertyKey[]): Path => ['experiments', name, ...path]
  if (RESERVED_NAMES.includes(name)) {
    source.reportKey(['experiments'], name, `"${name}" is a word of ballast's own; choose another name`)
  }
  checkUnit(source, at('unit'), list(experiment.unit))
  const arms = mapping(experiment.arms)
  refer.check(at('check'), experiment.check)
  for (const [arm, settings] of Object.entries(arms)) {
    refer.policy(at('arms', arm, 'policy'), mapping(settings).policy)
  }
  const settings = Object.values(arms).map(mapping)
  if (settings.length === 0) {
    if (experiment.arms !== undefined)
      source.report(at('arms'), 'is empty: an experiment has at least one arm')
  } else {
    if (settings.every(({ weight }) => weight === 0)) source.report(at('arms'), 'all weights are 0')
    if (settings.every(({ policy }) => policy !== undefined) && experiment.without_control !== true) {
      source.report(
        at('arms'),
        'no arm injects nothing, so there is nothing to compare with; add `control: {weight: 1}`, or say `without_control: true`',
      )
    }
  }
  if (experiment.sample !== undefined && experiment.check === undefined)
    source.report(at('sample'), 'says how much to judge, but there is no "check" to judge by')
  if (experiment.check !== undefined && experiment.sample === undefined) source.report(at('check'), NO_SAMPLE)
  checkRules(source, at(), experiment)
  for (const arm of Object.keys(mapping(experiment.sample))) {
    if (Object.hasOwn(arms, arm)) continue
    const hint = didYouMean(arm, Object.keys(arms))
    source.reportKey(at('sample'), arm, `arm "${arm}" does not exist${hint}`)
  }
}

function checkUnit(source: YamlSource, path: Path, sources: readonly unknown[]): void {
  for (const [index, it] of sources.entries()) {
    if (sources.indexOf(it) < index) source.report([...path, index], 'stands twice')
    if (it === 'request' && index < sources.length - 1) {
      source.report([...path, index], 'is always present, so nothing behind it is looked for; put it last')
    }
  }
}

/** @param excluding the route's experiments that exclude each other, with weights; empty where it has none. */
export function checkExclusive(source: YamlSource, path: Path, excluding: Raw, experiments: Raw): void {
  const names = Object.keys(excluding)
  for (const name of names) {
    if (Object.hasOwn(experiments, name)) continue
    const there = Object.keys(experiments)
    const list = there.length === 0 ? '; there are none' : `; there are ${there.slice(0, 8).join(', ')}`
    source.reportKey(path, name, `experiment "${name}" does not exist${didYouMean(name, there) || list}`)
  }
  if (names.length > 0 && names.every((name) => excluding[name] === 0))
    source.report(path, 'all weights are 0')
  const unitOf = (name: string) => mapping(experiments[name]).unit ?? DEFAULT_UNIT
  const known = names.filter((name) => Object.hasOwn(experiments, name))
  for (const name of known) {
    if (isDeepStrictEqual(unitOf(name), unitOf(known[0]!))) continue
    const message = `experiment "${name}" has another "unit" than "${known[0]}"; only by the same unit they can exclude each other`
    source.reportKey(path, name, message)
  }
}
