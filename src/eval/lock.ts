/** Sees to it that one process at a time writes to a folder. Called by the commands that evaluate. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'

/**
 * @returns gives the folder free.
 * @throws Error where a process that runs has it. One that was killed has left it.
 */
export function lockFolder(folder: string): () => void {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, 'lock')
  const own = JSON.stringify({ pid: process.pid, host: hostname() })
  try {
    writeFileSync(path, own, { flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    const holder = readHolder(path)
    if (holder !== null && (holder.host !== hostname() || isRunning(holder.pid)))
      throw new Error(
        `${folder} belongs to process ${holder.pid} on ${holder.host}, which writes to it. If that one is gone, remove ${path}.`,
      )
    writeFileSync(path, own)
  }
  return () => rmSync(path, { force: true })
}

function readHolder(path: string): { pid: number; host: string } | null {
  try {
    const { pid, host } = JSON.parse(readFileSync(path, 'utf8')) as { pid: unknown; host: unknown }
    return typeof pid === 'number' && typeof host === 'string' ? { pid, host } : null
  } catch {
    // Cut off by a kill.
    return null
  }
}

function isRunning(pid: number): boolean {
  if (pid === process.pid) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
