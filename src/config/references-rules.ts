/** What the schema cannot see of `rollback` and `promote`: arms that are none, rules that can never act. Called by `references-experiments.ts`. */
import { didYouMean } from './near.ts'
import type { Path, YamlSource } from './source.ts'

type Raw = Record<string, unknown>

const mapping = (value: unknown): Raw =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Raw) : {}

const RULES = [
  ['rollback', 'worse_than', 'rolled back'],
  ['promote', 'better_than', 'promoted'],
] as const

/** @param at where the experiment stands. */
export function checkRules(source: YamlSource, at: Path, experiment: Raw): void {
  const arms = mapping(experiment.arms)
  for (const [rule, reference, acted] of RULES) {
    if (mapping(experiment[rule]) !== experiment[rule]) continue
    const settings = mapping(experiment[rule])
    if (experiment.check === undefined)
      source.report([...at, rule], 'acts on what a check finds, and there is no "check" to judge by')
    if (Object.keys(arms).length === 0) continue
    const against = settings[reference] ?? baselineOf(arms)
    if (typeof against !== 'string') continue
    if (!Object.hasOwn(arms, against)) {
      const names = Object.keys(arms)
      const hint = didYouMean(against, names) || `; there are ${names.join(', ')}`
      source.report([...at, rule, reference], `arm "${against}" does not exist${hint}`)
      continue
    }
    const injecting = Object.keys(arms).filter((arm) => mapping(arms[arm]).policy !== undefined)
    const others = injecting.filter((arm) => arm !== against)
    if (others.length > 0 || (settings.above !== undefined && injecting.length > 0)) continue
    const why =
      injecting.length === 0
        ? 'no arm injects anything'
        : `"${against}" is the only arm that injects anything, and an arm is not compared with itself; name the arm without a policy`
    source.report(
      settings[reference] === undefined ? [...at, rule] : [...at, rule, reference],
      `nothing could be ${acted}: ${why}`,
    )
  }
}

/** What `baselineOf` of the policies' rules chooses, of the raw values. */
function baselineOf(arms: Raw): string | undefined {
  const names = Object.keys(arms)
  return names.find((arm) => mapping(arms[arm]).policy === undefined) ?? names[0]
}
