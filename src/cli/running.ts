/** What the commands that stay up share: their log, their configuration and its reloads, and how they end. */
import { Option } from 'commander'
import { CATALOG_FOLDER } from '../config/catalog-folder.ts'
import { type Config, loadConfigFile } from '../config/load.ts'
import type { FixedValues } from '../config/restart.ts'
import type { Log } from '../domain/ports.ts'
import { type Reloadable, Reloads } from '../node/reloads.ts'
import { createLog } from './log.ts'
import { fromHere, interrupted } from './usage.ts'

export interface RunningOptions {
  readonly config: string
  readonly logLevel: string
  readonly watch: boolean
}

/** Something that runs by a configuration until it is told to stop. */
export interface Running extends Reloadable {
  close(): Promise<void>
  /** Resolves with the error after which it does its work no more. */
  readonly failure?: Promise<Error>
}

export interface RunOptions<R extends Running> {
  readonly start: (config: Config, log: Log) => Promise<R>
  /** Of the configuration in force, what a reload cannot change. */
  readonly fixed: (running: Config) => FixedValues
  /** Says that it has begun, and that it ends. */
  readonly begun: (running: R, log: Log) => void
  readonly ending: string
  readonly ended: string
}

/** How often the files of the configuration are looked at; a change is taken up after one to two such times. */
const WATCH_EVERY_MS = 500

export function logLevelOption(): Option {
  return new Option('--log-level <level>', 'how much to log, as JSON lines on stderr')
    .choices(['debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
}

/** Starts it, reloads its configuration when that changes and on SIGHUP, and closes it on SIGINT or SIGTERM. */
export async function runUntilStopped<R extends Running>(
  { config: file, logLevel, watch }: RunningOptions,
  { start, fixed, begun, ending, ended }: RunOptions<R>,
): Promise<void> {
  const path = fromHere(file)
  const options = { environment: process.env, catalog: CATALOG_FOLDER }
  const log = createLog(logLevel)
  const stop = interrupted()
  let reloads: Reloads | null = null
  let asked = false
  // From the beginning: without a listener it would end the process.
  process.on('SIGHUP', () => {
    if (reloads === null) asked = true
    else void reloads.reload()
  })
  const running = await start(loadConfigFile(path, options), log)
  reloads = new Reloads({
    ballast: running,
    file: path,
    read: (config) => loadConfigFile(path, { ...options, running: fixed(config) }),
    everyMs: watch ? WATCH_EVERY_MS : null,
  })
  if (asked) void reloads.reload()
  begun(running, log)
  const [signal, failure] = await Promise.race([
    stop.then((signal) => [signal, null] as const),
    ...(running.failure === undefined ? [] : [running.failure.then((error) => [null, error] as const)]),
  ])
  if (failure !== null) log.error({ err: failure }, ending)
  else log.info({ signal }, ending)
  await Promise.all([running.close(), reloads.close()])
  log.info({}, ended)
  if (failure !== null) throw failure
  // What is left, such as telemetry on its way to a collector that is away, must not hold it up.
  process.exit()
}
