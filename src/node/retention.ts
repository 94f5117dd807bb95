/** Erases texts of samples that are older than they may be. Composed by `back-office.ts`, where the store is. */
import type { Log } from '../domain/ports.ts'
import type { Archive } from '../domain/store.ts'

export interface RetentionDeps {
  readonly archive: Archive
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
    const { archive, log } = this.deps
    const { keepMs } = this
    if (keepMs === null) return
    try {
      const filter = { before: Date.now() - keepMs, erased: false }
      const unjudged = await archive.howMany({ ...filter, verdict: 'waiting' })
      let erased = 0
      while (!this.stopped) {
        const done = await archive.erase(filter, true, AT_A_TIME)
        erased += done
        if (done < AT_A_TIME) break
      }
      if (erased > 0) log.info({ erased, unjudged }, 'samples older than samples.retention lost their texts')
    } catch (error) {
      log.error({ err: error }, 'old samples could not be erased; it is tried again in an hour')
    }
  }
}
