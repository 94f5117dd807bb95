/**
 * The part of the ports `Store` and `Archive` that takes a statement at a time, in SQL that every engine understands, on
 * Kysely. Completed by `store-queries.ts` for engines with transactions, and by `store-d1.ts`, which has batches.
 */
import { randomBytes } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import type {
  Archive,
  ArmEvent,
  ArmTally,
  DecisiveQuery,
  DecisiveVerdict,
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
import type { Verdict } from '../domain/verdict.ts'
import { countSamples, erasedVerdict, findSamples } from './store-archive.ts'
import { decisiveVerdicts } from './store-decisive.ts'
import { questionTallies } from './store-questions.ts'
import { toArmEvent } from './store-rows.ts'
import type { Tables } from './store-tables.ts'
import { readScoreTallies, readTallies } from './store-tallies.ts'

const UNIT_KEY = 'unit_key'

/** Each judged by itself. */
const ERASED_AT_A_TIME = 8

type Together = 'addArmEvent' | 'addExposures' | 'rejudge'

export abstract class StatementStore implements Omit<Store & Archive, Together> {
  protected readonly db: Kysely<Tables>

  constructor(db: Kysely<Tables>) {
    this.db = db
  }

  /** Runs a write, again where the engine asks for patience. */
  protected abstract writing<T>(run: () => Promise<T>): Promise<T>
  abstract addVerdict(verdict: Verdict, eraseText?: boolean): Promise<boolean>
  /** Erases the texts of up to `most` samples that have a verdict. @returns how many. */
  protected abstract eraseJudged(filter: SampleFilter, most: number): Promise<number>
  /** How many samples' texts are erased together. */
  protected readonly erasedAtATime: number = 500

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

  async erase(filter: SampleFilter, waiting = false, most = Number.POSITIVE_INFINITY): Promise<number> {
    let erased = 0
    const next = () => Math.min(this.erasedAtATime, most - erased)
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
      const done = await this.eraseJudged(filter, limit)
      erased += done
      if (done < limit) break
    }
    return erased
  }
}
