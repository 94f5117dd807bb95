/**
 * What Linux tells of a process in /proc: CPU time and peak memory, children included. CPU time is the figure that other
 * load on the machine disturbs least. Elsewhere than on Linux everything here is null, and the tables say so.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'

export const HAS_PROC = existsSync('/proc/self/stat')

export interface ProcessStat {
  readonly pid: number
  readonly parent: number
  /** User and system time, that of ended children included, in clock ticks. */
  readonly ticks: number
}

/** Reads a line of /proc/PID/stat (proc(5)); null where it is not one. */
export function parseStat(text: string): ProcessStat | null {
  // The name stands in parentheses and may itself hold parentheses and spaces.
  const close = text.lastIndexOf(')')
  const pid = Number.parseInt(text, 10)
  const fields = text
    .slice(close + 1)
    .trim()
    .split(/\s+/)
  const [parent, ...times] = [1, 11, 12, 13, 14].map((index) => Number(fields[index]))
  if (close === -1 || ![pid, parent, ...times].every(Number.isFinite)) return null
  return { pid, parent: parent!, ticks: times.reduce((sum, time) => sum + time, 0) }
}

/** A size in /proc/PID/status, in bytes; null where the line is missing. */
export function parseStatus(text: string, name: 'VmHWM' | 'VmRSS'): number | null {
  const match = new RegExp(`^${name}:\\s*(\\d+) kB$`, 'm').exec(text)
  return match === null ? null : Number(match[1]) * 1024
}

/** The process and its descendants. */
export function familyOf(pid: number, all: readonly ProcessStat[]): ProcessStat[] {
  const children = Map.groupBy(all, ({ parent }) => parent)
  const gather = (own: ProcessStat): ProcessStat[] => [own, ...(children.get(own.pid) ?? []).flatMap(gather)]
  return all.filter((own) => own.pid === pid).flatMap(gather)
}

const ticksPerSecond = HAS_PROC
  ? Number(spawnSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }).stdout) || 100
  : 100

/** CPU time so far of a process and its children, in microseconds. */
export function cpuMicros(pid: number): number | null {
  if (!HAS_PROC) return null
  const ticks = familyOf(pid, allStats()).reduce((sum, it) => sum + it.ticks, 0)
  return (ticks / ticksPerSecond) * 1e6
}

/** Peak memory since `resetPeak`, in bytes; the sum over the family, which counts shared pages more than once. */
export function peakBytes(pid: number): number | null {
  return sumOfStatus(pid, 'VmHWM')
}

export function residentBytes(pid: number): number | null {
  return sumOfStatus(pid, 'VmRSS')
}

/** Lets the peak begin anew (proc(5), clear_refs); without the right to, it stays that of the process's life. */
export function resetPeak(pid: number): void {
  if (!HAS_PROC) return
  for (const it of familyOf(pid, allStats())) {
    try {
      writeFileSync(`/proc/${it.pid}/clear_refs`, '5')
    } catch {}
  }
}

function sumOfStatus(pid: number, name: 'VmHWM' | 'VmRSS'): number | null {
  if (!HAS_PROC) return null
  const sizes = familyOf(pid, allStats()).map((it) =>
    parseStatus(readOrEmpty(`/proc/${it.pid}/status`), name),
  )
  return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0)
}

function allStats(): ProcessStat[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => parseStat(readOrEmpty(`/proc/${name}/stat`)) ?? [])
}

/** A process may end between being listed and being read. */
function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
