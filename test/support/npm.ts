/** Runs npm and what it installs, under the Node of this project: npm chooses versions by the Node that it runs under. */
import { execFile, spawnSync } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import type { Requirement } from './requires.ts'

const ROOT = join(import.meta.dirname, '../..')
const MINUTES = 60_000

export const npmEnvironment = {
  ...process.env,
  PATH: [join(ROOT, 'node_modules/.bin'), process.env.PATH].join(delimiter),
}

export const registry: Requirement = {
  name: "npm's registry",
  missing:
    spawnSync('npm', ['view', 'hono', 'name'], { env: npmEnvironment, timeout: MINUTES, stdio: 'ignore' })
      .status !== 0,
}

/** @throws Error when it ends with anything but 0, with what it said. */
export function runNpm(command: string, args: readonly string[], cwd: string) {
  return promisify(execFile)(command, args, {
    cwd,
    env: npmEnvironment,
    timeout: 5 * MINUTES,
    maxBuffer: 64 << 20,
  })
}
