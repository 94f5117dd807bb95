/**
 * What is measured: loads, the rows of the table that come of them, and the lines that a run is held to. Pure; run by
 * `run.ts`, shown by `report.ts`.
 */
import { PLAIN, PRODUCTION } from './ballast-config.ts'
import type { Load, Observation } from './load.ts'
import { difference, ratio } from './numbers.ts'
import { ballast, ballastPlain, ballastProduction, direct, nginx, portkey, type Target } from './targets.ts'

export interface SuiteLoad extends Load {
  /** What `--only` selects. */
  readonly part: string
  readonly title: string
  readonly seconds: number
  /** Each time on a process of its own, with the memory taken as what comes on top of an idle one. */
  readonly fresh?: boolean
}

export interface Row {
  readonly id: string
  readonly load: string
  readonly title: string
  /** The figure of one observation; null where it cannot be known. */
  readonly figure: (seen: Observation) => number | null
  /** Shown as what it has more than direct in the same round; of direct itself, the figure as it is. */
  readonly overDirect?: boolean
  /** Of which a ratio would say nothing. */
  readonly noRatio?: boolean
}

/** Figures of every round, by row and target; null: not to be had. */
export type Figures = (row: string, target: string) => readonly (number | null)[]

export interface Line {
  /** Its number in the list of what is asked. */
  readonly number: string
  readonly title: string
  readonly most: number
  readonly unit: string
  readonly figure: (figures: Figures) => number | null
}

export interface Suite {
  readonly name: string
  readonly targets: readonly Target[]
  readonly loads: Readonly<Record<string, SuiteLoad>>
  readonly rows: readonly Row[]
  /** Targets that the others are divided by, in columns of their own. */
  readonly ratios: readonly (readonly [target: string, base: string])[]
  readonly lines: readonly Line[]
  /** What else is asked, and where it is measured. */
  readonly elsewhere: readonly string[]
}

const MB = 1024 * 1024
/** Chunks and gap of the streams whose chunks come one by one. */
export const STREAM_CHUNKS = 64
const STREAM_GAP_MS = 10
const STREAMS = 64
const LARGE = 20 * MB

const chat = (bench = ''): Load['wish'] => ({ body: 'chat', size: 2048, bench })
const perRequest = (seen: Observation) => (seen.cpuMicros === null ? null : seen.cpuMicros / seen.requests)
const rate = (seen: Observation) => seen.requests / seen.seconds
const megabytes = (seen: Observation) => (seen.peakBytes === null ? null : seen.peakBytes / MB)

const BUSY: SuiteLoad = {
  part: 'requests',
  title: '2 KB chat, 32 connections',
  wish: chat(),
  connections: 32,
  wrk: true,
  seconds: 4,
}
const DELAYED: SuiteLoad = {
  part: 'latency',
  title: '2 KB chat, upstream of 50 ms, 32 connections',
  wish: chat('delay=50'),
  connections: 32,
  wrk: true,
  seconds: 5,
}

const MAIN_LOADS: Readonly<Record<string, SuiteLoad>> = {
  busy: BUSY,
  crowd: { ...BUSY, title: '2 KB chat, 256 connections', connections: 256, seconds: 3 },
  single: { ...BUSY, part: 'latency', title: '2 KB chat, 1 connection', connections: 1, seconds: 3 },
  delayed: DELAYED,
  paced: {
    part: 'streams',
    title: `${STREAMS} streams of ${STREAM_CHUNKS} chunks, ${STREAM_GAP_MS} ms apart`,
    wish: chat(`chunks=${STREAM_CHUNKS},gap=${STREAM_GAP_MS}`),
    connections: STREAMS,
    wrk: false,
    // Spread over the life of one stream, so that their chunks do not come together.
    rampMs: STREAM_CHUNKS * STREAM_GAP_MS,
    seconds: 5,
  },
  torrent: {
    part: 'streams',
    title: `${STREAMS} streams of ${STREAM_CHUNKS} chunks at once`,
    wish: chat(`chunks=${STREAM_CHUNKS}`),
    connections: STREAMS,
    wrk: false,
    seconds: 4,
  },
  history: {
    part: 'bodies',
    title: '64 KB history, 32 connections',
    wish: { body: 'history', size: 64 * 1024, bench: '' },
    connections: 32,
    wrk: true,
    seconds: 3,
  },
  image: {
    part: 'bodies',
    title: '20 MB image, 2 connections',
    wish: { body: 'image', size: LARGE, bench: '' },
    connections: 2,
    wrk: false,
    seconds: 3,
  },
  oneImage: {
    part: 'bodies',
    title: 'one 20 MB image',
    wish: { body: 'image', size: LARGE, bench: '' },
    connections: 1,
    wrk: false,
    most: 1,
    seconds: 1,
    fresh: true,
  },
}

const MAIN_ROWS: readonly Row[] = [
  { id: 'rate32', load: 'busy', title: 'requests/s, 32 connections', figure: rate },
  { id: 'rate256', load: 'crowd', title: 'requests/s, 256 connections', figure: rate },
  { id: 'cpu', load: 'busy', title: 'CPU per request, µs', figure: perRequest },
  { id: 'p50-1', load: 'single', title: 'p50, 1 connection, ms', figure: (seen) => seen.p50 },
  { id: 'p99-1', load: 'single', title: 'p99, 1 connection, ms', figure: (seen) => seen.p99 },
  { id: 'p50-32', load: 'busy', title: 'p50, 32 connections, ms', figure: (seen) => seen.p50 },
  { id: 'p99-32', load: 'busy', title: 'p99, 32 connections, ms', figure: (seen) => seen.p99 },
  {
    id: 'p50-delayed',
    load: 'delayed',
    title: 'p50 over direct, upstream of 50 ms, ms',
    figure: (seen) => seen.p50,
    overDirect: true,
  },
  {
    id: 'p99-delayed',
    load: 'delayed',
    title: 'p99 over direct, upstream of 50 ms, ms',
    figure: (seen) => seen.p99,
    overDirect: true,
  },
  { id: 'streams', load: 'torrent', title: 'streams/s, 64 chunks at once', figure: rate },
  { id: 'cpu-torrent', load: 'torrent', title: 'CPU per stream, chunks at once, µs', figure: perRequest },
  { id: 'cpu-stream', load: 'paced', title: 'CPU per stream, chunks 10 ms apart, µs', figure: perRequest },
  {
    id: 'first-byte',
    load: 'paced',
    title: 'p50 to first byte over direct, 64 streams, ms',
    figure: (seen) => seen.findings?.firstByte.p50 ?? null,
    overDirect: true,
  },
  { id: 'memory', load: 'crowd', title: 'peak memory, 256 connections, MB', figure: megabytes },
  { id: 'memory-streams', load: 'paced', title: 'peak memory, 64 streams, MB', figure: megabytes },
  { id: 'cpu-64k', load: 'history', title: 'CPU per 64 KB body, µs', figure: perRequest },
  { id: 'cpu-20m', load: 'image', title: 'CPU per 20 MB body, µs', figure: perRequest },
  { id: 'memory-20m', load: 'image', title: 'peak memory, 20 MB bodies, MB', figure: megabytes },
  {
    id: 'copies',
    load: 'oneImage',
    title: 'copies of a 20 MB body in memory',
    noRatio: true,
    figure: (seen) => (seen.peakBytes === null ? null : seen.peakBytes / LARGE),
  },
]

const times = (row: string, target: string, base: string) => (figures: Figures) =>
  ratio(figures(row, target), figures(row, base))
const above = (row: string, target: string, base: string) => (figures: Figures) =>
  difference(figures(row, target), figures(row, base))

const MAIN_LINES: readonly Line[] = [
  {
    number: '1',
    title: 'CPU per request',
    most: 3.5,
    unit: 'times nginx',
    figure: times('cpu', 'ballast', 'nginx'),
  },
  {
    number: '1',
    title: 'CPU per request',
    most: 0.1,
    unit: 'times Portkey',
    figure: times('cpu', 'ballast', 'Portkey'),
  },
  {
    number: '2',
    title: 'CPU per stream',
    most: 2.7,
    unit: 'times nginx',
    figure: times('cpu-stream', 'ballast', 'nginx'),
  },
  {
    number: '2',
    title: 'p50 to first byte',
    most: 1,
    unit: 'ms over direct',
    figure: above('first-byte', 'ballast', 'direct'),
  },
  {
    number: '3',
    title: 'p50 at an upstream of 50 ms',
    most: 1,
    unit: 'ms over nginx',
    figure: above('p50-delayed', 'ballast', 'nginx'),
  },
  {
    number: '3',
    title: 'p99 at an upstream of 50 ms',
    most: 4,
    unit: 'ms over nginx',
    figure: above('p99-delayed', 'ballast', 'nginx'),
  },
  {
    number: '4',
    title: 'CPU per request with everything on',
    most: 1.25,
    unit: 'times plain',
    figure: times('cpu', 'ballast', 'ballast, plain'),
  },
  {
    number: '5',
    title: 'CPU per 64 KB body',
    most: 5,
    unit: 'times nginx',
    figure: times('cpu-64k', 'ballast', 'nginx'),
  },
  {
    number: '5',
    title: 'CPU per 20 MB body',
    most: 3,
    unit: 'times nginx',
    figure: times('cpu-20m', 'ballast', 'nginx'),
  },
  {
    number: '5',
    title: 'memory for a 20 MB body',
    most: 2,
    unit: 'copies',
    figure: (figures) =>
      difference(
        figures('copies', 'ballast'),
        figures('copies', 'ballast').map(() => 0),
      ),
  },
]

const main: Suite = {
  name: 'main',
  targets: [direct, nginx, portkey, ballastPlain, ballastProduction],
  loads: MAIN_LOADS,
  rows: MAIN_ROWS,
  ratios: [
    ['ballast, plain', 'nginx'],
    ['ballast', 'nginx'],
    ['ballast', 'Portkey'],
    ['ballast', 'ballast, plain'],
  ],
  lines: MAIN_LINES,
  elsewhere: ['6  2,000 streams at a time: npm run bench:streams', '7  workers: --only workers'],
}

/**
 * Judging must not be felt where the judge is gone: everything sampled, and nobody there to judge it. A judge that answers is
 * no target beside it: what it has still to judge would take the core from whoever comes next.
 */
const judging: Suite = {
  name: 'judging',
  targets: [
    ballast('judging off', { ...PRODUCTION, sample: 0 }),
    ballast('judge dead', { ...PRODUCTION, sample: 1, judge: 'dead' }),
  ],
  loads: {
    // What is tried again and again never comes to rest.
    busy: { ...BUSY, part: 'judging', afterworkMs: 0 },
    delayed: { ...DELAYED, part: 'judging', afterworkMs: 0 },
  },
  rows: [
    { id: 'rate32', load: 'busy', title: 'requests/s, 32 connections', figure: rate },
    { id: 'cpu', load: 'busy', title: 'CPU per request, µs', figure: perRequest },
    { id: 'p99-32', load: 'busy', title: 'p99, 32 connections, ms', figure: (seen) => seen.p99 },
    { id: 'p50-delayed', load: 'delayed', title: 'p50, upstream of 50 ms, ms', figure: (seen) => seen.p50 },
    { id: 'p99-delayed', load: 'delayed', title: 'p99, upstream of 50 ms, ms', figure: (seen) => seen.p99 },
  ],
  ratios: [['judge dead', 'judging off']],
  lines: [
    {
      number: '8',
      title: 'time per request with a dead judge and everything sampled',
      most: 1.11,
      unit: 'times judging off',
      figure: times('rate32', 'judging off', 'judge dead'),
    },
    {
      number: '8',
      title: 'p99 with a dead judge and everything sampled',
      most: 1.1,
      unit: 'times judging off',
      figure: times('p99-32', 'judge dead', 'judging off'),
    },
    {
      number: '8',
      title: 'the same at an upstream of 50 ms',
      most: 1.1,
      unit: 'times judging off',
      figure: times('p99-delayed', 'judge dead', 'judging off'),
    },
  ],
  elsewhere: [],
}

/** What each feature costs on top of those before it. */
const features: Suite = {
  name: 'features',
  targets: [
    ballastPlain,
    ballast('+ keys', { ...PLAIN, keys: true }),
    ballast('+ experiment', { ...PLAIN, keys: true, experiment: true }),
    ballast('+ 2% judged', PRODUCTION),
    ballast('+ requests per minute', { ...PRODUCTION, counted: true }),
  ],
  loads: { busy: { ...BUSY, part: 'features' } },
  rows: [
    { id: 'rate32', load: 'busy', title: 'requests/s, 32 connections', figure: rate },
    { id: 'cpu', load: 'busy', title: 'CPU per request, µs', figure: perRequest },
    { id: 'p99-32', load: 'busy', title: 'p99, 32 connections, ms', figure: (seen) => seen.p99 },
  ],
  ratios: ['+ keys', '+ experiment', '+ 2% judged', '+ requests per minute'].map(
    (name) => [name, 'ballast, plain'] as const,
  ),
  lines: [],
  elsewhere: [],
}

/** One process and two, on all cores: load and upstream want theirs as well. */
const workers: Suite = {
  name: 'workers',
  targets: [ballast('one worker', PRODUCTION, 1), ballast('two workers', PRODUCTION, 2)],
  loads: {
    busy: { ...BUSY, part: 'workers' },
    delayed: {
      ...DELAYED,
      part: 'workers',
      title: '2 KB chat, upstream of 50 ms, 256 connections',
      connections: 256,
    },
  },
  rows: [
    { id: 'rate32', load: 'busy', title: 'requests/s, 32 connections', figure: rate },
    { id: 'cpu', load: 'busy', title: 'CPU per request, µs', figure: perRequest },
    { id: 'p99-32', load: 'busy', title: 'p99, 32 connections, ms', figure: (seen) => seen.p99 },
    {
      id: 'rate-delayed',
      load: 'delayed',
      title: 'requests/s, upstream of 50 ms, 256 connections',
      figure: rate,
    },
    { id: 'cpu-delayed', load: 'delayed', title: 'CPU per request at that, µs', figure: perRequest },
  ],
  ratios: [['two workers', 'one worker']],
  lines: [],
  elsewhere: [],
}

export const SUITES: readonly Suite[] = [main, judging, features, workers]
/** What `--only` may name, and what runs without it. */
export const PARTS = [...new Set(SUITES.flatMap(({ loads }) => Object.values(loads).map(({ part }) => part)))]
export const USUAL_PARTS = ['requests', 'latency', 'streams', 'bodies']
