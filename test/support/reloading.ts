/** Starts the real ballast from a file on disk and reloads it as `ballast serve` does. */
import { mkdirSync, mkdtempSync, renameSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'
import { loadConfigFile } from '../../src/config/load.ts'
import type { Log, ReloadOutcome } from '../../src/domain/ports.ts'
import { Reloads } from '../../src/node/reloads.ts'
import { type Ballast, CATALOG_FOLDER, startBallast } from '../../src/node.ts'
import { eventually, LISTEN, metricValue } from './ballast.ts'

export interface Logged {
  readonly level: string
  readonly fields: Readonly<Record<string, unknown>>
  readonly message: string
}

export interface Reloading {
  readonly ballast: Ballast
  readonly reloads: Reloads
  readonly folder: string
  readonly file: string
  readonly logged: Logged[]
  metrics(): Promise<string>
  /** How often each outcome was counted. */
  outcomes(): Promise<Record<ReloadOutcome, number>>
  /** Writes a file of the folder as editors do, whole and then renamed into place. */
  write(name: string, text: string): void
  /** Writes the configuration and waits until it was taken up, as counted under `outcome`. */
  change(yaml: string, outcome?: ReloadOutcome): Promise<void>
}

export interface ReloadingOptions {
  readonly environment?: Record<string, string>
  /** Further files, by path. */
  readonly files?: Record<string, string>
  /** Null: only when asked. */
  readonly everyMs?: number | null
  /** A configuration that is there already, whose path this is. */
  readonly at?: string
}

const NAME = 'ballast.yaml'

/** @param yaml without `listen` it listens on port 0. */
export async function startReloading(yaml: string, options: ReloadingOptions = {}): Promise<Reloading> {
  const { environment = {}, files = {}, everyMs = 25, at } = options
  const folder = mkdtempSync(join(tmpdir(), 'ballast-reload-'))
  const file = at ?? join(folder, NAME)
  const write = (path: string, text: string) => {
    const target = join(folder, path)
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(`${target}.new`, text)
    renameSync(`${target}.new`, target)
  }
  const whole = (text: string) => (/^listen:/m.test(text) ? text : LISTEN + text)
  for (const [path, text] of Object.entries(files)) write(path, text)
  if (at === undefined) write(NAME, whole(yaml))

  const logged: Logged[] = []
  const level = (level: string) => (fields: Logged['fields'], message: string) =>
    void logged.push({ level, fields, message })
  const log: Log = { debug: level('debug'), info: level('info'), warn: level('warn'), error: level('error') }
  const load = { environment, catalog: CATALOG_FOLDER }
  const ballast = await startBallast(loadConfigFile(file, load), log)
  const read = (running: Ballast['config']) => loadConfigFile(file, { ...load, running })
  const reloads = new Reloads({ ballast, file, read, everyMs })
  onTestFinished(async () => {
    await reloads.close()
    await ballast.close(0)
  })
  const metrics = async () => await (await fetch(`${ballast.adminUrl}/metrics`)).text()
  const outcomes = async () => {
    const text = await metrics()
    const count = (outcome: string) => metricValue(text, 'ballast_config_reloads_total', { outcome })
    return { applied: count('applied'), failed: count('failed'), unchanged: count('unchanged') }
  }
  return {
    ballast,
    reloads,
    folder,
    file,
    logged,
    metrics,
    outcomes,
    write,
    async change(text, outcome = 'applied') {
      const before = await outcomes()
      write(NAME, whole(text))
      if (everyMs === null) await reloads.reload()
      await eventually(async () => (await outcomes())[outcome] === before[outcome] + 1, 15_000)
    },
  }
}
