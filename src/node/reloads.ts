/**
 * Reads the configuration anew when its files change, or when asked (SIGHUP). Started by `ballast serve`.
 *
 * It looks at the files' state now and then instead of waiting for the system to tell: notices are bound to the files
 * that were there, and stay away when an editor puts a new one in place, when a link above is turned (a Kubernetes
 * config map), and on network file systems. A state counts once it has stood still from one look to the next, so that
 * no half-written file is read.
 */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { type Config, ConfigError } from '../config/load.ts'
import { formatProblem } from '../config/problem.ts'
import type { ReloadOutcome } from '../domain/ports.ts'
import type { Changes } from './changes.ts'

/** A ballast as far as reloading goes. */
export interface Reloadable {
  readonly config: Config
  /** @param read gives the configuration that may follow the running one. Never rejects. */
  reload(read: (running: Config) => Config): Promise<Reload>
}

export interface Reload {
  readonly outcome: ReloadOutcome
  /** The folders of policies that were read, some of which may not exist. */
  readonly folders: readonly string[]
  /** What differs from the configuration before; missing where none was applied. */
  readonly changes?: Changes
  /** Why it was refused, a line each; missing where it was not. */
  readonly problems?: readonly string[]
}

export interface ReloadsOptions {
  readonly ballast: Reloadable
  readonly file: string
  /** @throws ConfigError */
  readonly read: (running: Config) => Config
  /** Between two looks, in milliseconds; null: only when asked. */
  readonly everyMs: number | null
}

/** What is known of the file and of each folder, by path. */
type States = ReadonlyMap<string, string>
/** No path is ever in this state. */
const UNKNOWN = ''

export class Reloads {
  private readonly options: ReloadsOptions
  private readonly ending = new AbortController()
  /** The file and the folders. */
  private paths: readonly string[]
  /** Of what was read last. */
  private seen: States = new Map()
  private reloading: Promise<unknown> = Promise.resolve()
  private watching: Promise<void> = Promise.resolve()

  constructor(options: ReloadsOptions) {
    this.options = options
    this.paths = [options.file, ...options.ballast.config.folders]
    if (options.everyMs !== null) this.watching = this.watch(options.everyMs)
  }

  /** Reads the configuration now. */
  reload(): Promise<ReloadOutcome> {
    const reload = this.reloading.then(() => this.readAnew())
    this.reloading = reload
    return reload
  }

  async close(): Promise<void> {
    this.ending.abort()
    await this.watching
    await this.reloading
  }

  private async watch(everyMs: number): Promise<void> {
    const { signal } = this.ending
    let last = await look(this.paths)
    // It was read before anybody watched. What has changed since then counts once it stands still, like any change.
    if (this.comesOutAs({ outcome: 'unchanged' })) this.seen = last
    while (!signal.aborted) {
      await sleep(everyMs, undefined, { signal, ref: false }).catch(() => {})
      await this.reloading
      const { seen } = this
      const now = await look(this.paths)
      // Was it read meanwhile, as somebody asked, this look says nothing of it.
      const asked = seen !== this.seen
      if (!signal.aborted && !asked && differ(now, seen) && !differ(now, last)) await this.reload()
      last = now
    }
  }

  private async readAnew(): Promise<ReloadOutcome> {
    const { ballast, file, read } = this.options
    // Looked at before it is read: what changes meanwhile is read again.
    const before = await look(this.paths)
    const reload = await ballast.reload(read)
    // Those of the running one, and those of one that was refused: it may be mended there.
    this.paths = [...new Set([file, ...ballast.config.folders, ...reload.folders])]
    const added = await look(this.paths.filter((path) => !before.has(path)))
    // A folder that is named for the first time is looked at only after it was read.
    const stands = added.size === 0 || this.comesOutAs(reload)
    const seen = (path: string) => before.get(path) ?? (stands ? added.get(path)! : UNKNOWN)
    this.seen = new Map(this.paths.map((path) => [path, seen(path)]))
    return reload.outcome
  }

  /** Whether reading now would come out so; `unchanged` and `applied`: as what runs. */
  private comesOutAs({ outcome, problems }: Pick<Reload, 'outcome' | 'problems'>): boolean {
    const { ballast, read } = this.options
    try {
      return read(ballast.config).hash === ballast.config.hash && outcome !== 'failed'
    } catch (error) {
      if (!(error instanceof ConfigError) || outcome !== 'failed') return false
      return isDeepStrictEqual(error.problems.map(formatProblem), problems)
    }
  }
}

async function look(paths: readonly string[]): Promise<States> {
  return new Map(await Promise.all(paths.map(async (path) => [path, await stateOf(path)] as const)))
}

/** Which file a path leads to, links followed, and when it was changed last; of a folder the same for its YAML files. */
async function stateOf(path: string): Promise<string> {
  try {
    const found = await stat(path, { bigint: true })
    const { dev, ino, size, mtimeNs, ctimeNs } = found
    if (!found.isDirectory()) return `${dev}:${ino} ${size} ${mtimeNs} ${ctimeNs}`
  } catch (error) {
    return String((error as { code?: unknown }).code)
  }
  const names = (await readdir(path).catch(() => [])).filter((name) => /\.ya?ml$|^checks$/.test(name))
  const states = await Promise.all(
    names.sort().map(async (name) => `${name} ${await stateOf(join(path, name))}`),
  )
  return `[${states.join(', ')}]`
}

function differ(one: States, other: States): boolean {
  return one.size !== other.size || [...one].some(([path, state]) => other.get(path) !== state)
}
