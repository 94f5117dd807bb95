/** What the contract of the stores is held against: every engine, each test with a store of its own. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type OpenStore, openStore } from '../../src/adapters/store.ts'
import { noLog } from '../../src/domain/ports.ts'

export interface Engine {
  /** Whether what is stored can be opened a second time. */
  readonly lasting: boolean
  /** @returns what names a new, empty store. */
  create(): Promise<string>
}

export const memory: Engine = { lasting: false, create: async () => 'memory' }

export const sqliteFile: Engine = {
  lasting: true,
  async create() {
    const folder = mkdtempSync(join(tmpdir(), 'ballast-store-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    return `sqlite:${join(folder, 'ballast.db')}`
  },
}

/** Opens it until the test is over. */
export async function open(address: string, queueLimit = 10_000): Promise<OpenStore> {
  const store = await openStore(address, { queueLimit, log: noLog })
  onTestFinished(() => store.close().catch(() => {}))
  return store
}

/** A new store, opened twice, as by two processes; one that cannot be is the same both times. */
export async function openTwice(engine: Engine, queueLimit?: number): Promise<[OpenStore, OpenStore]> {
  const address = await engine.create()
  const first = await open(address, queueLimit)
  return [first, engine.lasting ? await open(address, queueLimit) : first]
}

export async function openNew(engine: Engine, queueLimit?: number): Promise<OpenStore> {
  return await open(await engine.create(), queueLimit)
}
