/** Builds or finds the upstream of the benchmark and starts it: `upstream.c`, or without a compiler `upstream-node.ts`. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Cores, Processes, Started } from './processes.ts'

/** What the benchmark builds and installs; nothing of it is kept in the repository. */
export const CACHE = join(import.meta.dirname, '.cache')

const SOURCE = join(import.meta.dirname, 'upstream.c')

export interface Upstream extends Started<number> {
  /** `C` or `Node`. */
  readonly kind: string
}

export async function startUpstream(processes: Processes, cores: Cores): Promise<Upstream> {
  const built = build()
  const command = built === null ? [process.execPath, join(import.meta.dirname, 'upstream-node.ts')] : [built]
  const started = await processes.serve('the upstream', command, cores.load, portOf)
  return { ...started, kind: built === null ? 'Node (there is no cc)' : 'C' }
}

/** The port it says it listens on, `PORT 1234`. */
export function portOf(output: string): number | null {
  const match = /^PORT (\d+)$/m.exec(output)
  return match === null ? null : Number(match[1])
}

/** @returns the program, or null where there is no compiler that makes one. */
function build(): string | null {
  const program = join(CACHE, 'upstream')
  if (existsSync(program) && statSync(program).mtimeMs > statSync(SOURCE).mtimeMs) return program
  mkdirSync(CACHE, { recursive: true })
  return compileUpstream(program) ? program : null
}

/** Compiles it to `program`. @returns false where there is no compiler, or no Linux. */
export function compileUpstream(program: string): boolean {
  if (process.platform !== 'linux') return false
  return spawnSync('cc', ['-O2', '-o', program, SOURCE], { stdio: 'ignore' }).status === 0
}
