/**
 * The Durable Object that adds up what all isolates count, keeps it, and exposes it to Prometheus. There is one of it;
 * isolates send it what they counted (`outbox.ts`), and whoever scrapes asks it through the Worker.
 */
import { DurableObject } from 'cloudflare:workers'
import type { DurableObjectState } from '@cloudflare/workers-types'
import type { Counted } from '../adapters/metrics-deltas.ts'
import type { JudgeState } from '../adapters/metrics-prom.ts'
import { MetricSums, type SeriesSum } from '../adapters/metrics-sum.ts'
import type { ArmState, Report } from '../domain/report.ts'
import type { QueueStatus } from '../domain/store.ts'

/** What one isolate counted, under a name that no other has: it may be sent again when nobody knows whether it arrived. */
export interface Batch extends Counted {
  readonly id: string
}

/** What the gauges tell besides: whoever asks knows it. */
export interface Facts {
  readonly configHash: string
  readonly armStates: readonly (ArmState & { readonly experiment: string; readonly arm: string })[]
  readonly reports: readonly Report[]
  /** Null where the store cannot be read. */
  readonly queue: QueueStatus | null
  readonly judges: readonly JudgeState[]
  /** Whether the configuration that was read last is in force. */
  readonly reloaded: boolean
}

/** So long a batch may be sent again, in milliseconds. */
const REMEMBERED_MS = 10 * 60_000

export class MetricsObject extends DurableObject {
  private readonly state: DurableObjectState
  private readonly sums = new MetricSums()

  constructor(state: DurableObjectState, env: unknown) {
    super(state, env)
    this.state = state
    const { sql } = state.storage
    sql.exec(
      'create table if not exists series (name text, "values" text, sum text, primary key (name, "values"))',
    )
    sql.exec('create table if not exists batches (id text primary key, at integer)')
    sql.exec('create index if not exists batches_by_time on batches (at)')
    const rows = sql.exec('select name, "values", sum from series').toArray()
    const series = rows.map((row) => ({
      name: String(row.name),
      values: JSON.parse(String(row.values)) as SeriesSum['values'],
      added: JSON.parse(String(row.sum)) as SeriesSum['sum'],
    }))
    this.sums.add({ series })
  }

  /** Adds a batch, once however often it is sent. */
  add({ id, ...counted }: Batch): void {
    const { storage } = this.state
    const now = Date.now()
    try {
      storage.transactionSync(() => {
        storage.sql.exec('delete from batches where at < ?', now - REMEMBERED_MS)
        const { rowsWritten } = storage.sql.exec('insert or ignore into batches values (?, ?)', id, now)
        if (rowsWritten === 0) return
        for (const { name, values, sum } of this.sums.add(counted)) {
          const row = [name, JSON.stringify(values), JSON.stringify(sum)]
          storage.sql.exec('insert or replace into series values (?, ?, ?)', ...row)
        }
      })
    } catch (error) {
      // What is in memory may be ahead of what is kept: it begins anew from that.
      this.state.abort('the metrics could not be kept')
      throw error
    }
  }

  /** The exposition text and its content type. */
  async expose({ configHash, armStates, reports, queue, judges, reloaded }: Facts) {
    const { metrics } = this.sums
    metrics.observe({
      configHash: () => configHash,
      // Each isolate knows its own alone.
      upstreams: () => [],
      requestsInFlight: () => null,
      armStates: () => armStates,
      reports: async () => reports,
      queue: async () => queue,
      judges: () => judges,
      reloaded: () => reloaded,
    })
    return await metrics.expose()
  }
}
