/** Runs a suite: every load on every target in turn, round after round. Called by `main.ts`. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Load, type Observation, putLoad } from './load.ts'
import { residentBytes } from './proc.ts'
import type { Figures, Row, Suite, SuiteLoad } from './suites.ts'
import type { RunningTarget, Target, TargetDeps } from './targets.ts'

export interface RunOptions {
  readonly rounds: number
  /** A third of the time for each load. */
  readonly quick: boolean
  /** Parts to run. */
  readonly parts: readonly string[]
  /** Names of targets to run; null: all. */
  readonly targets: readonly string[] | null
}

export interface Run {
  readonly suite: Suite
  /** Those that ran. */
  readonly targets: readonly Target[]
  readonly rows: readonly Row[]
  readonly figures: Figures
  /** What was left out or failed, and why. */
  readonly notes: readonly string[]
}

/** A proxy on V8 is at its speed after some ten thousand requests, however long they take it. */
const WARM_UP_REQUESTS = 20_000
const WARM_UP_SECONDS = 2
const WARM_UPS = 5
const SETTLE_MS = 100

/** @throws Error when a target cannot be started or answers wrongly from the start. */
export async function runSuite(suite: Suite, options: RunOptions, deps: TargetDeps): Promise<Run> {
  const notes: string[] = []
  const targets = suite.targets.filter((target) => {
    if (options.targets !== null && !options.targets.includes(target.name)) return false
    if (target.version() === null) notes.push(`${target.name} is left out: ${target.missing}`)
    return target.version() !== null
  })
  const loads = Object.entries(suite.loads).filter(([, { part }]) => options.parts.includes(part))
  const running = new Map<Target, RunningTarget>()
  const seen = new Map<string, (Observation | null)[]>()
  try {
    for (const target of targets) {
      deps.say(`starting ${target.name}`)
      running.set(target, await target.start(deps))
      await warmUp(deps, target, running.get(target)!, loads)
    }
    for (let round = 0; round < options.rounds; round++) {
      for (const [id, load] of loads) {
        // Each round begins with another one: what one leaves behind does not always meet the same other.
        for (const target of [
          ...targets.slice(round % targets.length),
          ...targets.slice(0, round % targets.length),
        ]) {
          deps.say(`round ${round + 1} of ${options.rounds}: ${load.title}: ${target.name}`)
          const seconds = options.quick ? Math.max(1, Math.round(load.seconds / 3)) : load.seconds
          const asked = running.get(target)!
          const observed = load.fresh
            ? await observeFresh(deps, target, load)
            : await alone(asked, running.values(), () => putLoad(deps, asked, load, seconds))
          const problem = observed === null ? null : problemOf(observed)
          if (problem !== null) notes.push(`${target.name}, ${load.title}, round ${round + 1}: ${problem}`)
          const key = keyOf(id, target.name)
          const series = seen.get(key) ?? []
          seen.set(key, [...series, problem === null ? observed : null])
          await sleep(SETTLE_MS)
        }
      }
    }
  } finally {
    for (const it of running.values()) await it.stop()
  }
  const rows = suite.rows.filter(({ load }) => loads.some(([id]) => id === load))
  const figures: Figures = (rowId, target) => {
    const row = rows.find(({ id }) => id === rowId)
    if (row === undefined) return []
    return (seen.get(keyOf(row.load, target)) ?? []).map((it) => (it === null ? null : row.figure(it)))
  }
  return { suite, targets, rows, figures, notes }
}

/** Runs it while the other targets' processes are stopped: also an idle one may have work left, and they share a core. */
async function alone<T>(
  target: RunningTarget,
  running: Iterable<RunningTarget>,
  measure: () => Promise<T>,
): Promise<T> {
  const others = [...running].flatMap((it) => (it === target || it.pid === null ? [] : [it.pid]))
  for (const pid of others) process.kill(pid, 'SIGSTOP')
  try {
    return await measure()
  } finally {
    for (const pid of others) process.kill(pid, 'SIGCONT')
  }
}

const keyOf = (load: string, target: string) => `${load}\0${target}`

/** Why an observation says nothing, or null. */
function problemOf({ requests, failed, failures }: Observation): string | null {
  if (failed > 0)
    return `${failed} of ${requests + failed} requests failed (${failures.join('; ')}); not counted`
  return requests === 0 ? 'no request was answered' : null
}

/** Lets compilers and pools come to rest, and finds out now whether the target answers at all. */
async function warmUp(
  deps: TargetDeps,
  target: Target,
  asked: RunningTarget,
  loads: readonly (readonly [string, SuiteLoad])[],
): Promise<void> {
  const [first] = loads
  if (first === undefined) return
  const trial: Load = { ...first[1], wrk: false, most: 1, connections: 1, rampMs: 0 }
  const problem = problemOf(await putLoad(deps, asked, trial, 1))
  if (problem !== null) throw new Error(`${target.name} does not answer as it should: ${problem}`)
  const streams = loads.find(([, { wish }]) => wish.bench.includes('chunks='))
  const small: Load = {
    ...first[1],
    wish: { body: 'chat', size: 2048, bench: '' },
    connections: 32,
    wrk: true,
  }
  let answered = 0
  for (let time = 0; time < WARM_UPS && answered < WARM_UP_REQUESTS; time++) {
    answered += (await putLoad(deps, asked, small, WARM_UP_SECONDS)).requests
  }
  if (streams !== undefined) await putLoad(deps, asked, { ...streams[1], rampMs: 0 }, 1)
}

/** What one request costs a process that has answered small ones and is idle. Null for direct, which is no process. */
async function observeFresh(deps: TargetDeps, target: Target, load: SuiteLoad): Promise<Observation | null> {
  const asked = await target.start(deps)
  try {
    if (asked.pid === null) return null
    const small: Load = {
      wish: { body: 'chat', size: 2048, bench: '' },
      connections: 1,
      wrk: false,
      most: 200,
    }
    await putLoad(deps, asked, small, 2)
    await sleep(SETTLE_MS)
    const before = residentBytes(asked.pid)
    const observed = await putLoad(deps, asked, load, load.seconds)
    const { peakBytes: peak } = observed
    return { ...observed, peakBytes: before === null || peak === null ? null : Math.max(0, peak - before) }
  } finally {
    await asked.stop()
  }
}
