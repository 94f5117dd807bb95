/** What the Worker asks of its office object (`office-object.ts`). */
import type { JudgeState } from '../adapters/metrics-prom.ts'
import type { Report } from '../domain/report.ts'
import type { QueueStatus } from '../domain/store.ts'
import type { Objects } from './objects.ts'

export interface OfficeCalls {
  /** Judges what may be judged now, for a while. @returns in how many seconds to come again; null: no need. */
  judge(): Promise<number | null>
  /** Follows experiments, acts by their rules, erases what is old. @returns whether samples wait to be judged. */
  lookRound(): Promise<{ readonly waits: boolean }>
  /** Of all that is stored by now. Rejects where the store cannot be read. */
  reports(): Promise<readonly Report[]>
  /** For the metrics, at most a moment old. */
  facts(): Promise<OfficeFacts>
}

export interface OfficeFacts {
  readonly reports: readonly Report[]
  /** Null where the store cannot be read. */
  readonly queue: QueueStatus | null
  readonly judges: readonly JudgeState[]
  /** Whether the configuration that it read last was refused. */
  readonly refused: boolean
}

/** There is one. */
const OBJECT = 'office'

export function officeOf(office: Objects<OfficeCalls>) {
  return office.getByName(OBJECT)
}
