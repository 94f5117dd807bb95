/** What the commands of this folder share in how they run: progress on stderr, and an end that leaves nothing behind. */
import { spawnSync } from 'node:child_process'
import type { Processes } from './processes.ts'

/** Tells of progress, on a line that is written over where there is a terminal. */
export function say(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`)
  else process.stderr.write(`${line}\n`)
}

/** This process does next to nothing while it measures, but not on the proxy's core. */
export function pinSelf(core: string | null): void {
  if (core !== null) spawnSync('taskset', ['-a', '-c', '-p', core, String(process.pid)], { stdio: 'ignore' })
}

const INTERRUPTED = 130

/** Runs `work`; whether it ends, fails or is interrupted, every process it started is stopped. */
export async function untilInterrupted(processes: Processes, work: () => Promise<void>): Promise<void> {
  let interrupted = false
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      // The second time, at once: `Processes` kills what still runs.
      if (interrupted) process.exit(INTERRUPTED)
      interrupted = true
      say(`${signal}: stopping what runs`)
      void processes.stopAll().then(() => process.exit(INTERRUPTED))
    })
  }
  try {
    await work()
  } catch (error) {
    if (interrupted) return
    process.exitCode = 1
    process.stderr.write(`\n${error instanceof Error ? error.message : String(error)}\n`)
  } finally {
    await processes.stopAll()
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  }
}
