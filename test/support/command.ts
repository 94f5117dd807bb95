/** Runs the `ballast` command as a process. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')

export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/**
 * Starts it. It is not told of a terminal, and asked for no colour unless the environment says so.
 * @param input what it reads on standard input.
 */
export function ballast(
  args: readonly string[],
  environment: Record<string, string | undefined> = {},
  input: string | Buffer = '',
) {
  const child = spawn(process.execPath, ['src/cli/main.ts', ...args], {
    cwd: ROOT,
    env: { ...process.env, FORCE_COLOR: undefined, NO_COLOR: undefined, ...environment },
  }) as ChildProcessWithoutNullStreams
  onTestFinished(() => void child.kill('SIGKILL'))
  // A command that does not read to the end is no fault of the test's.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  child.stdout.setEncoding('utf8')
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const finished = new Promise<Finished>((resolve) =>
    child.on('close', (code) => resolve({ code, stdout, stderr })),
  )
  /** The first match in what it says on stderr. */
  const says = (pattern: RegExp) =>
    new Promise<RegExpExecArray>((resolve, reject) => {
      const look = () => {
        const match = pattern.exec(stderr)
        if (match === null) return false
        // Else it would look through all that follows again with each piece.
        child.stderr.off('data', look)
        resolve(match)
        return true
      }
      if (look()) return
      child.stderr.on('data', look)
      child.on('close', () => look() || reject(new Error(`it ended without saying ${pattern}:\n${stderr}`)))
    })
  return { child, finished, says, said: () => stderr }
}

/** A configuration in a folder of its own. @returns its path. */
export function configFile(yaml: string): string {
  const file = join(mkdtempSync(join(tmpdir(), 'ballast-')), 'ballast.yaml')
  writeFileSync(file, yaml)
  return file
}
