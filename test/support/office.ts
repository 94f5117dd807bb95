/** Takes hold of the back office: its threads as they come, and the store it works on, locked as by another process. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Worker } from 'node:worker_threads'
import { onTestFinished } from 'vitest'

/** @returns the threads that this process starts from now on. */
export function watchThreads(): Worker[] {
  const threads: Worker[] = []
  const seen = (thread: Worker) => void threads.push(thread)
  process.on('worker', seen)
  onTestFinished(() => void process.off('worker', seen))
  return threads
}

export function storeFile(): string {
  return join(mkdtempSync(join(tmpdir(), 'ballast-')), 'ballast.db')
}

/** All rows of a query. */
export function rows(file: string, query: string): Record<string, unknown>[] {
  const database = new DatabaseSync(file, { readOnly: true, timeout: 10_000 })
  try {
    return database.prepare(query).all() as Record<string, unknown>[]
  } finally {
    database.close()
  }
}

/** Holds the write lock until `release`, or the test's end. */
export function lockStore(file: string): { release(): void } {
  const database = new DatabaseSync(file, { timeout: 10_000 })
  database.exec('BEGIN IMMEDIATE')
  const release = () => {
    if (database.isOpen) database.close()
  }
  onTestFinished(release)
  return { release }
}

const LOCKING = `
const { DatabaseSync } = require('node:sqlite')
const database = new DatabaseSync(process.argv[1], { timeout: 10000 })
database.exec('BEGIN EXCLUSIVE')
console.log('locked')
setTimeout(() => database.close(), Number(process.argv[2]))
`

/** Another process takes the store for itself, readers included, for so long; resolves when it has it. */
export async function lockedElsewhere(file: string, ms: number): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['-e', LOCKING, file, `${ms}`])
  onTestFinished(() => void child.kill('SIGKILL'))
  await new Promise((resolve) => child.stdout.once('data', resolve))
  return child
}
