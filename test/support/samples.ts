/** Samples and verdicts for tests of what is kept of them. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { openSqliteStore, type SqliteStore } from '../../src/adapters/store-sqlite.ts'
import type { Sample } from '../../src/domain/sample.ts'
import type { Scores, Verdict, VerdictKind } from '../../src/domain/verdict.ts'

export const DAY_MS = 86_400_000

export function sampleOf(given: Partial<Sample> & { readonly id: string }): Sample {
  const question = given.question ?? 'Which bird is this?'
  return {
    experiment: 'birds',
    arm: 'control',
    policy: null,
    policyHash: null,
    check: 'nineteenth-century',
    checkVersion: 'v1',
    probability: 0.5,
    model: 'm',
    unit: 'u',
    assignment: 'w',
    requestedAt: Date.UTC(2026, 10, 1),
    messages: [{ role: 'user', content: question }],
    question,
    answer: 'A wren.',
    ...given,
  }
}

export function verdictOf(sampleId: string, verdict: VerdictKind, scores: Scores = {}): Verdict {
  return { sampleId, check: 'nineteenth-century', checkVersion: 'v1', verdict, scores, judgedAt: Date.now() }
}

/** A store in a file of its own, open until the test ends. */
export async function fileStore(): Promise<{ readonly path: string; readonly store: SqliteStore }> {
  const path = join(mkdtempSync(join(tmpdir(), 'ballast-')), 'samples.db')
  return { path, store: await openStoreAt(path) }
}

export async function openStoreAt(path: string): Promise<SqliteStore> {
  const store = await openSqliteStore({ path, queueLimit: 1_000_000 })
  onTestFinished(() => store.close().catch(() => {}))
  return store
}
