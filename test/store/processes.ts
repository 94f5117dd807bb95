/** Opens a store in processes of their own, all at the same time. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** @returns the unit key that each of them has. */
export async function openInProcesses(address: string, count: number): Promise<string[]> {
  const script = join(import.meta.dirname, 'open-store.ts')
  const runs = Array.from({ length: count }, () => promisify(execFile)(process.execPath, [script, address]))
  return (await Promise.all(runs)).map(({ stdout }) => stdout.trim())
}
