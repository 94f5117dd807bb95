/**
 * Sends what an isolate has counted to the metrics object, some of it together. Called at the end of each request, within
 * what its context waits for; what could not be sent is sent again with the next.
 */
import type { MetricDeltas } from '../adapters/metrics-deltas.ts'
import type { Log } from '../domain/ports.ts'
import type { Env } from './env.ts'
import type { Batch } from './metrics-object.ts'

/** There is one. */
const OBJECT = 'metrics'
/** Requests that end within this time are sent together. */
const GATHER_MS = 100
/** A metrics object that is away may miss so many; then the oldest are lost, and it is said. */
const MAX_UNSENT = 100

export class MetricsOutbox {
  private readonly counted: MetricDeltas
  private readonly log: Log
  private sentAt = Number.NEGATIVE_INFINITY
  private unsent: Batch[] = []

  constructor(counted: MetricDeltas, log: Log) {
    this.counted = counted
    this.log = log
  }

  /** Never rejects. Resolves when what was counted so far is sent, by this call or by another. */
  async flush(metrics: Env['METRICS']): Promise<void> {
    const wait = this.sentAt + GATHER_MS - Date.now()
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
    if (!this.counted.empty) this.unsent.push({ id: crypto.randomUUID(), ...this.counted.take() })
    const batches = this.unsent
    this.unsent = []
    if (batches.length > 0) this.sentAt = Date.now()
    for (const batch of batches) {
      try {
        await objectOf(metrics).add(batch)
      } catch (error) {
        this.log.warn(
          { err: error },
          'the metrics object could not be reached; what was counted is sent again',
        )
        this.keep(batch)
      }
    }
  }

  private keep(batch: Batch): void {
    this.unsent.push(batch)
    if (this.unsent.length <= MAX_UNSENT) return
    this.unsent.shift()
    this.log.error({}, 'the metrics object is away for long: some of what was counted is lost')
  }
}

export function objectOf(metrics: Env['METRICS']) {
  return metrics.getByName(OBJECT)
}
