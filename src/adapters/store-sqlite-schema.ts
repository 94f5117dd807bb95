/** Migrations of `store-sqlite.ts`. A migration that has been released is never changed. */
import { createHmac, randomBytes } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import type { Tables } from './store-tables.ts'

export const migrations: Record<string, Migration> = {
  '0001-first': {
    async up(db: Kysely<never>) {
      await db.schema
        .createTable('samples')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('experiment', 'text', (column) => column.notNull())
        .addColumn('arm', 'text', (column) => column.notNull())
        .addColumn('policy', 'text')
        .addColumn('policy_hash', 'text')
        .addColumn('check_id', 'text', (column) => column.notNull())
        .addColumn('check_version', 'text', (column) => column.notNull())
        .addColumn('probability', 'real', (column) => column.notNull())
        .addColumn('model', 'text', (column) => column.notNull())
        .addColumn('unit', 'text', (column) => column.notNull())
        .addColumn('question_hash', 'text', (column) => column.notNull())
        .addColumn('requested_at', 'integer', (column) => column.notNull())
        .addColumn('messages', 'text', (column) => column.notNull())
        .addColumn('question', 'text', (column) => column.notNull())
        .addColumn('answer', 'text', (column) => column.notNull())
        .addColumn('done', 'integer', (column) => column.notNull())
        .addColumn('visible_at', 'integer', (column) => column.notNull())
        .addColumn('attempts', 'integer', (column) => column.notNull())
        .execute()
      await db.schema
        .createIndex('samples_waiting')
        .on('samples')
        .columns(['done', 'requested_at', 'visible_at'])
        .execute()
      await db.schema
        .createIndex('samples_of_experiment')
        .on('samples')
        .columns(['experiment', 'check_id', 'requested_at'])
        .execute()
      await db.schema
        .createTable('verdicts')
        .addColumn('sample_id', 'text', (column) =>
          column.notNull().references('samples.id').onDelete('cascade'),
        )
        .addColumn('check_id', 'text', (column) => column.notNull())
        .addColumn('check_version', 'text', (column) => column.notNull())
        .addColumn('verdict', 'text', (column) => column.notNull())
        .addColumn('scores', 'text', (column) => column.notNull())
        .addColumn('judged_at', 'integer', (column) => column.notNull())
        .addPrimaryKeyConstraint('verdicts_once', ['sample_id', 'check_id'])
        .execute()
      await db.schema
        .createTable('exposures')
        .addColumn('experiment', 'text', (column) => column.notNull())
        .addColumn('arm', 'text', (column) => column.notNull())
        .addColumn('assignment', 'text', (column) => column.notNull())
        .addColumn('exposures', 'integer', (column) => column.notNull())
        .addColumn('anonymous_units', 'integer', (column) => column.notNull())
        .addPrimaryKeyConstraint('exposures_of_arm', ['experiment', 'arm', 'assignment'])
        .execute()
      await db.schema
        .createTable('units')
        .addColumn('experiment', 'text', (column) => column.notNull())
        .addColumn('arm', 'text', (column) => column.notNull())
        .addColumn('assignment', 'text', (column) => column.notNull())
        .addColumn('unit', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('units_once', ['experiment', 'arm', 'assignment', 'unit'])
        .execute()
    },
  },
  /**
   * Units were stored under a hash without a key, from which a guessed name can be confirmed. Their counts begin anew;
   * samples keep telling their units apart, under a key that nobody has.
   */
  '0002-unit-keys': {
    async up(given: Kysely<never>) {
      const db = given as unknown as Kysely<Tables>
      await db.schema
        .createTable('settings')
        .addColumn('name', 'text', (column) => column.primaryKey())
        .addColumn('value', 'text', (column) => column.notNull())
        .execute()
      await db.deleteFrom('units').execute()
      const key = randomBytes(32)
      await db.schema.createIndex('samples_by_unit').on('samples').column('unit').execute()
      for (const { unit } of await db.selectFrom('samples').select('unit').distinct().execute()) {
        const keyed = createHmac('sha256', key).update(unit).digest('hex').slice(0, 32)
        await db.updateTable('samples').set({ unit: keyed }).where('unit', '=', unit).execute()
      }
      await db.schema.dropIndex('samples_by_unit').execute()
    },
  },
  '0003-extra-samples': {
    async up(db: Kysely<never>) {
      await db.schema.alterTable('samples').addColumn('extra', 'text').execute()
    },
  },
  /** What is kept beside samples and verdicts; what was stored before is counted once. */
  '0004-tallies': {
    async up(given: Kysely<never>) {
      const db = given as unknown as Kysely<Tables>
      await db.schema
        .alterTable('samples')
        .addColumn('assignment', 'text', (column) => column.notNull().defaultTo(''))
        .execute()
      await db.schema
        .alterTable('samples')
        .addColumn('erased', 'integer', (column) => column.notNull().defaultTo(0))
        .execute()
      await db.schema
        .alterTable('samples')
        .addColumn('takings', 'integer', (column) => column.notNull().defaultTo(0))
        .execute()
      await db.schema
        .createTable('tallies')
        .addColumn('experiment', 'text', (column) => column.notNull())
        .addColumn('check_id', 'text', (column) => column.notNull())
        .addColumn('check_version', 'text', (column) => column.notNull())
        .addColumn('arm', 'text', (column) => column.notNull())
        .addColumn('policy_hash', 'text', (column) => column.notNull())
        .addColumn('hour', 'integer', (column) => column.notNull())
        .addColumn('kind', 'text', (column) => column.notNull())
        .addColumn('extra', 'integer', (column) => column.notNull())
        .addColumn('n', 'integer', (column) => column.notNull())
        .addColumn('w', 'real', (column) => column.notNull())
        .addColumn('w2', 'real', (column) => column.notNull())
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
        .addColumn('experiment', 'text', (column) => column.notNull())
        .addColumn('check_id', 'text', (column) => column.notNull())
        .addColumn('check_version', 'text', (column) => column.notNull())
        .addColumn('arm', 'text', (column) => column.notNull())
        .addColumn('policy_hash', 'text', (column) => column.notNull())
        .addColumn('rubric', 'text', (column) => column.notNull())
        .addColumn('score', 'text', (column) => column.notNull())
        .addColumn('n', 'integer', (column) => column.notNull())
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
        .addColumn('sample_id', 'text', (column) =>
          column.notNull().references('samples.id').onDelete('cascade'),
        )
        .addColumn('check_id', 'text', (column) => column.notNull())
        .addColumn('check_version', 'text', (column) => column.notNull())
        .addColumn('labelled_by', 'text', (column) => column.notNull())
        .addColumn('verdict', 'text', (column) => column.notNull())
        .addColumn('probability', 'real')
        .addColumn('labelled_at', 'integer', (column) => column.notNull())
        .addPrimaryKeyConstraint('labels_once', ['sample_id', 'check_id', 'labelled_by'])
        .execute()
      await db.schema
        .createTable('notes')
        .addColumn('name', 'text', (column) => column.primaryKey())
        .addColumn('revision', 'integer', (column) => column.notNull())
        .addColumn('text', 'text', (column) => column.notNull())
        .execute()
      await db.schema
        .createTable('arm_events')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('seq', 'integer', (column) => column.notNull().unique())
        .addColumn('experiment', 'text', (column) => column.notNull())
        .addColumn('arm', 'text', (column) => column.notNull())
        .addColumn('action', 'text', (column) => column.notNull())
        .addColumn('by', 'text', (column) => column.notNull())
        .addColumn('reason', 'text', (column) => column.notNull())
        .addColumn('evidence', 'text')
        .addColumn('at', 'integer', (column) => column.notNull())
        .execute()
      await db.schema
        .createTable('counters')
        .addColumn('name', 'text', (column) => column.primaryKey())
        .addColumn('n', 'real', (column) => column.notNull())
        .addColumn('until', 'integer', (column) => column.notNull())
        .execute()
      await db.schema
        .createIndex('samples_of_unit')
        .on('samples')
        .columns(['experiment', 'unit', 'question_hash'])
        .execute()
      await db.schema
        .createIndex('samples_unjudged')
        .on('samples')
        .columns(['experiment', 'check_id', 'requested_at'])
        .where('done' as never, '=', 0 as never)
        .execute()
      // The queue: to take samples must not cost more where many wait that are not due, or are of another check.
      await db.schema.dropIndex('samples_waiting').execute()
      for (const [name, columns] of [
        ['samples_due', ['visible_at', 'requested_at']],
        ['samples_due_of_check', ['check_id', 'visible_at', 'requested_at']],
      ] as const) {
        await db.schema
          .createIndex(name)
          .on('samples')
          .columns([...columns])
          .where('done' as never, '=', 0 as never)
          .execute()
      }
      await db.schema.createIndex('samples_by_time').on('samples').columns(['requested_at', 'id']).execute()
      await db.schema
        .createIndex('samples_with_text')
        .on('samples')
        .column('requested_at')
        .where('erased' as never, '=', 0 as never)
        .execute()
      await sql`
        insert into tallies
        select experiment, check_id, check_version, arm, coalesce(policy_hash, ''),
          requested_at / 3600000 * 3600000, 'sample', extra is not null,
          count(*), sum(1.0 / probability), sum(1.0 / probability / probability)
        from samples group by 1, 2, 3, 4, 5, 6, 7, 8`.execute(db)
      await sql`
        insert into tallies
        select s.experiment, v.check_id, v.check_version, s.arm, coalesce(s.policy_hash, ''),
          s.requested_at / 3600000 * 3600000, v.verdict, s.extra is not null,
          count(*), sum(1.0 / s.probability), sum(1.0 / s.probability / s.probability)
        from verdicts v join samples s on s.id = v.sample_id group by 1, 2, 3, 4, 5, 6, 7, 8`.execute(db)
      await sql`
        insert into score_tallies
        select s.experiment, v.check_id, v.check_version, s.arm, coalesce(s.policy_hash, ''), j.key,
          case json_extract(j.value, '$.kind')
            when 'number' then 'n:' || rtrim(rtrim(printf('%.1f', json_extract(j.value, '$.value')), '0'), '.')
            when 'label' then 'l:' || json_extract(j.value, '$.value')
            else '' end,
          count(*)
        from verdicts v join samples s on s.id = v.sample_id, json_each(v.scores) j
        where s.extra is null group by 1, 2, 3, 4, 5, 6, 7`.execute(db)
    },
  },
  /** Indexes in the order of requests, so that a page of verdicts or samples reads no more than the page. */
  '0005-request-order': {
    async up(db: Kysely<never>) {
      // The last of a line are not to look up by, but to read without the samples' texts.
      const replaced = {
        samples_by_time: ['requested_at', 'id'],
        samples_of_experiment: [
          ...['experiment', 'requested_at', 'id'],
          ...['check_id', 'arm', 'policy_hash', 'unit', 'question_hash', 'assignment', 'extra'],
        ],
        samples_of_unit: [
          ...['experiment', 'check_id', 'unit', 'question_hash', 'requested_at', 'id'],
          ...['arm', 'policy_hash', 'extra'],
        ],
      }
      for (const [name, columns] of Object.entries(replaced)) {
        await db.schema.dropIndex(name).ifExists().execute()
        await db.schema.createIndex(name).on('samples').columns(columns).execute()
      }
    },
  },
  '0006-traces': {
    async up(db: Kysely<never>) {
      await db.schema.alterTable('samples').addColumn('traceparent', 'text').execute()
    },
  },
}
