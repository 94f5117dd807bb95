/**
 * How `store-d1.ts` reaches Cloudflare's D1: Kysely's dialect for it, batches of statements, and what went wrong in a
 * sentence. D1 has no transactions that begin and end; a batch is one.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { D1Database, D1Result } from '@cloudflare/workers-types'
import {
  type Compilable,
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  Kysely,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import type { Tables } from './store-tables.ts'
import { restoredRow, storable } from './store-text.ts'

/** Of D1 itself, and over in a moment. */
const PASSING =
  /network connection lost|object to be reset|reset because|overloaded|exceeded timeout|internal error|storage operation/i
const ATTEMPTS = 4
const FIRST_WAIT_MS = 50

export function openD1(d1: D1Database): Kysely<Tables> {
  const connection: DatabaseConnection = {
    executeQuery: async <R>(query: CompiledQuery): Promise<QueryResult<R>> => {
      const { results, meta } = await told(prepare(d1, query).all<Record<string, unknown>>())
      return { rows: results.map(restoredRow) as R[], numAffectedRows: BigInt(meta.changes) }
    },
    streamQuery: () => {
      throw new Error('D1 has no cursors')
    },
  }
  const noTransactions = async () => {
    throw new Error('D1 has batches in place of transactions')
  }
  const driver: Driver = {
    init: async () => {},
    acquireConnection: async () => connection,
    beginTransaction: noTransactions,
    commitTransaction: noTransactions,
    rollbackTransaction: noTransactions,
    releaseConnection: async () => {},
    destroy: async () => {},
  }
  const dialect: Dialect = {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => driver,
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  }
  return new Kysely<Tables>({ dialect })
}

/** Runs statements in their order, all or none. @returns the rows of each. */
export async function runTogether(
  d1: D1Database,
  statements: readonly Pick<Compilable, 'compile'>[],
): Promise<readonly Record<string, unknown>[][]> {
  const prepared = statements.map((it) => prepare(d1, it.compile()))
  const results: D1Result<Record<string, unknown>>[] = await told(d1.batch<Record<string, unknown>>(prepared))
  return results.map(({ results }) => results.map(restoredRow))
}

/**
 * Runs it again after troubles of D1's own. Nobody knows then whether it was done the first time, so it is for what may be
 * done twice.
 */
export async function patiently<T>(run: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run()
    } catch (error) {
      if (attempt === ATTEMPTS || !PASSING.test(String((error as Error).message))) throw error
      await sleep(FIRST_WAIT_MS * 2 ** attempt * (0.5 + Math.random() / 2))
    }
  }
}

function prepare(d1: D1Database, { sql, parameters }: CompiledQuery) {
  return d1.prepare(sql).bind(...parameters.map(storable))
}

async function told<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    if (!/no such (table|column)/.test(String((error as Error).message))) throw error
    throw new Error(
      'the D1 database has not the tables of this version: run `npx wrangler d1 migrations apply DB --remote`',
      { cause: error },
    )
  }
}
