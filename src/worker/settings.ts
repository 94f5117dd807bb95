/**
 * What an isolate serves by: the configuration and the arms' switches, from KV where they are there, else from the bundle;
 * and what rules did to arms, from D1. Read when the isolate begins, and again while requests come. What is wrong or cannot be
 * read leaves what is in force.
 */
import bundled from 'ballast:bundled'
import { dirname } from 'node:path'
import { D1Store } from '../adapters/store-d1.ts'
import { type Config, parseConfigIn } from '../config/parse.ts'
import { ConfigError, formatProblem } from '../config/problem.ts'
import { BallastError } from '../domain/errors.ts'
import type { ArmEvent } from '../domain/store.ts'
import { applyArmEvents } from '../node/arm-events.ts'
import { changesBetween } from '../node/changes.ts'
import { warnings } from '../policy/warnings.ts'
import { readArms } from './arms.ts'
import { bundledFiles } from './bundled-files.ts'
import { type Context, type Env, textsOf } from './env.ts'
import { type Lasting, WorkerSnapshot } from './snapshot.ts'

/** The binding's name, for what is said of what is in it. */
const PLACE = 'SETTINGS'
const CONFIG_KEY = 'ballast.yaml'
const ARMS_KEY = 'arms'
/** How long what was read is used before KV is asked again; KV itself may be a minute behind. */
const FRESH_MS = 5_000
/** Older than this they are waited for: an arm that was switched off an hour ago gets no request more. */
const STALE_MS = 60_000
/** No longer than this: KV and D1 are no reason to keep a client waiting. */
const WAIT_MS = 1_000
/** What KV caches where the Worker runs, in seconds: the least it takes. */
const KV_CACHE_SECONDS = 30

interface Texts {
  readonly config: string | null
  readonly arms: string | null
}

export class Settings {
  private readonly lasting: Lasting
  private readonly switched: (events: readonly ArmEvent[]) => void
  private current: WorkerSnapshot | null = null
  /** Of the settings, by people. */
  private armEvents: readonly ArmEvent[] = []
  /** Of the store, by rules. */
  private storedEvents: readonly ArmEvent[] = []
  /** What was read last, in force or not. */
  private read: Texts | null = null
  /** When it was begun to read, and when that had ended, milliseconds since the epoch. */
  private askedAt = Number.NEGATIVE_INFINITY
  private readAt = Number.NEGATIVE_INFINITY
  /** Whether the configuration that was read last was refused. */
  private wrong = false
  /** Why there is none in force. */
  private problem: string | null = null

  /** @param switched told of what people have done to arms, when it is read first and when that changes. */
  constructor(lasting: Lasting, switched: (events: readonly ArmEvent[]) => void = () => {}) {
    this.lasting = lasting
    this.switched = switched
  }

  /** @throws BallastError where no configuration has ever been right. */
  async inForce(env: Env, context: Context): Promise<WorkerSnapshot> {
    const now = Date.now()
    const due = now - this.askedAt > FRESH_MS
    if (this.current === null) {
      if (due || this.problem === null) await this.refresh(env)
    } else if (now - this.readAt > STALE_MS) {
      // Each for itself: no request may wait for what another one has begun.
      const refreshed = this.refresh(env)
      context.waitUntil(refreshed)
      await within(WAIT_MS, refreshed)
      // Where there was no answer, the next ones do not wait for it, too.
      this.readAt = Date.now()
    } else if (due) context.waitUntil(this.refresh(env))
    if (this.current !== null) return this.current
    throw new BallastError(
      'ballast_internal',
      'ballast has no configuration that it can serve by; its log says why.',
      {
        source: 'internal',
      },
    )
  }

  /** Null when it serves, else why not. */
  get notReady(): string | null {
    return this.current === null ? (this.problem ?? 'not begun') : null
  }

  /** Whether the configuration that was read last was refused: an older one runs, or none. */
  get refused(): boolean {
    return this.wrong
  }

  /** Never rejects. Whoever comes meanwhile goes by what is in force. */
  private async refresh(env: Env): Promise<void> {
    this.askedAt = Date.now()
    const stored = this.readStored(env)
    try {
      const texts = await readTexts(env)
      if (this.read === null || texts.config !== this.read.config || this.current === null)
        this.useConfig(texts.config, env)
      if (this.read === null || texts.arms !== this.read.arms) this.useArms(texts.arms)
      this.read = texts
    } catch (error) {
      this.lasting.log.error({ err: error }, 'the settings could not be read: what is in force stays')
      if (this.current === null) this.useConfig(null, env)
    }
    this.storedEvents = await stored
    this.switchArms()
    this.readAt = Date.now()
  }

  /** Never rejects. */
  private async readStored({ DB }: Env): Promise<readonly ArmEvent[]> {
    if (DB === undefined) return []
    try {
      return await new D1Store({ d1: DB, queueLimit: 0 }).armEvents()
    } catch (error) {
      this.lasting.log.error(
        { err: error },
        'what rules did to arms could not be read: they stay as they are',
      )
      return this.storedEvents
    }
  }

  /** What people say in the settings of an arm goes before what rules did to it. */
  private switchArms(): void {
    if (this.current === null) return
    const said = this.armEvents
    const ofRules = this.storedEvents.filter(
      (it) => !said.some(({ experiment, arm }) => experiment === it.experiment && arm === it.arm),
    )
    applyArmEvents(this.current.plan, [...ofRules, ...said])
  }

  private useConfig(text: string | null, env: Env): void {
    const { metrics, log } = this.lasting
    const running = this.current
    try {
      const config = parse(text, env)
      this.wrong = false
      if (config.hash === running?.config.hash) return
      this.use(new WorkerSnapshot(config, this.lasting, running))
      for (const warning of warnings(config)) log.warn({}, formatProblem(warning))
      this.warnOfChecks(env)
      if (running === null) return
      const changes = changesBetween(running.config, config)
      log.info({ config: config.hash, changes }, 'the configuration was reloaded')
      metrics.configReload('applied')
    } catch (error) {
      this.wrong = true
      const why =
        error instanceof ConfigError ? { problems: error.problems.map(formatProblem) } : { err: error }
      if (running === null) {
        this.problem = 'the configuration is wrong; the log says where'
        log.error(why, 'there is no configuration to serve by')
      } else {
        log.error(why, 'the configuration was not reloaded: the running one stays')
        metrics.configReload('failed')
      }
    }
  }

  /** Nobody is to wait for rates that never come. */
  private warnOfChecks({ DB }: Env): void {
    if (DB !== undefined) return
    const checked = this.current!.plan.experiments.filter(({ check }) => check !== null)
    if (checked.length === 0) return
    const experiments = checked.map(({ name }) => name)
    this.lasting.log.warn(
      { experiments },
      'a Worker without the binding DB does not judge: what is drawn for checks is dropped',
    )
  }

  private use(snapshot: WorkerSnapshot): void {
    this.current = snapshot
    this.switchArms()
    this.problem = null
  }

  private useArms(text: string | null): void {
    try {
      this.armEvents = readArms(text, this.armEvents)
    } catch (error) {
      this.lasting.log.error({ err: error }, 'what was done to arms could not be read: they stay as they are')
      return
    }
    this.switchArms()
    this.switched(this.armEvents)
  }
}

async function readTexts({ SETTINGS }: Env): Promise<Texts> {
  if (SETTINGS === undefined) return { config: null, arms: null }
  const options = { cacheTtl: KV_CACHE_SECONDS }
  const [config, arms] = await Promise.all([
    SETTINGS.get(CONFIG_KEY, options),
    SETTINGS.get(ARMS_KEY, options),
  ])
  return { config, arms }
}

/** @param text null: the bundled one. @throws ConfigError */
function parse(text: string | null, env: Env): Config {
  const { file, catalog, texts } = bundled
  const options = { environment: textsOf(env), catalog, files: bundledFiles(texts), folder: dirname(file) }
  return text === null
    ? parseConfigIn(texts[file]!, file, options)
    : parseConfigIn(text, `${PLACE}/${CONFIG_KEY}`, options)
}

async function within(ms: number, work: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout>
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([work, late]).finally(() => clearTimeout(timer))
}
