/** What the contract of the stores is held against: every engine, each test with a store of its own. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { D1Database } from '@cloudflare/workers-types'
import { onTestFinished } from 'vitest'
import { type OpenStore, openStore } from '../../src/adapters/store.ts'
import { D1Store } from '../../src/adapters/store-d1.ts'
import { noLog } from '../../src/domain/ports.ts'
import { emptyD1 } from '../support/d1.ts'

/** What all of them do; D1 does not take verdicts back. */
export type ContractStore = Omit<OpenStore, 'rejudge'> & Partial<Pick<OpenStore, 'rejudge'>>

export interface Engine {
  /** Whether what is stored can be opened a second time. */
  readonly lasting: boolean
  /** Whether processes can open it by its address. */
  readonly processes: boolean
  /** The longest text it holds, in bytes. */
  readonly longestText: number
  /** Whether it takes verdicts back. */
  readonly rejudges: boolean
  /** How many random sequences of operations are tried. */
  readonly sequences: number
  /** @returns what names a new, empty store. */
  create(): Promise<string>
}

const ANY = { longestText: Number.POSITIVE_INFINITY, rejudges: true, sequences: 40 }

export const memory: Engine = { ...ANY, lasting: false, processes: false, create: async () => 'memory' }

export const sqliteFile: Engine = {
  ...ANY,
  lasting: true,
  processes: true,
  async create() {
    const folder = mkdtempSync(join(tmpdir(), 'ballast-store-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    return `sqlite:${join(folder, 'ballast.db')}`
  },
}

export const postgresDatabase = (create: () => Promise<string>): Engine => ({
  ...ANY,
  lasting: true,
  processes: true,
  create,
})

const databases = new Map<string, D1Database>()

/** Each empties the one before. */
export const d1: Engine = {
  lasting: true,
  processes: false,
  longestText: 100_000,
  rejudges: false,
  // Each call goes through Miniflare's proxy.
  sequences: 8,
  async create() {
    databases.set('d1', await emptyD1())
    return 'd1'
  },
}

/** Opens it until the test is over. */
export async function open(address: string, queueLimit = 10_000): Promise<ContractStore> {
  const database = databases.get(address)
  const store =
    database === undefined
      ? await openStore(address, { queueLimit, log: noLog })
      : new D1Store({ d1: database, queueLimit })
  onTestFinished(() => store.close().catch(() => {}))
  return store
}

/** A new store, opened twice, as by two processes; one that cannot be is the same both times. */
export async function openTwice(
  engine: Engine,
  queueLimit?: number,
): Promise<[ContractStore, ContractStore]> {
  const address = await engine.create()
  const first = await open(address, queueLimit)
  return [first, engine.lasting ? await open(address, queueLimit) : first]
}

export async function openNew(engine: Engine, queueLimit?: number): Promise<ContractStore> {
  return await open(await engine.create(), queueLimit)
}
