/** Migrations of `store-postgres.ts`. A migration that has been released is never changed. */
import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** Compared byte by byte: the order of ids is the same on every engine and server. */
const NAME = sql`text collate "C"`

/** @param schema where the tables are; it exists. */
export function migrations(schema: string): Record<string, Migration> {
  return {
    '0001-first': {
      async up(given: Kysely<never>) {
        const db = given.withSchema(schema)
        await db.schema
          .createTable('samples')
          .addColumn('id', NAME, (column) => column.primaryKey())
          .addColumn('experiment', NAME, (column) => column.notNull())
          .addColumn('arm', NAME, (column) => column.notNull())
          .addColumn('policy', NAME)
          .addColumn('policy_hash', NAME)
          .addColumn('check_id', NAME, (column) => column.notNull())
          .addColumn('check_version', NAME, (column) => column.notNull())
          .addColumn('probability', 'float8', (column) => column.notNull())
          .addColumn('model', 'text', (column) => column.notNull())
          .addColumn('unit', NAME, (column) => column.notNull())
          .addColumn('question_hash', NAME, (column) => column.notNull())
          .addColumn('assignment', NAME, (column) => column.notNull())
          .addColumn('requested_at', 'bigint', (column) => column.notNull())
          .addColumn('messages', 'text', (column) => column.notNull())
          .addColumn('question', 'text', (column) => column.notNull())
          .addColumn('answer', 'text', (column) => column.notNull())
          .addColumn('erased', 'int2', (column) => column.notNull())
          .addColumn('done', 'int2', (column) => column.notNull())
          .addColumn('visible_at', 'bigint', (column) => column.notNull())
          .addColumn('attempts', 'integer', (column) => column.notNull())
          .addColumn('takings', 'integer', (column) => column.notNull())
          .addColumn('extra', NAME)
          .execute()
        await db.schema
          .createTable('verdicts')
          .addColumn('sample_id', NAME, (column) =>
            column.notNull().references(`${schema}.samples.id`).onDelete('cascade'),
          )
          .addColumn('check_id', NAME, (column) => column.notNull())
          .addColumn('check_version', NAME, (column) => column.notNull())
          .addColumn('verdict', NAME, (column) => column.notNull())
          .addColumn('scores', 'text', (column) => column.notNull())
          .addColumn('judged_at', 'bigint', (column) => column.notNull())
          .addPrimaryKeyConstraint('verdicts_once', ['sample_id', 'check_id'])
          .execute()
        await db.schema
          .createTable('tallies')
          .addColumn('experiment', NAME, (column) => column.notNull())
          .addColumn('check_id', NAME, (column) => column.notNull())
          .addColumn('check_version', NAME, (column) => column.notNull())
          .addColumn('arm', NAME, (column) => column.notNull())
          .addColumn('policy_hash', NAME, (column) => column.notNull())
          .addColumn('hour', 'bigint', (column) => column.notNull())
          .addColumn('kind', NAME, (column) => column.notNull())
          .addColumn('extra', 'int2', (column) => column.notNull())
          .addColumn('n', 'bigint', (column) => column.notNull())
          .addColumn('w', 'float8', (column) => column.notNull())
          .addColumn('w2', 'float8', (column) => column.notNull())
          .addPrimaryKeyConstraint('tallies_of', [
            'experiment',
            'check_id',
            'check_version',
            'arm',
            'policy_hash',
            'hour',
            'kind',
            'extra',
          ])
          .execute()
        await db.schema
          .createTable('score_tallies')
          .addColumn('experiment', NAME, (column) => column.notNull())
          .addColumn('check_id', NAME, (column) => column.notNull())
          .addColumn('check_version', NAME, (column) => column.notNull())
          .addColumn('arm', NAME, (column) => column.notNull())
          .addColumn('policy_hash', NAME, (column) => column.notNull())
          .addColumn('rubric', NAME, (column) => column.notNull())
          .addColumn('score', NAME, (column) => column.notNull())
          .addColumn('n', 'bigint', (column) => column.notNull())
          .addPrimaryKeyConstraint('score_tallies_of', [
            'experiment',
            'check_id',
            'check_version',
            'arm',
            'policy_hash',
            'rubric',
            'score',
          ])
          .execute()
        await db.schema
          .createTable('labels')
          .addColumn('sample_id', NAME, (column) =>
            column.notNull().references(`${schema}.samples.id`).onDelete('cascade'),
          )
          .addColumn('check_id', NAME, (column) => column.notNull())
          .addColumn('check_version', NAME, (column) => column.notNull())
          .addColumn('labelled_by', NAME, (column) => column.notNull())
          .addColumn('verdict', NAME, (column) => column.notNull())
          .addColumn('probability', 'float8')
          .addColumn('labelled_at', 'bigint', (column) => column.notNull())
          .addPrimaryKeyConstraint('labels_once', ['sample_id', 'check_id', 'labelled_by'])
          .execute()
        await db.schema
          .createTable('notes')
          .addColumn('name', NAME, (column) => column.primaryKey())
          .addColumn('revision', 'bigint', (column) => column.notNull())
          .addColumn('text', 'text', (column) => column.notNull())
          .execute()
        await db.schema
          .createTable('arm_events')
          .addColumn('id', NAME, (column) => column.primaryKey())
          .addColumn('seq', 'bigint', (column) => column.notNull().unique())
          .addColumn('experiment', NAME, (column) => column.notNull())
          .addColumn('arm', NAME, (column) => column.notNull())
          .addColumn('action', NAME, (column) => column.notNull())
          .addColumn('by', NAME, (column) => column.notNull())
          .addColumn('reason', 'text', (column) => column.notNull())
          .addColumn('evidence', 'text')
          .addColumn('at', 'bigint', (column) => column.notNull())
          .execute()
        await db.schema
          .createTable('counters')
          .addColumn('name', NAME, (column) => column.primaryKey())
          .addColumn('n', 'float8', (column) => column.notNull())
          .addColumn('until', 'bigint', (column) => column.notNull())
          .execute()
        await db.schema
          .createTable('exposures')
          .addColumn('experiment', NAME, (column) => column.notNull())
          .addColumn('arm', NAME, (column) => column.notNull())
          .addColumn('assignment', NAME, (column) => column.notNull())
          .addColumn('exposures', 'bigint', (column) => column.notNull())
          .addColumn('anonymous_units', 'bigint', (column) => column.notNull())
          .addPrimaryKeyConstraint('exposures_of_arm', ['experiment', 'arm', 'assignment'])
          .execute()
        await db.schema
          .createTable('units')
          .addColumn('experiment', NAME, (column) => column.notNull())
          .addColumn('arm', NAME, (column) => column.notNull())
          .addColumn('assignment', NAME, (column) => column.notNull())
          .addColumn('unit', NAME, (column) => column.notNull())
          .addPrimaryKeyConstraint('units_once', ['experiment', 'arm', 'assignment', 'unit'])
          .execute()
        await db.schema
          .createTable('settings')
          .addColumn('name', NAME, (column) => column.primaryKey())
          .addColumn('value', 'text', (column) => column.notNull())
          .execute()
        await createIndexes(db, schema)
      },
    },
    '0002-traces': {
      async up(given: Kysely<never>) {
        const db = given.withSchema(schema)
        await db.schema.alterTable('samples').addColumn('traceparent', NAME).execute()
      },
    },
  }
}

/** Partial ones hold the few samples that wait, so that those that are done cost them nothing. */
async function createIndexes(db: Kysely<never>, schema: string): Promise<void> {
  const waiting = sql<boolean>`done = 0`
  const leased = sql<boolean>`done = 0 and visible_at > 0`
  const index = (name: string, columns: readonly string[]) =>
    db.schema
      .createIndex(name)
      .on('samples')
      .columns([...columns])
  await index('samples_waiting', ['requested_at']).where(waiting).execute()
  await index('samples_leased', ['visible_at']).where(leased).execute()
  await index('samples_unjudged', ['experiment', 'check_id', 'requested_at']).where(waiting).execute()
  await index('samples_by_time', ['requested_at', 'id']).execute()
  // What is included is not to look up by, but to read without the samples' texts.
  const samples = sql.table(`${schema}.samples`)
  await sql`create index samples_of_experiment on ${samples} (experiment, requested_at, id)
    include (check_id, arm, policy_hash, unit, question_hash, assignment, extra)`.execute(db)
  await sql`create index samples_of_unit on ${samples} (experiment, check_id, unit, question_hash, requested_at, id)
    include (arm, policy_hash, extra)`.execute(db)
}
