/** `npm run bench`: ballast side by side with nginx, Portkey's gateway and nothing, in one run. */
import { mkdirSync } from 'node:fs'
import { Command, InvalidArgumentError, Option } from 'commander'
import { fromHere } from '../src/cli/usage.ts'
import { formatHotSpots, hotSpots } from './hot-spots.ts'
import { describeMachine } from './machine.ts'
import { chooseCores, Processes } from './processes.ts'
import { formatTable, formatVerdicts, judgeLines, toJson } from './report.ts'
import { runSuite } from './run.ts'
import { PARTS, SUITES, USUAL_PARTS } from './suites.ts'
import type { TargetDeps } from './targets.ts'
import { pinSelf, say, untilInterrupted } from './terminal.ts'
import { startUpstream } from './upstream.ts'

interface Options {
  readonly rounds?: number
  readonly only: readonly string[]
  readonly targets?: readonly string[]
  readonly quick: boolean
  readonly json: boolean
  readonly cpuProf?: string
}

const ROUNDS = 5
const QUICK_ROUNDS = 2
const TARGETS = [...new Set(SUITES.flatMap(({ targets }) => targets.map(({ name }) => name)))]

/** A list of names, of which each is one of those there are. */
function oneOf(known: readonly string[]): (text: string) => string[] {
  return (text) => {
    const names = text.split(',').map((it) => it.trim())
    // A target's name may itself hold a comma.
    if (known.includes(text)) return [text]
    const unknown = names.filter((name) => !known.includes(name))
    if (unknown.length === 0) return names
    throw new InvalidArgumentError(`There is no ${unknown.join(', ')}; there are ${known.join(' · ')}.`)
  }
}

function count(text: string): number {
  if (/^[1-9]\d*$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It is a whole number of 1 or more.')
}

const program = new Command('bench')
  .description('Measures ballast side by side with nginx, @portkey-ai/gateway and no proxy; prints ratios.')
  .option(
    '--rounds <n>',
    `rounds; the figures are medians (default: ${ROUNDS}, with --quick ${QUICK_ROUNDS})`,
    count,
  )
  .addOption(
    new Option('--only <parts>', `of ${PARTS.join(', ')}`)
      .argParser(oneOf(PARTS))
      .default(USUAL_PARTS, USUAL_PARTS.join(',')),
  )
  .addOption(new Option('--targets <names>', `of ${TARGETS.join(' · ')}`).argParser(oneOf(TARGETS)))
  .option('--quick', 'shows that everything runs; too short to be believed', false)
  .option('--json', 'print everything as JSON, every round included', false)
  .option('--cpu-prof <folder>', 'leave CPU profiles of ballast there, and print where its time goes')
  .addHelpText(
    'after',
    '\nExample:\n  npm run bench -- --only requests,streams --rounds 9\n\nExit codes: 0 (it measured, whatever came of it), 1 (it could not), 2 (it was called wrongly).',
  )
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  .action(bench)

async function bench({ rounds, only, targets, quick, json, cpuProf }: Options): Promise<void> {
  const cores = chooseCores()
  pinSelf(cores.load)
  const processes = new Processes()
  await untilInterrupted(processes, async () => {
    const upstream = await startUpstream(processes, cores)
    const profiles = cpuProf === undefined ? null : fromHere(cpuProf)
    if (profiles !== null) mkdirSync(profiles, { recursive: true })
    const deps: TargetDeps = { processes, cores, upstreamPort: upstream.ready, profiles, say }
    const machine = describeMachine(cores, upstream.kind)
    const options = {
      rounds: rounds ?? (quick ? QUICK_ROUNDS : ROUNDS),
      quick,
      parts: only,
      targets: targets ?? null,
    }
    const results: object[] = []
    for (const suite of SUITES) {
      if (!Object.values(suite.loads).some(({ part }) => only.includes(part))) continue
      const run = await runSuite(suite, options, deps)
      results.push(toJson(run))
      if (json) continue
      const versions = run.targets.map((target) => `${target.name} ${target.version()}`).join(', ')
      const heading = [
        ...machine,
        versions,
        `medians of ${options.rounds} ${options.rounds === 1 ? 'round' : 'rounds'}${quick ? ' (--quick)' : ''}`,
      ]
      const elsewhere = suite.elsewhere.map((it) => `n/a   ${it}`)
      const verdicts = [formatVerdicts(judgeLines(suite.lines, run.figures)), ...elsewhere].join('\n')
      const parts = [heading.join('\n'), formatTable(run), verdicts, run.notes.join('\n')]
      process.stdout.write(`${parts.filter((part) => part !== '').join('\n\n')}\n\n`)
    }
    if (json) process.stdout.write(`${JSON.stringify({ machine, ...options, results }, null, 2)}\n`)
    await processes.stopAll()
    if (profiles !== null) process.stderr.write(`${formatHotSpots(hotSpots(profiles))}\n`)
  })
}

await program.parseAsync()
