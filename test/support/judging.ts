/** A judge worker with a real store and a real HTTP judge, and samples for it. */
import { onTestFinished } from 'vitest'
import { createOpenAIJudge } from '../../src/adapters/judge-openai.ts'
import { createPrometheusMetrics } from '../../src/adapters/metrics-prom.ts'
import { openSqliteStore, type SqliteStore } from '../../src/adapters/store-sqlite.ts'
import { type Check, CheckFile } from '../../src/domain/check.ts'
import { type Log, noLog } from '../../src/domain/ports.ts'
import type { Sample } from '../../src/domain/sample.ts'
import { JudgeWorker, type JudgeWorkerDeps } from '../../src/judge/worker.ts'

/** @param model that its only rubric names; by default the judge's own. */
export function checkOf(id: string, model?: string | readonly string[]): Check {
  const named = model === undefined ? {} : typeof model === 'string' ? { model } : { models: [...model] }
  const file = CheckFile.parse({
    description: 'x',
    rubrics: [{ id: 'r', labels: ['YES', 'NO'], prompt: '{answer}', ...named }],
    rule: { positive_if_all: [{ rubric: 'r', is: 'YES' }] },
  })
  return { ...file, id, version: '1' }
}

let samples = 0

export function sampleOf(fields: Partial<Sample> = {}): Sample {
  const number = ++samples
  return {
    id: `sample-${number}`,
    experiment: 'e',
    arm: 'a',
    policy: null,
    policyHash: null,
    check: 'c',
    checkVersion: '1',
    probability: 1,
    model: 'm',
    unit: `unit-${number}`,
    assignment: 'w',
    requestedAt: 1_000 + number,
    messages: [{ role: 'user', content: 'q' }],
    question: 'q',
    answer: `answer ${number}`,
    ...fields,
  }
}

export async function openTestStore(path = ':memory:'): Promise<SqliteStore> {
  const store = await openSqliteStore({ path, queueLimit: Number.POSITIVE_INFINITY })
  onTestFinished(() => store.close())
  return store
}

export function startWorker(
  store: SqliteStore,
  baseUrl: string,
  deps: Partial<JudgeWorkerDeps> = {},
  checks: readonly Check[] = [checkOf('c')],
  log: Log = noLog,
) {
  const metrics = createPrometheusMetrics()
  const timeout = deps.timeout ?? 5_000
  const worker = new JudgeWorker({
    queue: store,
    store,
    judge: createOpenAIJudge({ baseUrl, apiKey: null, timeout, maxTokens: 16, logprobs: false }),
    checks: () => new Map(checks.map((check) => [check.id, check])),
    metrics,
    log,
    models: ['judge'],
    repeat: 1,
    textLimit: 10_000,
    concurrency: 8,
    timeout,
    attempts: 30,
    ...deps,
  })
  onTestFinished(() => worker.stop())
  worker.start()
  return { worker, metrics: async () => (await metrics.expose()).text }
}
