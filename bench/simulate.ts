/**
 * `npm run simulate`: the long form of the simulations, as the Markdown tables of `docs/statistics.md`. Takes some
 * minutes. `--runs` and `--seed` change it.
 */
import { parseArgs } from 'node:util'
import type { FalseAlarms } from './looks.ts'
import { clustered, delayed, driftUnderRamp, equalArms, power, type Size, severalArms } from './simulation.ts'
import { STARVED, thinned } from './thinning.ts'

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '2000' }, seed: { type: 'string', default: '20261124' } },
})
const size: Size = { runs: wholeNumber('runs'), seed: wholeNumber('seed') }

function wholeNumber(name: 'runs' | 'seed'): number {
  const value = Number(values[name])
  if (Number.isSafeInteger(value) && value > 0) return value
  process.stderr.write(`--${name} must be a whole number from 1, got ${values[name]}\n`)
  process.exit(2)
}

const percent = (share: number | null) => (share === null ? '' : `${(100 * share).toFixed(1)}%`)
const fine = (share: number) => `${(100 * share).toFixed(2)}%`
const print = (line: string) => process.stdout.write(`${line}\n`)
const row = (...cells: readonly string[]) => print(`| ${cells.join(' | ')} |`)

function alarms(what: string, found: FalseAlarms): void {
  const { process: blocks, z, asymptotic, wilson, sequence } = found
  row(what, ...[blocks, z, asymptotic, sequence, wilson].map(percent))
}

const started = performance.now()
print(
  `${new Date().toISOString().slice(0, 10)}, seed ${size.seed}, ${size.runs} runs, Node ${process.versions.node}\n`,
)

row(
  'equal arms: ever calls them different',
  'block e-process',
  'z-test',
  'asymptotic',
  'sequence misses',
  'Wilson misses',
)
row('---', '---', '---', '---', '---', '---')
for (const rate of [0.005, 0.02, 0.1, 0.3])
  for (const [share, split] of [
    [0.5, '50/50'],
    [0.1, '90/10'],
  ] as const)
    alarms(`rate ${percent(rate)}, split ${split}, 4,000 verdicts`, equalArms(size, rate, share, 4000))
for (const verdicts of [4000, 20_000])
  alarms(
    `drift 1% to 8%, ramp 10% to 50%, ${verdicts.toLocaleString('en')} verdicts`,
    driftUnderRamp(size, verdicts),
  )
for (const [slower, what] of [
  [1, 'both arms alike'],
  [3, 'the treatment three times as late'],
] as const) {
  const { followed, arrival } = delayed(size, 4000, slower)
  const name = `drift and ramp as above, 4,000, judged late, ${what}`
  alarms(`${name}: as followed`, followed)
  alarms(`${name}: order of arrival`, arrival)
}
const users = clustered(size, 0.1, 1000)
alarms('rate 10%, five verdicts a user, ICC 0.3, 1,000 users: all', users.allVerdicts)
alarms('the same: one a user', users.onePerUser)
const several = severalArms(size, 0.1, 4000)
row('three treatments, rate 10%: Holm', percent(several.holm), '', '', '', '')
row('the same: each by itself', percent(several.uncorrected), '', '', '', '')

print('')
row('5% against 2%', 'found', 'called worse', 'median verdicts', 'fixed-n', 'found within 1.8 times that')
row('---', '---', '---', '---', '---', '---')
const { found, wrong, median, fixed, withinCap } = power(size, 0.05, 0.02, 4000)
row(
  'within 4,000 verdicts',
  percent(found),
  percent(wrong),
  String(median),
  String(fixed),
  percent(withinCap),
)

print('')
row('thinned under a starved budget', 'true rate', 'weighted', 'bounds hold it', 'plain', 'bounds hold it')
row('---', '---', '---', '---', '---', '---')
for (const [what, day] of [
  ['7 times what is judged at busy times, 30% against 5% positive', STARVED],
  [
    'the same, positives at quiet times',
    { ...STARVED, busy: { drawn: 20, rate: 0.05 }, quiet: { drawn: 2, rate: 0.3 } },
  ],
] as const) {
  const it = thinned(size, day)
  row(
    `${what}; ${percent(it.judged)} judged, ${percent(it.refused)} refused`,
    percent(it.truth),
    `${fine(it.weighted)} ± ${fine(it.weightedError)}`,
    percent(it.covered),
    percent(it.unweighted),
    percent(it.coveredUnweighted),
  )
}
process.stderr.write(`${Math.round((performance.now() - started) / 1000)} s\n`)
