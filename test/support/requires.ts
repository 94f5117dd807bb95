/**
 * What some tests need and a user's machine may lack. Such a test is skipped and its name says why; with
 * BALLAST_REQUIRE_ALL=1 (as in CI) the lack is a failure instead.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe } from 'vitest'

export interface Requirement {
  readonly name: string
  readonly missing: boolean
}

/** Reference data that lies beside the project where it is developed; no part of it. */
export const shared = {
  name: 'the reference data in ../shared',
  missing: !existsSync(join(import.meta.dirname, '../../../shared/paper')),
  path: (...segments: string[]) => join(import.meta.dirname, '../../../shared', ...segments),
}

export const promtool: Requirement = {
  name: "Prometheus' promtool on PATH",
  missing: spawnSync('promtool', ['--version']).error !== undefined,
}

export const prometheus: Requirement = {
  name: 'Prometheus and its promtool on PATH',
  missing: promtool.missing || spawnSync('prometheus', ['--version']).error !== undefined,
}

export const compiler: Requirement = {
  name: 'a C compiler, cc, on Linux',
  missing: process.platform !== 'linux' || spawnSync('cc', ['--version']).error !== undefined,
}

export const pseudoTerminal: Requirement = {
  name: "util-linux's script, which makes a pseudo-terminal",
  missing: !spawnSync('script', ['--version']).stdout?.toString().includes('util-linux'),
}

const CHROMIUM = ['chromium', 'chromium-browser', 'google-chrome'].find(
  (name) => spawnSync(name, ['--version']).error === undefined,
)

export const chromium = {
  name: 'Chromium on PATH',
  missing: CHROMIUM === undefined,
  executable: CHROMIUM ?? '',
}

/** A suite that is skipped where something it needs is missing. */
export function describeWith(requirement: Requirement, name: string, suite: () => void): void {
  if (requirement.missing && process.env.BALLAST_REQUIRE_ALL === '1') {
    throw new Error(`"${name}" needs ${requirement.name}, and BALLAST_REQUIRE_ALL=1 lets nothing be skipped`)
  }
  describe.skipIf(requirement.missing)(
    requirement.missing ? `${name} [needs ${requirement.name}]` : name,
    suite,
  )
}
