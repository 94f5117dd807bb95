/**
 * What people did to arms in the settings of a Worker, counted and logged once: by the office object, which keeps what it
 * has told, while every isolate follows for itself. Composed by `office-object.ts`.
 */
import type { DurableObjectStorage } from '@cloudflare/workers-types'
import type { Log, Metrics } from '../domain/ports.ts'
import type { ArmEvent } from '../domain/store.ts'

export class ArmNews {
  private readonly storage: DurableObjectStorage
  private readonly metrics: Pick<Metrics, 'armEvent'>
  private readonly log: Log

  constructor(storage: DurableObjectStorage, metrics: Pick<Metrics, 'armEvent'>, log: Log) {
    this.storage = storage
    this.metrics = metrics
    this.log = log
    storage.sql.exec('create table if not exists told_arms (id text primary key)')
  }

  /** @param events all that is said of arms now. */
  tell(events: readonly ArmEvent[]): void {
    const { sql } = this.storage
    const told = new Set(
      sql
        .exec('select id from told_arms')
        .toArray()
        .map(({ id }) => String(id)),
    )
    this.storage.transactionSync(() => {
      sql.exec('delete from told_arms')
      for (const { id } of events) sql.exec('insert into told_arms values (?)', id)
    })
    for (const { id, experiment, arm, action, by } of events) {
      if (told.has(id)) continue
      this.metrics.armEvent(experiment, arm, action, by)
      this.log.warn({ experiment, arm, action, by }, 'an arm was switched in the settings')
    }
  }
}
