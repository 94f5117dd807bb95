/**
 * The `Store` and `Archive` ports on engines with transactions. Completed by `store-sqlite.ts` and `store-postgres.ts`, which
 * also have the queue.
 */
import type { Transaction } from 'kysely'
import type { Sample } from '../domain/sample.ts'
import type { Archive, ArmEvent, ExposureBatch, SampleFilter, Store } from '../domain/store.ts'
import { type Verdict, withoutTexts } from '../domain/verdict.ts'
import { eraseScores, eraseSome, NO_TEXT, rejudgeSome } from './store-archive.ts'
import { armEventRows } from './store-arm-events.ts'
import { mergeExposures } from './store-exposures.ts'
import { COUNTED_COLUMNS, countedSample, sampleRow } from './store-rows.ts'
import { StatementStore } from './store-statements.ts'
import type { Tables } from './store-tables.ts'
import { type CountedSample, tallySamples, tallyVerdicts } from './store-tallies.ts'

/** Engines bound how many values a statement may have. */
const IDS_AT_A_TIME = 500
const ROWS_AT_A_TIME = 500

/** A verdict that is to be stored. */
export interface Judged {
  readonly verdict: Verdict
  /** Whether the sample's texts go, and texts of the judge with them. */
  readonly eraseText: boolean
}

export abstract class SqlStore extends StatementStore implements Store, Archive {
  /** Called when verdicts were stored, within their transaction, before their samples are touched. */
  protected abstract judged(
    transaction: Transaction<Tables>,
    verdicts: readonly Pick<Verdict, 'sampleId' | 'check'>[],
  ): Promise<void>

  /** Called before an arm's event is given its number: until the transaction ends, no other is. */
  protected abstract ordered(transaction: Transaction<Tables>): Promise<void>

  protected async transact<T>(run: (transaction: Transaction<Tables>) => Promise<T>): Promise<T> {
    return await this.writing(() => this.db.transaction().execute(run))
  }

  /** What a new sample's `visible_at` is. */
  protected abstract firstVisible(sample: Sample): number

  /** Stores samples and counts them. @returns those that were not there yet. */
  protected async insertSamples(
    transaction: Transaction<Tables>,
    samples: readonly Sample[],
  ): Promise<Sample[]> {
    const rows = await transaction
      .insertInto('samples')
      .values(samples.map((sample) => ({ ...sampleRow(sample), visible_at: this.firstVisible(sample) })))
      .onConflict((conflict) => conflict.column('id').doNothing())
      .returning('id')
      .execute()
    const added = new Set(rows.map(({ id }) => id))
    // One that was given twice is new once.
    const fresh = samples.filter(({ id }) => added.delete(id))
    await tallySamples(transaction, fresh)
    return fresh
  }

  /**
   * Stores verdicts and counts them, and takes their samples off the queue.
   * @returns of each whether it was the first one of its sample.
   */
  protected async insertVerdicts(
    transaction: Transaction<Tables>,
    judged: readonly Judged[],
  ): Promise<boolean[]> {
    // Always in the same order: two transactions then cannot wait for each other.
    const ordered = judged.toSorted((a, b) =>
      a.verdict.sampleId < b.verdict.sampleId ? -1 : Number(a.verdict.sampleId > b.verdict.sampleId),
    )
    const rows = await transaction
      .insertInto('verdicts')
      .values(ordered.map(verdictRow))
      .onConflict((conflict) => conflict.columns(['sample_id', 'check_id']).doNothing())
      .returning(['sample_id', 'check_id'])
      .execute()
    await this.judged(
      transaction,
      ordered.map(({ verdict }) => verdict),
    )
    const samples = new Map<string, CountedSample>()
    for (const [eraseText, its] of Map.groupBy(ordered, (it) => it.eraseText)) {
      const done = await transaction
        .updateTable('samples')
        .set({ done: 1, ...(eraseText ? NO_TEXT : {}) })
        .where(
          'id',
          'in',
          its.map(({ verdict }) => verdict.sampleId),
        )
        .returning(['id', ...COUNTED_COLUMNS])
        .execute()
      for (const row of done) samples.set(row.id, countedSample(row))
    }
    const added = new Set(rows.map((row) => keyOf(row.sample_id, row.check_id)))
    // One that was given twice is new once.
    const fresh = new Set(
      ordered.filter(({ verdict: { sampleId, check } }) => added.delete(keyOf(sampleId, check))),
    )
    for (const it of ordered) {
      // Somebody was first, and may have kept what the judge wrote.
      if (it.eraseText && !fresh.has(it)) await eraseScores(transaction, it.verdict.sampleId)
    }
    await tallyVerdicts(
      transaction,
      [...fresh].map(({ verdict }) => ({ sample: samples.get(verdict.sampleId)!, verdict })),
    )
    return judged.map((it) => fresh.has(it))
  }

  async addArmEvent(event: ArmEvent): Promise<void> {
    await this.transact(async (transaction) => {
      await this.ordered(transaction)
      const all = await transaction.selectFrom('arm_events').selectAll().orderBy('seq').execute()
      const added = armEventRows(event, all)
      if (added.length > 0) await transaction.insertInto('arm_events').values(added).execute()
    })
  }

  async addExposures(batches: readonly ExposureBatch[]): Promise<void> {
    // Always in the same order: two transactions then cannot wait for each other.
    const merged = mergeExposures(batches)
    await this.transact(async (transaction) => {
      for (const { experiment, arm, assignment, exposures, anonymousUnits } of merged) {
        await transaction
          .insertInto('exposures')
          .values({ experiment, arm, assignment, exposures, anonymous_units: anonymousUnits })
          .onConflict((conflict) =>
            conflict.columns(['experiment', 'arm', 'assignment']).doUpdateSet((eb) => ({
              exposures: eb('exposures.exposures', '+', exposures),
              anonymous_units: eb('exposures.anonymous_units', '+', anonymousUnits),
            })),
          )
          .execute()
      }
      for (const { experiment, arm, assignment, units } of merged) {
        const rows = [...new Set(units)].sort().map((unit) => ({ experiment, arm, assignment, unit }))
        for (let start = 0; start < rows.length; start += ROWS_AT_A_TIME) {
          await transaction
            .insertInto('units')
            .values(rows.slice(start, start + ROWS_AT_A_TIME))
            .onConflict((conflict) => conflict.doNothing())
            .execute()
        }
      }
    })
  }

  protected async eraseJudged(filter: SampleFilter, most: number): Promise<number> {
    return await this.transact((transaction) => eraseSome(transaction, filter, most))
  }

  async rejudge(filter: SampleFilter): Promise<number> {
    let again = 0
    for (;;) {
      const done = await this.transact(async (transaction) => {
        const ids = await rejudgeSome(transaction, filter, IDS_AT_A_TIME)
        await this.waitingAgain(transaction, ids)
        return ids.length
      })
      again += done
      if (done < IDS_AT_A_TIME) return again
    }
  }

  /** Called when samples were put back among those that wait, within the transaction; for a queue that is elsewhere. */
  protected async waitingAgain(_transaction: Transaction<Tables>, _ids: readonly string[]): Promise<void> {}
}

function keyOf(sampleId: string, check: string): string {
  return JSON.stringify([sampleId, check])
}

function verdictRow({
  verdict: { sampleId, check, checkVersion, verdict, scores, judgedAt },
  eraseText,
}: Judged) {
  return {
    sample_id: sampleId,
    check_id: check,
    check_version: checkVersion,
    verdict,
    scores: JSON.stringify(eraseText ? withoutTexts(scores) : scores),
    judged_at: judgedAt,
  }
}
