/**
 * A throw-away Postgres on a free port of this machine, shared by the tests of a file: started by `usePostgres`, stopped
 * and removed when they are done. Postgres refuses to run as root, so root hands it to `nobody`.
 */
import { spawnSync } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll } from 'vitest'
import type { Requirement } from './requires.ts'

/** Where packages put the server's programs, beside those on PATH. */
function folders(): string[] {
  const packaged = '/usr/lib/postgresql'
  const versions = existsSync(packaged) ? readdirSync(packaged).map((it) => join(packaged, it, 'bin')) : []
  return [...(process.env.PATH ?? '').split(delimiter), ...versions.reverse()]
}

const BIN = folders().find((it) => existsSync(join(it, 'initdb')) && existsSync(join(it, 'pg_ctl')))
const NOBODY = 65_534
/** Of the kind that has to be escaped in a URL. */
export const PASSWORD = 'p@SECRET/#1'

export const postgres: Requirement = { name: "Postgres' initdb and pg_ctl", missing: BIN === undefined }

export interface PostgresServer {
  /** @returns the URL of a new, empty database. */
  database(): Promise<string>
  /** As administrator. */
  query(url: string, sql: string): Promise<Record<string, unknown>[]>
  /** Ends all connections, as a restart of the server would. */
  disconnect(): Promise<void>
  stop(): void
  start(): void
}

/** Starts a server before the tests of this file, or of the suite it is called in, and ends it after them. */
export function usePostgres(): () => PostgresServer {
  let running: (PostgresServer & { remove(): void }) | null = null
  beforeAll(async () => {
    running = await startPostgres()
  })
  afterAll(() => running?.remove(), 60_000)
  return () => running!
}

async function startPostgres(): Promise<PostgresServer & { remove(): void }> {
  const folder = mkdtempSync(join(tmpdir(), 'ballast-postgres-'))
  const port = await freePort()
  const data = join(folder, 'data')
  const root = process.getuid?.() === 0
  if (root) chownSync(folder, NOBODY, NOBODY)
  const run = (program: string, parameters: readonly string[]) => {
    // No pipes: the server would inherit them, and the call end only with it.
    const result = spawnSync(join(BIN!, program), parameters, {
      cwd: folder,
      stdio: 'ignore',
      ...(root ? { uid: NOBODY, gid: NOBODY } : {}),
    })
    if (result.status !== 0) throw new Error(`${program} ended with ${result.status ?? result.error}`)
  }
  const options = `-p ${port} -c listen_addresses=127.0.0.1 -k ${folder} -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c max_connections=200`
  const start = () => run('pg_ctl', ['-D', data, '-w', '-l', join(folder, 'log'), '-o', options, 'start'])
  const stop = (mode = 'fast') => run('pg_ctl', ['-D', data, '-w', '-m', mode, 'stop'])
  run('initdb', [
    '-D',
    data,
    '-U',
    'ballast',
    '--auth-local=trust',
    '--auth-host=scram-sha-256',
    '-E',
    'UTF8',
    '--locale=C.UTF-8',
    '-N',
  ])
  start()

  const query = async (url: string, text: string) => {
    const database = new URL(url).pathname.slice(1)
    const client = new pg.Client({ host: folder, port, user: 'ballast', database })
    await client.connect()
    try {
      return (await client.query(text)).rows as Record<string, unknown>[]
    } finally {
      await client.end()
    }
  }
  const at = (database: string) =>
    `postgres://ballast:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}/${database}`
  await query(at('postgres'), `alter role ballast password '${PASSWORD}'`)
  let databases = 0
  return {
    async database() {
      const name = `test_${++databases}`
      await query(at('postgres'), `create database ${name}`)
      return at(name)
    },
    query,
    async disconnect() {
      await query(
        at('postgres'),
        "select pg_terminate_backend(pid) from pg_stat_activity where datname like 'test_%'",
      )
    },
    stop,
    start,
    remove() {
      try {
        stop('immediate')
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}
