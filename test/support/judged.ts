/** Samples and verdicts in a real store, as tests of the evidence need them. */
import { onTestFinished } from 'vitest'
import { openSqliteStore, type SqliteStore } from '../../src/adapters/store-sqlite.ts'
import type { Sample } from '../../src/domain/sample.ts'
import type { VerdictKind } from '../../src/domain/verdict.ts'
import { NO_RULES } from '../../src/policy/rules.ts'

/** Two arms, one of which injects something. */
export const FOLLOWED = {
  experiment: {
    name: 'e',
    arms: [arm('control', null), arm('treated', 'p/p')],
    rules: NO_RULES,
  },
  check: { id: 'c', version: 'v1' },
}

export function arm(name: string, policyId: string | null) {
  const policyHash = policyId === null ? null : `hash of ${policyId}`
  return { name, policyId, policyHash, weight: 1, cumulativeWeight: 1, policy: null, sampleRate: 1 }
}

export async function openStore(path = ':memory:'): Promise<SqliteStore> {
  const store = await openSqliteStore({ path, queueLimit: 100_000 })
  onTestFinished(() => store.close())
  return store
}

export interface Request {
  readonly id: string
  readonly arm: string
  readonly requestedAt: number
  readonly unit?: string
  readonly question?: string
  readonly assignment?: string
  readonly probability?: number
  readonly extra?: 'trigger' | null
}

export function sampleOf(request: Request): Sample {
  return {
    experiment: 'e',
    policy: request.arm === 'control' ? null : 'p/p',
    policyHash: request.arm === 'control' ? null : 'hash of p/p',
    check: 'c',
    checkVersion: 'v1',
    probability: 1,
    model: 'm',
    unit: request.id,
    assignment: 'w',
    messages: [],
    question: 'q',
    answer: 'a',
    ...request,
  }
}

export function verdictOf(sampleId: string, verdict: VerdictKind) {
  return { sampleId, check: 'c', checkVersion: 'v1', verdict, scores: {}, judgedAt: 1 } as const
}
