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
import { sampleRow, toSample } from './store-rows.ts'
import { StatementStore } from './store-statements.ts'
import type { Tables } from './store-tables.ts'
import { tally, tallySamples, tallyScores } from './store-tallies.ts'

/** Engines bound how many values a statement may have. */
const IDS_AT_A_TIME = 500
const ROWS_AT_A_TIME = 500

export abstract class SqlStore extends StatementStore implements Store, Archive {
  /** Called when a verdict was stored, within its transaction, before its sample is touched. */
  protected abstract judged(
    transaction: Transaction<Tables>,
    verdict: Pick<Verdict, 'sampleId' | 'check'>,
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

  async addVerdict(verdict: Verdict, eraseText = false): Promise<boolean> {
    return await this.transact(async (transaction) => {
      const { sampleId, check, checkVersion } = verdict
      const scores = eraseText ? withoutTexts(verdict.scores) : verdict.scores
      const result = await transaction
        .insertInto('verdicts')
        .values({
          sample_id: sampleId,
          check_id: check,
          check_version: checkVersion,
          verdict: verdict.verdict,
          scores: JSON.stringify(scores),
          judged_at: verdict.judgedAt,
        })
        .onConflict((conflict) => conflict.columns(['sample_id', 'check_id']).doNothing())
        .executeTakeFirst()
      await this.judged(transaction, verdict)
      await transaction
        .updateTable('samples')
        .set({ done: 1, ...(eraseText ? NO_TEXT : {}) })
        .where('id', '=', sampleId)
        .execute()
      if ((result.numInsertedOrUpdatedRows ?? 0n) === 0n) {
        // Somebody was first, and may have kept what the judge wrote.
        if (eraseText) await eraseScores(transaction, sampleId)
        return false
      }
      const row = await transaction
        .selectFrom('samples')
        .selectAll()
        .where('id', '=', sampleId)
        .executeTakeFirstOrThrow()
      const sample = toSample(row)
      await tally(transaction, sample, checkVersion, verdict.verdict)
      if (sample.extra === null) await tallyScores(transaction, sample, checkVersion, scores)
      return true
    })
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
