/** Tables and migrations of `store-sqlite.ts`. A migration that has been released is never changed. */
import { createHmac, randomBytes } from 'node:crypto'
import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

export interface Tables {
  samples: {
    id: string
    experiment: string
    arm: string
    policy: string | null
    policy_hash: string | null
    check_id: string
    check_version: string
    probability: number
    model: string
    unit: string
    question_hash: string
    /** Milliseconds since the epoch, like all times here. */
    requested_at: number
    messages: string
    question: string
    answer: string
    /** 1 once it has its verdict. */
    done: number
    /** Not to be taken before: a lease, or the wait before another try. */
    visible_at: number
    attempts: number
  }
  verdicts: {
    sample_id: string
    check_id: string
    check_version: string
    verdict: string
    scores: string
    judged_at: number
  }
  exposures: {
    experiment: string
    arm: string
    assignment: string
    exposures: number
    anonymous_units: number
  }
  units: { experiment: string; arm: string; assignment: string; unit: string }
  /** What belongs to the store as a whole. */
  settings: { name: string; value: string }
}

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
}
