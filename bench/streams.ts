/** `npm run bench:streams`: many streams at a time for many minutes; what each costs in memory, and whether any stalls. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Command, InvalidArgumentError } from 'commander'
import { type Load, type Observation, putLoad } from './load.ts'
import { describeMachine } from './machine.ts'
import { figure } from './numbers.ts'
import { residentBytes } from './proc.ts'
import { chooseCores, Processes } from './processes.ts'
import { formatMarkdown, formatVerdicts, type Verdict } from './report.ts'
import { ballastProduction, direct, nginx, type Target, type TargetDeps } from './targets.ts'
import { pinSelf, say, untilInterrupted } from './terminal.ts'
import { startUpstream } from './upstream.ts'

interface Options {
  readonly streams: number
  readonly minutes: number
  readonly gap: number
  readonly chunks: number
  readonly json: boolean
}

interface Soak extends Observation {
  readonly target: string
  /** On top of the idle process, shared out among the streams. */
  readonly bytesPerStream: number | null
}

const MOST_BYTES_PER_STREAM = 60_000
/** Of the upstream's own gap. */
const MOST_STALL = 2
/** The others show what the machine itself does; they need not run as long. */
const REFERENCE_MINUTES = 1
const SETTLE_MS = 1_000

async function soak(target: Target, options: Options, minutes: number, deps: TargetDeps): Promise<Soak> {
  const { streams, gap, chunks } = options
  const asked = await target.start(deps)
  try {
    const small: Load = { wish: { body: 'chat', size: 2048, bench: 'chunks=8' }, connections: 8, wrk: false }
    await putLoad(deps, asked, small, 2)
    await sleep(SETTLE_MS)
    const before = asked.pid === null ? null : residentBytes(asked.pid)
    const wish = { body: 'chat', size: 2048, bench: `chunks=${chunks},gap=${gap}` } as const
    say(`${target.name}: ${streams} streams for ${minutes} minutes`)
    // Spread over several gaps, so that chunks come all the time and connections are not all made at once.
    const load: Load = { wish, connections: streams, wrk: false, rampMs: Math.max(5_000, gap * 4) }
    const observed = await putLoad(deps, asked, load, minutes * 60)
    const { peakBytes: peak } = observed
    const bytesPerStream = before === null || peak === null ? null : (peak - before) / streams
    return { ...observed, target: target.name, bytesPerStream }
  } finally {
    await asked.stop()
  }
}

function formatSoaks(soaks: readonly Soak[], { chunks }: Options): string {
  const of = (pick: (soak: Soak) => number | null) => soaks.map((soak) => figure(pick(soak)))
  return formatMarkdown([
    ['', ...soaks.map(({ target }) => target)],
    ['streams that ended whole', ...of(({ requests }) => requests)],
    ['streams that failed', ...of(({ failed }) => failed)],
    [
      'CPU per chunk, µs',
      ...of((it) => (it.cpuMicros === null ? null : it.cpuMicros / (it.requests * chunks))),
    ],
    ['memory per stream, kB', ...of((it) => (it.bytesPerStream === null ? null : it.bytesPerStream / 1000))],
    ['gap between chunks, p50, ms', ...of(({ findings }) => findings!.gap.p50)],
    ['gap between chunks, p99, ms', ...of(({ findings }) => findings!.gap.p99)],
    ['longest gap of a stream, p50, ms', ...of(({ findings }) => findings!.longestGap.p50)],
    ['longest gap of a stream, p99, ms', ...of(({ findings }) => findings!.longestGap.p99)],
    ['longest gap of all, ms', ...of(({ findings }) => findings!.longestGap.max)],
  ])
}

function judgeSoak({ bytesPerStream, findings }: Soak, { gap }: Options): Verdict[] {
  const stall = findings!.longestGap.p99 / gap
  const memory = bytesPerStream === null ? null : bytesPerStream / 1000
  const most = MOST_BYTES_PER_STREAM / 1000
  return [
    {
      number: '6',
      text: `memory per stream: ${figure(memory)} kB (at most ${most})`,
      passed: memory === null ? null : memory <= most,
      figure: memory,
      most,
    },
    {
      number: '6',
      text: `longest gap of a stream, p99: ${figure(stall)} times the upstream's (at most ${MOST_STALL})`,
      passed: stall <= MOST_STALL,
      figure: stall,
      most: MOST_STALL,
    },
  ]
}

async function streams(options: Options): Promise<void> {
  const cores = chooseCores()
  pinSelf(cores.load)
  const processes = new Processes()
  await untilInterrupted(processes, async () => {
    const upstream = await startUpstream(processes, cores)
    const deps: TargetDeps = { processes, cores, upstreamPort: upstream.ready, profiles: null, say }
    const references = [direct, nginx].filter((target) => target.version() !== null)
    const soaks: Soak[] = []
    for (const target of references)
      soaks.push(await soak(target, options, Math.min(REFERENCE_MINUTES, options.minutes), deps))
    soaks.push(await soak(ballastProduction, options, options.minutes, deps))
    const machine = describeMachine(cores, upstream.kind)
    const verdicts = judgeSoak(soaks.at(-1)!, options)
    const failures = soaks.flatMap(({ target, failures }) => failures.map((it) => `${target}: ${it}`))
    if (options.json) {
      process.stdout.write(`${JSON.stringify({ machine, ...options, soaks, lines: verdicts }, null, 2)}\n`)
      return
    }
    const { streams: count, chunks, gap, minutes } = options
    const heading = `${count} streams of ${chunks} chunks, ${gap} ms apart, for ${minutes} minutes`
    const parts = [
      machine.join('\n'),
      heading,
      formatSoaks(soaks, options),
      formatVerdicts(verdicts),
      failures.join('\n'),
    ]
    process.stdout.write(`${parts.filter((part) => part !== '').join('\n\n')}\n`)
  })
}

const positive = (text: string) => {
  if (Number(text) > 0) return Number(text)
  throw new InvalidArgumentError('It is a number above 0.')
}

await new Command('bench:streams')
  .description('Holds many streams open through ballast; tells memory per stream and the longest gaps.')
  .option('--streams <n>', 'at a time', positive, 2000)
  .option('--minutes <n>', 'through ballast; direct and nginx get one at most', positive, 10)
  .option('--gap <ms>', 'between the chunks of a stream', positive, 250)
  .option('--chunks <n>', 'of a stream', positive, 120)
  .option('--json', 'print JSON', false)
  .addHelpText('after', '\nExample:\n  npm run bench:streams -- --minutes 1')
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  .action(streams)
  .parseAsync()
