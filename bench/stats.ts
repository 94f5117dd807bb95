/**
 * `npm run bench:stats`: what following an experiment costs. Prints microseconds per verdict up to a million, with one
 * treatment and with three, and the time it takes to make a report's numbers of the states; then the same with a SQLite
 * file of a million verdicts (`--verdicts N` for another number). Exit code 1 when a limit is passed.
 */
import { parseArgs } from 'node:util'
import { ArmComparisons } from '../src/stats/arm-comparisons.ts'
import { betaBinomialInterval } from '../src/stats/beta-binomial.ts'
import { wilsonInterval } from '../src/stats/binomial-intervals.ts'
import { sampleRatioChiSquare, sampleRatioLogE } from '../src/stats/sample-ratio.ts'
import { seeded } from './random.ts'
import { measureStore } from './stats-store.ts'

const VERDICTS = 1_000_000
const MICROSECONDS_PER_VERDICT = 20
const REPORT_MILLISECONDS = 2000

interface Cost {
  readonly arms: number
  readonly microsecondsPerVerdict: number
  readonly lastTenth: number
  readonly reportMilliseconds: number
  readonly restoreMilliseconds: number
  readonly stateBytes: number
}

function measure(treatments: number): Cost {
  const names = ['control', ...Array.from({ length: treatments }, (_, i) => `treatment-${i + 1}`)]
  const next = seeded(treatments)
  const verdicts = Array.from({ length: VERDICTS }, () => ({
    arm: names[Math.floor(next() * names.length)]!,
    positive: next() < 0.05,
  }))
  const comparisons = new ArmComparisons(names[0]!, names.slice(1))
  const follow = (from: number, to: number) => {
    const started = performance.now()
    for (let i = from; i < to; i++) comparisons.add(verdicts[i]!.arm, verdicts[i]!.positive)
    return performance.now() - started
  }
  const lastFrom = 0.9 * VERDICTS
  const most = follow(0, lastFrom)
  const last = follow(lastFrom, VERDICTS)
  const started = performance.now()
  const results = comparisons.results()
  const counts = [comparisons.controlCounts, ...results.map((result) => result.counts)]
  for (const { positives, total } of counts) {
    betaBinomialInterval(positives, total)
    wilsonInterval(positives, total)
  }
  const units = counts.map(({ total }) => total)
  const weights = units.map(() => 1)
  sampleRatioLogE(units, weights)
  sampleRatioChiSquare(units, weights)
  const reported = performance.now()
  const text = JSON.stringify(comparisons.serialise())
  ArmComparisons.restore(JSON.parse(text))
  return {
    arms: names.length,
    microsecondsPerVerdict: ((most + last) * 1000) / VERDICTS,
    lastTenth: (last * 1000) / (VERDICTS - lastFrom),
    reportMilliseconds: reported - started,
    restoreMilliseconds: performance.now() - reported,
    stateBytes: text.length,
  }
}

const costs = [1, 3].map(measure)
process.stdout.write(`| arms | µs per verdict | over the last 100,000 | report, ms | save and restore, ms | state, bytes |
|---|---|---|---|---|---|
`)
for (const cost of costs) {
  const { arms, microsecondsPerVerdict, lastTenth, reportMilliseconds, restoreMilliseconds, stateBytes } =
    cost
  const times = [microsecondsPerVerdict, lastTenth, reportMilliseconds, restoreMilliseconds]
  process.stdout.write(`| ${arms} | ${times.map((time) => time.toFixed(2)).join(' | ')} | ${stateBytes} |\n`)
}
const { values } = parseArgs({ options: { verdicts: { type: 'string', default: String(VERDICTS) } } })
const stored = await measureStore(Number(values.verdicts))
process.stdout.write(`
| verdicts in SQLite | µs per verdict, read and followed | over the last hundredth | report, ms | first report, ms | nothing new, ms |
|---|---|---|---|---|---|
`)
const { verdicts, ...measured } = stored
const cells = [
  measured.microsecondsPerVerdict,
  measured.lastHundredth,
  measured.reportMilliseconds,
  measured.firstReportMilliseconds,
  measured.idleMilliseconds,
]
process.stdout.write(
  `| ${verdicts.toLocaleString('en')} | ${cells.map((it) => it.toFixed(2)).join(' | ')} |\n`,
)

const updates = [
  ...costs.flatMap(({ microsecondsPerVerdict, lastTenth }) => [microsecondsPerVerdict, lastTenth]),
  stored.microsecondsPerVerdict,
  stored.lastHundredth,
]
const reports = [
  ...costs.map(({ reportMilliseconds }) => reportMilliseconds),
  stored.reportMilliseconds,
  stored.firstReportMilliseconds,
]
if (Math.max(...updates) > MICROSECONDS_PER_VERDICT || Math.max(...reports) > REPORT_MILLISECONDS) {
  process.stderr.write(
    `slower than ${MICROSECONDS_PER_VERDICT} µs per verdict or ${REPORT_MILLISECONDS} ms per report\n`,
  )
  process.exitCode = 1
}
