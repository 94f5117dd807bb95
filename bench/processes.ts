/**
 * The processes of a run, each pinned to its core, and its temporary files: gone with the run, however that ends. Used by
 * `targets.ts`, `upstream.ts` and `load.ts`.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Cores {
  /** For `taskset -c`; null where processes cannot be pinned. */
  readonly proxy: string | null
  readonly load: string | null
}

/** One core for the proxy, the rest for load and upstream; neither without taskset or a second core. */
export function chooseCores(): Cores {
  const pinned = spawnSync('taskset', ['-c', '-p', String(process.pid)], { encoding: 'utf8' })
  if (pinned.error !== undefined || pinned.status !== 0) return { proxy: null, load: null }
  const allowed = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))
  const cores = parseCpuList(allowed?.[1] ?? '')
  if (cores.length < 2) return { proxy: null, load: null }
  return { proxy: String(cores[0]), load: cores.slice(1).join(',') }
}

/** `0-2,5` -> 0, 1, 2, 5. */
export function parseCpuList(text: string): number[] {
  return text.split(',').flatMap((range) => {
    const [from, to] = range.split('-').map(Number)
    if (range === '' || from === undefined || !Number.isInteger(from)) return []
    return Array.from({ length: (to ?? from) - from + 1 }, (_, index) => from + index)
  })
}

export interface Started<T> {
  readonly pid: number
  /** What `ready` found. */
  readonly ready: T
  stop(): Promise<void>
}

export interface Finished {
  readonly stdout: string
  readonly stderr: string
}

const READY_MS = 30_000
const STOP_MS = 10_000
/** What is kept of a process's output, to say why it failed. */
const TAIL = 4_000

export class Processes {
  private readonly running = new Set<ChildProcess>()
  /** Nothing is started any more: the run was interrupted. */
  private closed = false
  private readonly base = mkdtempSync(join(tmpdir(), 'ballast-bench-'))

  constructor() {
    // Whatever ends this process, the others do not outlive it.
    process.on('exit', () => {
      this.killAll()
      rmSync(this.base, { recursive: true, force: true })
    })
  }

  /** A new, empty folder that is removed with the run. */
  folder(): string {
    return mkdtempSync(join(this.base, 'f-'))
  }

  /**
   * Starts a process that serves.
   * @param ready looks at what it has printed so far; null: not ready yet.
   * @throws Error when it ends or is not ready in time, with what it said.
   */
  async serve<T>(
    name: string,
    command: readonly string[],
    core: string | null,
    ready: (output: string) => T | null | Promise<T | null>,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<Started<T>> {
    const child = this.spawn(command, core, environment)
    let output = ''
    const gather = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-TAIL)
    }
    child.stdout!.on('data', gather)
    child.stderr!.on('data', gather)
    let failure: Error | null = null
    child.on('error', (error) => {
      failure = error
    })
    const deadline = Date.now() + READY_MS
    let found: T | null = null
    while (found === null) {
      if (failure !== null) throw new Error(`${name} could not be started: ${(failure as Error).message}`)
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`${name} ended at once:\n${output}`)
      if (Date.now() > deadline) {
        await this.stop(child)
        throw new Error(`${name} was not ready within ${READY_MS / 1000} s:\n${output}`)
      }
      await sleep(20)
      found = await ready(output)
    }
    return { pid: child.pid!, ready: found, stop: () => this.stop(child) }
  }

  /** Runs a process to its end. @throws Error when it fails, with what it said. */
  async run(name: string, command: readonly string[], core: string | null): Promise<Finished> {
    const child = this.spawn(command, core, {})
    let stdout = ''
    let stderr = ''
    child.stdout!.on('data', (chunk: Buffer) => {
      stdout += chunk.toString()
    })
    child.stderr!.on('data', (chunk: Buffer) => {
      stderr += chunk.toString()
    })
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', resolve)
    })
    if (code !== 0) throw new Error(`${name} failed (${code ?? 'killed'}):\n${stderr.slice(-TAIL)}`)
    return { stdout, stderr }
  }

  async stopAll(): Promise<void> {
    this.closed = true
    await Promise.all([...this.running].map((child) => this.stop(child)))
  }

  killAll(): void {
    for (const child of this.running) signal(child, 'SIGKILL')
  }

  private spawn(
    command: readonly string[],
    core: string | null,
    environment: Readonly<Record<string, string>>,
  ): ChildProcess {
    if (this.closed) throw new Error('the run was interrupted')
    const [file, ...args] = core === null ? command : ['taskset', '-c', core, ...command]
    const child = spawn(file!, args, {
      // A group of its own: Ctrl-C reaches this process alone, which ends the others in order.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    })
    this.running.add(child)
    child.on('exit', () => this.running.delete(child))
    child.on('error', () => this.running.delete(child))
    return child
  }

  private async stop(child: ChildProcess): Promise<void> {
    if (!this.running.has(child)) return
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    signal(child, 'SIGTERM')
    const timer = setTimeout(() => signal(child, 'SIGKILL'), STOP_MS)
    await ended
    clearTimeout(timer)
  }
}

/** To the whole group, workers included. */
function signal(child: ChildProcess, name: NodeJS.Signals): void {
  try {
    process.kill(-child.pid!, name)
  } catch {}
}
