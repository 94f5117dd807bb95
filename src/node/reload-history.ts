/** The reloads since ballast started, for the page. Kept by `node.ts`, in memory. */
import type { Changes } from './changes.ts'
import type { Reload } from './reloads.ts'

const MOST = 20

export interface PastReload {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly outcome: 'applied' | 'failed'
  /** Of the configuration in force afterwards. */
  readonly hash: string
  readonly changes: Changes
  readonly problems: readonly string[]
}

export class ReloadHistory {
  readonly startedAt = Date.now()
  private past: readonly PastReload[] = []

  /** @param hash of the configuration in force after it. */
  add({ outcome, changes = {}, problems = [] }: Reload, hash: string): void {
    if (outcome === 'unchanged') return
    this.past = [{ at: Date.now(), outcome, hash, changes, problems }, ...this.past].slice(0, MOST)
  }

  /** Newest first. */
  get reloads(): readonly PastReload[] {
    return this.past
  }

  /** When the configuration in force came into it, milliseconds since the epoch. */
  get since(): number {
    return this.past.find(({ outcome }) => outcome === 'applied')?.at ?? this.startedAt
  }

  /** When the last reload was refused; null where it was not. */
  get failedAt(): number | null {
    const [last] = this.past
    return last?.outcome === 'failed' ? last.at : null
  }
}
