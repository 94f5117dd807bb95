/** How `store-postgres.ts` reaches its server: the URL's options, a pool for Kysely, and what went wrong in a sentence. */
import type { PostgresPool, PostgresPoolClient } from 'kysely'
import pg from 'pg'
import type { Log } from '../domain/ports.ts'
import { restoredRow, storable } from './store-text.ts'

/** Tables are in the schema of this name unless the URL says `?schema=`. */
const SCHEMA = 'ballast'
/** A process writes a few statements per sampled request; more connections would only queue up at the same tallies. */
const CONNECTIONS = 10
/** For a statement; the longest reads a page. */
const ANSWER_MS = 60_000
const KEEP_ALIVE_MS = 10_000
const CONNECT_MS = 10_000
const IDLE_MS = 30_000
const BIGINT = 20

export interface PostgresPlace {
  readonly schema: string
  /** For `pg` and pg-boss alike. */
  readonly connection: {
    readonly connectionString: string
    readonly application_name: string
    readonly connectionTimeoutMillis: number
    readonly query_timeout: number
    readonly keepAlive: boolean
    readonly keepAliveInitialDelayMillis: number
  }
}

/** @param url one that `storeProblem` finds nothing wrong with. */
export function postgresPlace(url: string): PostgresPlace {
  const place = new URL(url)
  const schema = place.searchParams.get('schema') ?? SCHEMA
  place.searchParams.delete('schema')
  // sslmode as Postgres itself documents it; the driver's own reading of `require` is about to change.
  place.searchParams.set('uselibpqcompat', 'true')
  return {
    schema,
    connection: {
      connectionString: place.href,
      application_name: 'ballast',
      connectionTimeoutMillis: CONNECT_MS,
      // A connection that has gone deaf is given up, and not waited for as long as the kernel would.
      query_timeout: ANSWER_MS,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    },
  }
}

/** A pool that reconnects by itself: what runs on a lost connection rejects, what comes later has a new one. */
export function openPool({ connection }: PostgresPlace, log: Log): pg.Pool {
  const pool = new pg.Pool({
    ...connection,
    max: CONNECTIONS,
    idleTimeoutMillis: IDLE_MS,
    types: {
      // Times and counts fit into a number. The driver's own parsers for the rest.
      getTypeParser: ((type: number, format?: 'text') =>
        type === BIGINT ? Number : pg.types.getTypeParser(type, format)) as typeof pg.types.getTypeParser,
    },
  })
  pool.on('error', (error) => log.warn({ err: error }, 'an idle connection to the store was lost'))
  // Without a listener the loss of a connection that is in use would end the process; its statement rejects anyway.
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}

/** The pool as Kysely uses it, with texts that Postgres would refuse written so that it takes them. */
export function kyselyPool(pool: pg.Pool): PostgresPool {
  const connect = async (): Promise<PostgresPoolClient> => {
    const client = await pool.connect()
    const query = async (text: string, parameters: readonly unknown[]) => {
      const result = await client.query<Record<string, unknown>>(text, parameters.map(storable))
      for (const row of result.rows) restoredRow(row)
      return result
    }
    // The other way to call it, with a cursor, is for streams, and there are none here.
    return {
      query: query as unknown as PostgresPoolClient['query'],
      release: (destroy) => client.release(destroy),
    }
  }
  return { options: pool.options, end: () => pool.end(), connect }
}

const REASONS: Record<string, string> = {
  ECONNREFUSED: 'no server listens there',
  ENOENT: 'no server listens there',
  ENOTFOUND: 'its host is not known',
  EAI_AGAIN: 'its host is not known',
  ETIMEDOUT: 'its host does not answer',
  EHOSTUNREACH: 'its host cannot be reached',
  ECONNRESET: 'the server broke the connection off',
}

/** Why the server cannot be used, in words that hold no secret. */
export function reasonOf(error: unknown): string {
  // A name with several addresses: all of them failed.
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0])
  const { code, message } = error as { code?: unknown; message?: unknown }
  return (typeof code === 'string' ? REASONS[code] : undefined) ?? String(message ?? error)
}
