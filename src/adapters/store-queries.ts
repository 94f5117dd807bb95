/**
 * The `Store` and `Archive` ports in SQL that every engine understands, on Kysely. Completed by `store-sqlite.ts` and
 * `store-postgres.ts`, which also have the queue.
 */
import { hash, randomBytes } from 'node:crypto'
import { type ExpressionBuilder, type Kysely, sql, type Transaction } from 'kysely'
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
} from '../domain/ports.ts'
import type { ChatMessage, Sample } from '../domain/sample.ts'
import {
  ERASED,
  type Score,
  type Scores,
  type Verdict,
  type VerdictKind,
  withoutTexts,
} from '../domain/verdict.ts'
import { questionTallies } from './store-questions.ts'
import type { Tables } from './store-tables.ts'

type Row<T extends keyof Tables> = Tables[T]

const UNIT_KEY = 'unit_key'
const HOUR_MS = 3_600_000
const DECISIVE = ['positive', 'negative'] as const
/** Engines bound how many values a statement may have. */
const IDS_AT_A_TIME = 500
const ROWS_AT_A_TIME = 500
/** Each in a transaction of its own. */
const ERASED_AT_A_TIME = 8
/** Samples that are looked at at a time when verdicts are read in the order of requests. */
const FEWEST_CANDIDATES = 100
const MOST_CANDIDATES = 1_500

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

  /** Stores a sample and counts it. @returns false when it was there already. */
  protected async insertSample(transaction: Transaction<Tables>, sample: Sample): Promise<boolean> {
    const result = await transaction
      .insertInto('samples')
      .values({ ...sampleRow(sample), visible_at: this.firstVisible(sample) })
      .onConflict((conflict) => conflict.column('id').doNothing())
      .executeTakeFirst()
    if ((result.numInsertedOrUpdatedRows ?? 0n) === 0n) return false
    await tally(transaction, sample, sample.checkVersion, 'sample')
    return true
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
    const rows = await this.db
      .selectFrom('tallies')
      .selectAll()
      .where('experiment', '=', experiment)
      .where('check_id', '=', check)
      .orderBy('hour')
      .execute()
    return rows.map((row) => ({
      arm: row.arm,
      checkVersion: row.check_version,
      policyHash: row.policy_hash === '' ? null : row.policy_hash,
      hour: Number(row.hour),
      kind: row.kind as Tally['kind'],
      extra: row.extra === 1,
      count: Number(row.n),
      weights: row.w,
      squaredWeights: row.w2,
    }))
  }

  async scoreTallies(experiment: string, check: string): Promise<ScoreTally[]> {
    const rows = await this.db
      .selectFrom('score_tallies')
      .selectAll()
      .where('experiment', '=', experiment)
      .where('check_id', '=', check)
      .execute()
    return rows.map((row) => ({
      arm: row.arm,
      checkVersion: row.check_version,
      policyHash: row.policy_hash === '' ? null : row.policy_hash,
      rubric: row.rubric,
      score: scoreOf(row.score),
      count: Number(row.n),
    }))
  }

  async decisiveVerdicts(
    query: DecisiveQuery,
    after: RequestOrder | null,
    until: RequestOrder | null,
    limit: number,
  ): Promise<DecisiveVerdict[]> {
    const found: DecisiveVerdict[] = []
    for (let place = after; query.arms.length > 0; ) {
      // Some do not decide.
      const wanted = Math.ceil((limit - found.length) * 1.25)
      const atATime = Math.min(Math.max(wanted, FEWEST_CANDIDATES), MOST_CANDIDATES)
      const rows = await this.candidates(query, place, until, atATime)
      for (const row of rows) {
        if (Number(row.decides) === 0) continue
        const { id: sampleId, requested_at: requestedAt, arm, assignment } = row
        found.push({ sampleId, requestedAt, arm, positive: row.verdict === 'positive', assignment })
        if (found.length === limit) return found
      }
      const last = rows.at(-1)
      if (last === undefined || rows.length < atATime) break
      place = { sampleId: last.id, requestedAt: last.requested_at }
    }
    return found
  }

  /** Samples in the order of requests, and whether they decide. A bounded number, so that no engine reads everything for it. */
  private async candidates(
    { experiment, check, checkVersion, arms, since = -1 }: DecisiveQuery,
    after: RequestOrder | null,
    until: RequestOrder | null,
    limit: number,
  ) {
    // The one lower bound that an index is searched by: with two, SQLite may take the one that leads through everything.
    const from = Math.max(since + 1, after?.requestedAt ?? 0)
    // Spelled out: a list of pairs would be made anew for every row that is looked at.
    const present = (row: 's' | 'e') =>
      sql<boolean>`(${sql.join(
        arms.map(
          ({ arm, policyHash }) =>
            sql`(${sql.ref(`${row}.arm`)} = ${arm} and coalesce(${sql.ref(`${row}.policy_hash`)}, '') = ${policyHash ?? ''})`,
        ),
        sql` or `,
      )})`
    return await this.db
      .selectFrom((eb) =>
        eb
          .selectFrom('samples')
          .select(['id', 'requested_at', 'arm', 'policy_hash', 'check_id', 'unit', 'question_hash'])
          .select(['assignment', 'extra', 'experiment'])
          .where('experiment', '=', experiment)
          .where('check_id', '=', check)
          .where('requested_at', '>=', from)
          .$if(after !== null, (it) =>
            it.where(sql<boolean>`(requested_at + 0, id) > (${after?.requestedAt}, ${after?.sampleId})`),
          )
          .$if(until !== null, (it) =>
            it.where(sql<boolean>`(requested_at, id) <= (${until?.requestedAt}, ${until?.sampleId})`),
          )
          .orderBy('requested_at')
          .orderBy('id')
          .limit(limit)
          .as('s'),
      )
      .leftJoin('verdicts as v', (join) =>
        join
          .onRef('v.sample_id', '=', 's.id')
          .onRef('v.check_id', '=', 's.check_id')
          .on('v.check_version', '=', checkVersion)
          .on('v.verdict', 'in', DECISIVE),
      )
      .select(['s.id', 's.requested_at', 's.arm', 's.assignment', 'v.verdict'])
      .select(({ selectFrom }) => {
        const earlier = selectFrom('samples as e')
          .innerJoin('verdicts as ev', (join) =>
            join.onRef('ev.sample_id', '=', 'e.id').onRef('ev.check_id', '=', 'e.check_id'),
          )
          .select('e.id')
          .whereRef('e.experiment', '=', 's.experiment')
          .whereRef('e.check_id', '=', 's.check_id')
          .whereRef('e.unit', '=', 's.unit')
          .whereRef('e.question_hash', '=', 's.question_hash')
          .where(sql<boolean>`(e.requested_at, e.id) < (s.requested_at, s.id)`)
          // Not by an index of times, which leads through all samples of before.
          .where(sql<boolean>`e.requested_at + 0 > ${since}`)
          .where('e.extra', 'is', null)
          .where('ev.check_version', '=', checkVersion)
          .where('ev.verdict', 'in', DECISIVE)
          .where(present('e'))
          .limit(sql.lit(1))
        return sql<number>`case when v.verdict is null or s.extra is not null or not ${present('s')} then 0
          when (${earlier}) is null then 1 else 0 end`.as('decides')
      })
      .orderBy('s.requested_at')
      .orderBy('s.id')
      .execute()
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
    const sorted = [...batches].sort((a, b) => compare(exposureKey(a), exposureKey(b)))
    await this.transact(async (transaction) => {
      for (const { experiment, arm, assignment, exposures, anonymousUnits } of sorted) {
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
      for (const { experiment, arm, assignment, units } of sorted) {
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
    const rows = await this.db
      .selectFrom('samples')
      .leftJoin('verdicts', (join) =>
        join
          .onRef('verdicts.sample_id', '=', 'samples.id')
          .onRef('verdicts.check_id', '=', 'samples.check_id'),
      )
      .selectAll('samples')
      .select(['verdicts.verdict', 'verdicts.scores', 'verdicts.judged_at'])
      .select('verdicts.check_version as verdict_version')
      .where((eb) => matching(eb, filter))
      .$if(after !== undefined, (it) =>
        it.where(
          sql<boolean>`(samples.requested_at, samples.id) < (${after?.requestedAt}, ${after?.sampleId})`,
        ),
      )
      .orderBy('samples.requested_at', 'desc')
      .orderBy('samples.id', 'desc')
      .limit(limit)
      .execute()
    const labels = await this.labelsOf(rows.map(({ id }) => id))
    return rows.map((row) => ({
      sample: toSample(row),
      erased: row.erased === 1,
      attempts: row.attempts,
      verdict:
        row.verdict === null
          ? null
          : {
              sampleId: row.id,
              check: row.check_id,
              checkVersion: row.verdict_version!,
              verdict: row.verdict as VerdictKind,
              scores: JSON.parse(row.scores!) as Scores,
              judgedAt: Number(row.judged_at),
            },
      labels: labels.get(row.id) ?? [],
    }))
  }

  async howMany(filter: SampleFilter): Promise<number> {
    const { n } = await this.db
      .selectFrom('samples')
      .leftJoin('verdicts', (join) => join.onRef('verdicts.sample_id', '=', 'samples.id'))
      .select((eb) => eb.fn.countAll<number>().as('n'))
      .where((eb) => matching(eb, filter))
      .executeTakeFirstOrThrow()
    return Number(n)
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

  private async labelsOf(ids: readonly string[]): Promise<Map<string, Label[]>> {
    const labels = new Map<string, Label[]>()
    for (let start = 0; start < ids.length; start += IDS_AT_A_TIME) {
      const rows = await this.db
        .selectFrom('labels')
        .selectAll()
        .where('sample_id', 'in', ids.slice(start, start + IDS_AT_A_TIME))
        .orderBy('labelled_at')
        .execute()
      for (const row of rows) {
        const label = toLabel(row)
        labels.set(row.sample_id, [...(labels.get(row.sample_id) ?? []), label])
      }
    }
    return labels
  }
}

function exposureKey({ experiment, arm, assignment }: ExposureBatch): string {
  return [experiment, arm, assignment].join('\n')
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** What is left of a sample's texts when they are erased. */
const NO_TEXT = { messages: '[]', question: '', answer: '', erased: 1 }

function erasedVerdict({ id, check, checkVersion }: Sample): Verdict {
  const score: Score = { kind: 'error', message: ERASED }
  return {
    sampleId: id,
    check,
    checkVersion,
    verdict: 'error',
    scores: { erased: score },
    judgedAt: Date.now(),
  }
}

async function eraseSome(
  transaction: Transaction<Tables>,
  filter: SampleFilter,
  limit: number,
): Promise<number> {
  const found = await judgedRows(transaction, filter, limit).where('samples.erased', '=', 0).execute()
  // One that was put back to be judged again meanwhile keeps its texts: it is a waiting one now.
  const erased = await transaction
    .updateTable('samples')
    .set(NO_TEXT)
    .where('id', 'in', [...found.map(({ id }) => id), ''])
    .where('done', '=', 1)
    .returning('id')
    .execute()
  for (const { id } of erased) await eraseScores(transaction, id)
  return erased.length
}

/** What the judge wrote of a sample may quote it. */
async function eraseScores(transaction: Transaction<Tables>, sampleId: string): Promise<void> {
  const rows = await transaction
    .selectFrom('verdicts')
    .select(['check_id', 'scores'])
    .where('sample_id', '=', sampleId)
    .execute()
  for (const { check_id: check, scores: given } of rows) {
    const scores = JSON.stringify(withoutTexts(JSON.parse(given) as Scores))
    if (scores === given) continue
    await transaction
      .updateTable('verdicts')
      .set({ scores })
      .where('sample_id', '=', sampleId)
      .where('check_id', '=', check)
      .execute()
  }
}

async function rejudgeSome(
  transaction: Transaction<Tables>,
  filter: SampleFilter,
  limit: number,
): Promise<string[]> {
  const rows = await judgedRows(transaction, { ...filter, erased: false }, limit)
    .where('verdicts.verdict', '=', 'error')
    .execute()
  // Of two who do it at the same time one gets a sample, and one that was erased meanwhile stays as it is.
  const again = await transaction
    .updateTable('samples')
    .set({ done: 0, visible_at: 0, attempts: 0 })
    .where('id', 'in', [...rows.map(({ id }) => id), ''])
    .where('done', '=', 1)
    .where('erased', '=', 0)
    .returning('id')
    .execute()
  const ids = again.map(({ id }) => id)
  // Always in the same order, as when verdicts are counted.
  for (const row of rows) {
    if (!ids.includes(row.id)) continue
    const sample = toSample(row)
    await tally(transaction, sample, row.verdict_version, 'error', -1)
    if (sample.extra !== null) continue
    await tallyScores(transaction, sample, row.verdict_version, JSON.parse(row.scores) as Scores, -1)
  }
  await transaction
    .deleteFrom('verdicts')
    .where('sample_id', 'in', [...ids, ''])
    .execute()
  return ids
}

/** Samples that have a verdict, with it. */
function judgedRows(transaction: Transaction<Tables>, filter: SampleFilter, limit: number) {
  return transaction
    .selectFrom('samples')
    .innerJoin('verdicts', (join) =>
      join.onRef('verdicts.sample_id', '=', 'samples.id').onRef('verdicts.check_id', '=', 'samples.check_id'),
    )
    .selectAll('samples')
    .select(['verdicts.scores', 'verdicts.check_version as verdict_version'])
    .where((eb) => matching(eb as unknown as Filtered, filter))
    .where('samples.done', '=', 1)
    .orderBy('samples.requested_at')
    .orderBy('samples.id')
    .limit(limit)
}

type Filtered = ExpressionBuilder<Tables & { verdicts: Row<'verdicts'> }, 'samples' | 'verdicts'>

function matching(is: Filtered, filter: SampleFilter) {
  const { and, exists, not, selectFrom } = is
  const { ids, experiment, arm, check, verdict, since, before, erased, labelled } = filter
  const label = () =>
    exists(selectFrom('labels').select('labels.sample_id').whereRef('labels.sample_id', '=', 'samples.id'))
  return and([
    ...(ids === undefined ? [] : [ids.length === 0 ? sql<boolean>`1 = 0` : is('samples.id', 'in', [...ids])]),
    ...(experiment === undefined ? [] : [is('samples.experiment', '=', experiment)]),
    ...(arm === undefined ? [] : [is('samples.arm', '=', arm)]),
    ...(check === undefined ? [] : [is('samples.check_id', '=', check)]),
    ...(verdict === undefined
      ? []
      : [
          verdict === 'waiting'
            ? is('samples.done', '=', sql.lit(0))
            : // Of something that may be null, so that engines go through samples, in the order asked for.
              sql<boolean>`coalesce(verdicts.verdict, '') = ${verdict}`,
        ]),
    ...(since === undefined ? [] : [is('samples.requested_at', '>=', since)]),
    ...(before === undefined ? [] : [is('samples.requested_at', '<', before)]),
    ...(erased === undefined ? [] : [is('samples.erased', '=', erased ? 1 : 0)]),
    ...(labelled === undefined ? [] : [labelled ? label() : not(label())]),
  ])
}

/** Adds a sample, or its verdict, to what is counted of it. @param times -1 takes it back. */
async function tally(
  transaction: Transaction<Tables>,
  sample: Sample,
  checkVersion: string,
  kind: Tally['kind'],
  times: 1 | -1 = 1,
): Promise<void> {
  const weight = 1 / sample.probability
  const [w, w2] = [times * weight, times * weight ** 2]
  await transaction
    .insertInto('tallies')
    .values({
      experiment: sample.experiment,
      check_id: sample.check,
      check_version: checkVersion,
      arm: sample.arm,
      policy_hash: sample.policyHash ?? '',
      hour: Math.floor(sample.requestedAt / HOUR_MS) * HOUR_MS,
      kind,
      extra: (sample.extra ?? null) === null ? 0 : 1,
      n: times,
      w,
      w2,
    })
    .onConflict((conflict) =>
      conflict
        .columns(['experiment', 'check_id', 'check_version', 'arm', 'policy_hash', 'hour', 'kind', 'extra'])
        .doUpdateSet((eb) => ({
          n: eb('tallies.n', '+', times),
          w: eb('tallies.w', '+', w),
          w2: eb('tallies.w2', '+', w2),
        })),
    )
    .execute()
  if (times === -1) await transaction.deleteFrom('tallies').where('n', '=', 0).execute()
}

/** Adds the scores of a drawn sample to what is counted of them. */
async function tallyScores(
  transaction: Transaction<Tables>,
  sample: Sample,
  checkVersion: string,
  scores: Scores,
  times: 1 | -1 = 1,
): Promise<void> {
  // Always in the same order: two transactions then cannot wait for each other.
  for (const rubric of Object.keys(scores).sort()) {
    await transaction
      .insertInto('score_tallies')
      .values({
        experiment: sample.experiment,
        check_id: sample.check,
        check_version: checkVersion,
        arm: sample.arm,
        policy_hash: sample.policyHash ?? '',
        rubric,
        score: scoreText(scores[rubric]!),
        n: times,
      })
      .onConflict((conflict) =>
        conflict
          .columns(['experiment', 'check_id', 'check_version', 'arm', 'policy_hash', 'rubric', 'score'])
          .doUpdateSet((eb) => ({ n: eb('score_tallies.n', '+', times) })),
      )
      .execute()
  }
  if (times === -1) await transaction.deleteFrom('score_tallies').where('n', '=', 0).execute()
}

function scoreText(score: Score): string {
  if (score.kind === 'number') return `n:${Math.round(score.value * 10) / 10}`
  return score.kind === 'label' ? `l:${score.value}` : ''
}

function scoreOf(text: string): ScoreTally['score'] {
  if (text === '') return null
  return text.startsWith('n:') ? Number(text.slice(2)) : text.slice(2)
}

function sampleRow(sample: Sample): Row<'samples'> {
  return {
    id: sample.id,
    experiment: sample.experiment,
    arm: sample.arm,
    policy: sample.policy,
    policy_hash: sample.policyHash,
    check_id: sample.check,
    check_version: sample.checkVersion,
    probability: sample.probability,
    model: sample.model,
    unit: sample.unit,
    question_hash: sample.questionHash ?? hash('sha256', sample.question, 'hex').slice(0, 32),
    assignment: sample.assignment,
    requested_at: sample.requestedAt,
    messages: JSON.stringify(sample.messages),
    question: sample.question,
    answer: sample.answer,
    erased: 0,
    done: 0,
    visible_at: 0,
    attempts: 0,
    takings: 0,
    extra: sample.extra ?? null,
  }
}

export function toSample(row: Row<'samples'>): Sample {
  return {
    id: row.id,
    experiment: row.experiment,
    arm: row.arm,
    policy: row.policy,
    policyHash: row.policy_hash,
    check: row.check_id,
    checkVersion: row.check_version,
    probability: row.probability,
    model: row.model,
    unit: row.unit,
    assignment: row.assignment,
    requestedAt: Number(row.requested_at),
    messages: JSON.parse(row.messages) as ChatMessage[],
    question: row.question,
    answer: row.answer,
    extra: row.extra === 'trigger' ? row.extra : null,
  }
}

function toArmEvent({ seq: _seq, ...row }: Row<'arm_events'>): ArmEvent {
  return {
    ...row,
    action: row.action as ArmEvent['action'],
    by: row.by as ArmEvent['by'],
    at: Number(row.at),
  }
}

function toLabel(row: Row<'labels'>): Label {
  return {
    sampleId: row.sample_id,
    check: row.check_id,
    checkVersion: row.check_version,
    by: row.labelled_by,
    verdict: row.verdict as Label['verdict'],
    probability: row.probability,
    at: Number(row.labelled_at),
  }
}
