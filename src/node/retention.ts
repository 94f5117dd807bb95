/** Erases texts of samples that are older than they may be. Composed by `back-office.ts`, where the store is, and on Workers. */
import type { Log } from '../domain/ports.ts'
import type { Archive } from '../domain/store.ts'

export interface RetentionDeps {
  readonly archive: Pick<Archive, 'howMany' | 'erase'>
  readonly log: Log
}

const EVERY_MS = 3_600_000
/** Samples erased in one go; in between others may write. */
const AT_A_TIME = 500

export class Retention {
  private readonly deps: RetentionDeps
  private keepMs: number | null = null
  private timer: NodeJS.Timeout | null = null
  private running: Promise<void> | null = null
  private stopped = false

  constructor(deps: RetentionDeps) {
    this.deps = deps
  }

  /** Keeps texts so long from now on, null for ever: looks at once and then every hour. */
  use(keepMs: number | null): void {
    if (keepMs === this.keepMs) return
    this.keepMs = keepMs
    if (this.timer !== null) clearInterval(this.timer)
    this.timer = keepMs === null ? null : setInterval(() => void this.sweep(), EVERY_MS).unref()
    void this.sweep()
  }

  /** Erases what is too old now. Never rejects; one that runs already is waited for. */
  async sweep(): Promise<void> {
    this.running ??= this.run().finally(() => {
      this.running = null
    })
    await this.running
  }

  async stop(): Promise<void> {
    this.stopped = true
    if (this.timer !== null) clearInterval(this.timer)
    await this.running
  }

  private async run(): Promise<void> {
    const { keepMs } = this
    if (keepMs !== null) await eraseOld(this.deps, keepMs, Number.POSITIVE_INFINITY, () => this.stopped)
  }
}

/**
 * Erases texts of samples older than so many milliseconds. Never rejects.
 * @param most how many samples. @param stopped whether to leave the rest for another time.
 */
export async function eraseOld(
  { archive, log }: RetentionDeps,
  keepMs: number,
  most: number,
  stopped: () => boolean = () => false,
): Promise<void> {
  try {
    const filter = { before: Date.now() - keepMs, erased: false }
    const unjudged = await archive.howMany({ ...filter, verdict: 'waiting' })
    let erased = 0
    while (!stopped() && erased < most) {
      const some = Math.min(AT_A_TIME, most - erased)
      const done = await archive.erase(filter, true, some)
      erased += done
      if (done < some) break
    }
    if (erased > 0) log.info({ erased, unjudged }, 'samples older than samples.retention lost their texts')
  } catch (error) {
    log.error({ err: error }, 'old samples could not be erased; it is tried again')
  }
}
