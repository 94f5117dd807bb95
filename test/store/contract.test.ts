/** Holds every store to the same contract: the ports `Store`, `Queue` and `Archive`. */
import { describe } from 'vitest'
import { postgres, usePostgres } from '../support/postgres.ts'
import { describeWith } from '../support/requires.ts'
import { archiveContract } from './archive-contract.ts'
import { d1, type Engine, memory, postgresDatabase, sqliteFile } from './engines.ts'
import { queueContract } from './queue-contract.ts'
import { sharingContract } from './sharing-contract.ts'
import { textContract } from './text-contract.ts'
import { verdictContract } from './verdict-contract.ts'

function contract(engine: Engine): void {
  queueContract(engine)
  verdictContract(engine)
  archiveContract(engine)
  sharingContract(engine)
  textContract(engine)
}

describe('memory', () => contract(memory))

describe('SQLite', () => contract(sqliteFile))

describe('D1', () => contract(d1))

describeWith(postgres, 'Postgres', () => {
  const server = usePostgres()
  contract(postgresDatabase(() => server().database()))
})
