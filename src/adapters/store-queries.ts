/**
 * The `Store` and `Archive` ports in SQL that every engine understands, on Kysely. Completed by `store-sqlite.ts` and
 * `store-postgres.ts`, which also have the queue.
 */
import { randomBytes } from 'node:crypto'
import { type Kysely, sql, type Transaction } from 'kysely'
import type { Sample } from '../domain/sample.ts'
import type {
  Archive,
  ArmEvent,
  ArmTally,
  DecisiveQuery,
  DecisiveVerdict,
  ExposureBatch,
  Label,
  Note,
  QuestionTally,
  RequestOrder,
  SampleFilter,
  ScoreTally,
  Store,
  StoredSample,
  Tally,
} from '../domain/store.ts'
import { type Verdict, withoutTexts } from '../domain/verdict.ts'
import {
  countSamples,
  erasedVerdict,
  eraseScores,
  eraseSome,
  findSamples,
  NO_TEXT,
  rejudgeSome,
} from './store-archive.ts'
import { decisiveVerdicts } from './store-decisive.ts'
import { questionTallies } from './store-questions.ts'
import { sampleRow, toArmEvent, toSample } from './store-rows.ts'
import type { Tables } from './store-tables.ts'
import { readScoreTallies, readTallies, tally, tallySamples, tallyScores } from './store-tallies.ts'

const UNIT_KEY = 'unit_key'
/** Engines bound how many values a statement may have. */
const IDS_AT_A_TIME = 500
const ROWS_AT_A_TIME = 500
/** Each in a transaction of its own. */
const ERASED_AT_A_TIME = 8

export abstract class SqlStore implements Store, Archive {
  protected readonly db: Kysely<Tables>

  constructor(db: Kysely<Tables>) {
    this.db = db
  }

  /** Runs a write, again where the engine asks for patience. */
  protected abstract writing<T>(run: () => Promise<T>): Promise<T>
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

  async tallies(experiment: string, check: string): Promise<Tally[]> {
    return await readTallies(this.db, experiment, check)
  }

  async scoreTallies(experiment: string, check: string): Promise<ScoreTally[]> {
    return await readScoreTallies(this.db, experiment, check)
  }

  async decisiveVerdicts(
    query: DecisiveQuery,
    after: RequestOrder | null,
    until: RequestOrder | null,
    limit: number,
  ): Promise<DecisiveVerdict[]> {
    return await decisiveVerdicts(this.db, query, after, until, limit)
  }

  async oldestUnjudged(experiment: string, check: string): Promise<number | null> {
    const row = await this.db
      .selectFrom('samples')
      .select((eb) => eb.fn.min('requested_at').as('oldest'))
      .where('done', '=', sql.lit(0))
      .where('experiment', '=', experiment)
      .where('check_id', '=', check)
      .where('extra', 'is', null)
      .executeTakeFirst()
    return row?.oldest ?? null
  }

  async readNote(name: string): Promise<Note | null> {
    const row = await this.db
      .selectFrom('notes')
      .select(['revision', 'text'])
      .where('name', '=', name)
      .executeTakeFirst()
    return row === undefined ? null : { revision: Number(row.revision), text: row.text }
  }

  async writeNote(name: string, text: string, revision: number): Promise<boolean> {
    return await this.writing(async () => {
      if (revision === 0) {
        const added = await this.db
          .insertInto('notes')
          .values({ name, revision: 1, text })
          .onConflict((conflict) => conflict.column('name').doNothing())
          .executeTakeFirst()
        return (added.numInsertedOrUpdatedRows ?? 0n) > 0n
      }
      const changed = await this.db
        .updateTable('notes')
        .set({ revision: revision + 1, text })
        .where('name', '=', name)
        .where('revision', '=', revision)
        .executeTakeFirst()
      return changed.numUpdatedRows > 0n
    })
  }

  async addArmEvent(event: ArmEvent): Promise<void> {
    await this.transact(async (transaction) => {
      await this.ordered(transaction)
      const all = await transaction.selectFrom('arm_events').selectAll().orderBy('seq').execute()
      if (all.some(({ id }) => id === event.id)) return
      const own = all.filter(({ experiment }) => experiment === event.experiment)
      const latest = new Map(own.map((it) => [it.arm, it]))
      // In the order of their storing: whoever undoes something with a clock that is behind undoes it all the same.
      const at = Math.max(event.at, Number(own.at(-1)?.at ?? 0) + 1)
      // A promotion ends the one before it, which must not come back when this one is undone.
      const replaced = [...latest.values()]
        .filter((it) => event.action === 'promoted' && it.action === 'promoted' && it.arm !== event.arm)
        .map(({ experiment, arm }) => ({
          ...{ experiment, arm, action: 'on', by: event.by, evidence: null },
          id: `${event.id} in place of ${arm}`,
          reason: `${event.arm} was promoted in its place`,
        }))
      const seq = Number(all.at(-1)?.seq ?? 0) + 1
      const added = [...replaced, event].map((it, index) => ({ ...it, at, seq: seq + index }))
      await transaction.insertInto('arm_events').values(added).execute()
    })
  }

  async armEvents(): Promise<ArmEvent[]> {
    const rows = await this.db
      .selectFrom('arm_events')
      .selectAll()
      .where('seq', 'in', (eb) =>
        eb
          .selectFrom('arm_events')
          .select((last) => last.fn.max('seq').as('seq'))
          .groupBy(['experiment', 'arm']),
      )
      .orderBy('seq')
      .execute()
    return rows.map(toArmEvent)
  }

  async armHistory(experiment: string): Promise<ArmEvent[]> {
    const rows = await this.db
      .selectFrom('arm_events')
      .selectAll()
      .where('experiment', '=', experiment)
      .orderBy('seq')
      .execute()
    return rows.map(toArmEvent)
  }

  async count(name: string, amount: number, until: number): Promise<number> {
    return await this.writing(async () => {
      const row = await this.db
        .insertInto('counters')
        .values({ name, n: amount, until })
        .onConflict((conflict) =>
          conflict.column('name').doUpdateSet((eb) => ({ n: eb('counters.n', '+', amount), until })),
        )
        .returning('n')
        .executeTakeFirstOrThrow()
      // The first one to count under a new name sweeps what is old.
      if (Number(row.n) === amount)
        await this.db.deleteFrom('counters').where('until', '<', Date.now()).execute()
      return Number(row.n)
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
        const rows = [...new Set(units)].sort(compare).map((unit) => ({ experiment, arm, assignment, unit }))
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

  async unitKey(): Promise<string> {
    // Of processes that start together the first one's stays.
    await this.writing(() =>
      this.db
        .insertInto('settings')
        .values({ name: UNIT_KEY, value: randomBytes(32).toString('base64url') })
        .onConflict((conflict) => conflict.column('name').doNothing())
        .execute(),
    )
    const { value } = await this.db
      .selectFrom('settings')
      .select('value')
      .where('name', '=', UNIT_KEY)
      .executeTakeFirstOrThrow()
    return value
  }

  async exposures(experiment: string): Promise<ArmTally[]> {
    const rows = await this.db
      .selectFrom('exposures')
      .select((eb) => [
        'experiment',
        'arm',
        'assignment',
        'exposures',
        sql<number>`anonymous_units + ${eb
          .selectFrom('units')
          .select((count) => count.fn.countAll().as('n'))
          .whereRef('units.experiment', '=', 'exposures.experiment')
          .whereRef('units.arm', '=', 'exposures.arm')
          .whereRef('units.assignment', '=', 'exposures.assignment')}`.as('units'),
      ])
      .where('experiment', '=', experiment)
      .execute()
    return rows.map((row) => ({ ...row, exposures: Number(row.exposures), units: Number(row.units) }))
  }

  async find(filter: SampleFilter, limit: number, after?: RequestOrder): Promise<StoredSample[]> {
    return await findSamples(this.db, filter, limit, after)
  }

  async howMany(filter: SampleFilter): Promise<number> {
    return await countSamples(this.db, filter)
  }

  async erase(filter: SampleFilter, waiting = false, most = Number.POSITIVE_INFINITY): Promise<number> {
    let erased = 0
    const next = () => Math.min(IDS_AT_A_TIME, most - erased)
    while (waiting && (filter.verdict ?? 'waiting') === 'waiting' && next() > 0) {
      const unjudged = await this.find({ ...filter, verdict: 'waiting' }, next())
      if (unjudged.length === 0) break
      for (let start = 0; start < unjudged.length; start += ERASED_AT_A_TIME) {
        const some = unjudged.slice(start, start + ERASED_AT_A_TIME)
        await Promise.all(some.map(({ sample }) => this.addVerdict(erasedVerdict(sample), true)))
      }
      erased += unjudged.length
    }
    while (next() > 0) {
      const limit = next()
      const done = await this.transact((transaction) => eraseSome(transaction, filter, limit))
      erased += done
      if (done < limit) break
    }
    return erased
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

  async addLabel(label: Label): Promise<void> {
    const { checkVersion, verdict, probability, at } = label
    const changing = { check_version: checkVersion, verdict, probability, labelled_at: at }
    await this.writing(() =>
      this.db
        .insertInto('labels')
        .values({ sample_id: label.sampleId, check_id: label.check, labelled_by: label.by, ...changing })
        .onConflict((conflict) =>
          conflict.columns(['sample_id', 'check_id', 'labelled_by']).doUpdateSet(changing),
        )
        .execute(),
    )
  }

  async removeLabel({ sampleId, check, by }: Pick<Label, 'sampleId' | 'check' | 'by'>): Promise<void> {
    await this.writing(() =>
      this.db
        .deleteFrom('labels')
        .where('sample_id', '=', sampleId)
        .where('check_id', '=', check)
        .where('labelled_by', '=', by)
        .execute(),
    )
  }

  async questionTallies(query: DecisiveQuery, most: number, least: number): Promise<QuestionTally[]> {
    return await questionTallies(this.db, query, most, least)
  }

  async close(): Promise<void> {
    await this.db.destroy()
  }
}

/** One batch for each arm and assignment, always in the same order. */
function mergeExposures(batches: readonly ExposureBatch[]): ExposureBatch[] {
  const byArm = Map.groupBy(batches, ({ experiment, arm, assignment }) =>
    [experiment, arm, assignment].join('\n'),
  )
  return [...byArm]
    .sort(([a], [b]) => compare(a, b))
    .map(([, its]) => ({
      ...its[0]!,
      exposures: its.reduce((sum, it) => sum + it.exposures, 0),
      anonymousUnits: its.reduce((sum, it) => sum + it.anonymousUnits, 0),
      units: its.flatMap(({ units }) => units),
    }))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
