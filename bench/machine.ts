/** What a run is to be read with: machine and versions. Used by `main.ts` and `streams.ts`. */
import { cpus, release, totalmem, type } from 'node:os'
import undici from 'undici/package.json' with { type: 'json' }
import { HAS_WRK } from './load.ts'
import { HAS_PROC } from './proc.ts'
import type { Cores } from './processes.ts'

export function describeMachine(cores: Cores, upstream: string): string[] {
  const all = cpus()
  const lines = [
    `${new Date().toISOString().slice(0, 10)}, ${all.length} × ${all[0]?.model.trim() ?? 'unknown CPU'}, ${Math.round(totalmem() / 2 ** 30)} GB, ${type()} ${release()}`,
    `Node ${process.versions.node}, undici ${undici.version}, upstream in ${upstream}, load by ${HAS_WRK ? 'wrk and a raw generator' : 'a raw generator (wrk is not on PATH)'}`,
    cores.proxy === null
      ? 'processes are not pinned: there is no taskset, or one core only; figures disturb each other'
      : `proxy on core ${cores.proxy}, load and upstream on ${cores.load}`,
  ]
  if (!HAS_PROC) lines.push('no /proc here: CPU and memory are not known')
  return lines
}
