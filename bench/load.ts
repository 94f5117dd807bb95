/** Puts a load on one target and tells what came of it: latencies, the proxy's CPU and memory. Called by `run.ts`. */
import { spawnSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Findings, Task } from './load-generator.ts'
import { cpuMicros, peakBytes, resetPeak } from './proc.ts'
import type { Cores, Processes } from './processes.ts'
import { makeTemplate, type Wish } from './request.ts'
import { parseWrk, wrkScript } from './wrk.ts'

export interface Load {
  readonly wish: Wish
  readonly connections: number
  /** Whether wrk can carry it; else it is the raw generator's. */
  readonly wrk: boolean
  /** See `Task`. */
  readonly rampMs?: number
  readonly most?: number
  /** How long the proxy may go on working on what the requests left behind (judging); counted with them. Default 5 s. */
  readonly afterworkMs?: number
}

/** Who is asked. */
export interface Asked {
  readonly port: number
  readonly headers: readonly string[]
  /** Of the proxy; null where there is none. */
  readonly pid: number | null
}

export interface Observation {
  readonly requests: number
  readonly seconds: number
  readonly failed: number
  readonly failures: readonly string[]
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
  /** What only the raw generator sees. */
  readonly findings: Findings | null
  /** Of the proxy, in all; null where it is not known. */
  readonly cpuMicros: number | null
  readonly peakBytes: number | null
}

export interface LoadDeps {
  readonly processes: Processes
  readonly cores: Cores
}

export const HAS_WRK = spawnSync('wrk', ['-v']).error === undefined

const AFTERWORK_MS = 5_000
const IDLE_POLL_MS = 200
/** Of a core. */
const IDLE_SHARE = 0.05

async function untilIdle(pid: number, mostMs: number): Promise<void> {
  const deadline = Date.now() + mostMs
  let before = cpuMicros(pid)
  while (before !== null && Date.now() < deadline) {
    await sleep(IDLE_POLL_MS)
    const after = cpuMicros(pid)
    if (after === null || after - before <= IDLE_SHARE * IDLE_POLL_MS * 1000) return
    before = after
  }
}

/** Numbers that no other load of this run begins with. */
let first = 1

/** @throws Error when the load could not be put on; failed requests are counted, not thrown. */
export async function putLoad(
  deps: LoadDeps,
  asked: Asked,
  load: Load,
  seconds: number,
): Promise<Observation> {
  first += 10_000_000
  if (asked.pid !== null) resetPeak(asked.pid)
  const before = asked.pid === null ? null : cpuMicros(asked.pid)
  const told =
    load.wrk && HAS_WRK ? await wrk(deps, asked, load, seconds) : await generate(deps, asked, load, seconds)
  if (asked.pid !== null) await untilIdle(asked.pid, load.afterworkMs ?? AFTERWORK_MS)
  const after = asked.pid === null ? null : cpuMicros(asked.pid)
  return {
    ...told,
    cpuMicros: before === null || after === null ? null : after - before,
    peakBytes: asked.pid === null ? null : peakBytes(asked.pid),
  }
}

type Told = Omit<Observation, 'cpuMicros' | 'peakBytes'>

async function wrk({ processes, cores }: LoadDeps, asked: Asked, load: Load, seconds: number): Promise<Told> {
  const folder = processes.folder()
  try {
    const script = join(folder, 'requests.lua')
    writeFileSync(script, wrkScript(makeTemplate(asked.port, asked.headers, load.wish), first))
    const duration = `${Math.max(1, Math.round(seconds))}s`
    const args = [
      '-t1',
      `-c${load.connections}`,
      `-d${duration}`,
      '--timeout',
      '30s',
      '--latency',
      '-s',
      script,
    ]
    const { stdout } = await processes.run(
      'wrk',
      ['wrk', ...args, `http://127.0.0.1:${asked.port}`],
      cores.load,
    )
    const { requests, failed, ...rest } = parseWrk(stdout)
    const failures = failed === 0 ? [] : [/^.*(?:Non-2xx|Socket errors).*$/m.exec(stdout)?.[0].trim() ?? '']
    return { requests, failed, failures, findings: null, ...rest }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function generate(
  { processes, cores }: LoadDeps,
  asked: Asked,
  load: Load,
  seconds: number,
): Promise<Told> {
  const task: Task = {
    port: asked.port,
    headers: asked.headers,
    wish: load.wish,
    connections: load.connections,
    milliseconds: seconds * 1000,
    rampMs: load.rampMs ?? 0,
    most: load.most ?? Number.MAX_SAFE_INTEGER,
    first,
  }
  const program = join(import.meta.dirname, 'load-generator.ts')
  const command = [process.execPath, program, JSON.stringify(task)]
  const { stdout } = await processes.run('the load generator', command, cores.load)
  const findings = JSON.parse(stdout) as Findings
  const { requests, failed, failures, latency } = findings
  return {
    requests,
    failed,
    failures,
    seconds: findings.seconds,
    p50: latency.p50,
    p99: latency.p99,
    findings,
  }
}
