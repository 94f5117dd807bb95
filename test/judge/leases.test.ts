/** Who may judge a sample: leases that live as long as their worker, and end soon after it. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createOpenAIJudge } from '../../src/adapters/judge-openai.ts'
import { openSqliteStore, type SqliteStore } from '../../src/adapters/store-sqlite.ts'
import { type Check, CheckFile } from '../../src/domain/check.ts'
import { noLog, noMetrics } from '../../src/domain/ports.ts'
import type { Sample } from '../../src/domain/sample.ts'
import { JudgeWorker, type JudgeWorkerDeps } from '../../src/judge/worker.ts'
import { eventually, startTestUpstream } from '../support/ballast.ts'
import { completion, json } from '../support/upstream.ts'

const CHECK: Check = {
  ...CheckFile.parse({
    description: 'x',
    rubrics: [{ id: 'r', labels: ['YES', 'NO'], prompt: '{answer}' }],
    rule: { positive_if_all: [{ rubric: 'r', is: 'YES' }] },
  }),
  id: 'c',
  version: 'v',
}

const sample = (id: string): Sample => ({
  id,
  experiment: 'e',
  arm: 'a',
  policy: null,
  policyHash: null,
  check: 'c',
  checkVersion: 'v',
  probability: 1,
  model: 'm',
  unit: 'u',
  assignment: 'w',
  requestedAt: Number(id),
  messages: [],
  question: id,
  answer: id,
})

async function open(path = join(mkdtempSync(join(tmpdir(), 'ballast-')), 'b.db')) {
  const store = await openSqliteStore({ path, queueLimit: 100 })
  onTestFinished(() => store.close())
  return { store, path }
}

async function startWorker(store: SqliteStore, url: string, settings: Partial<JudgeWorkerDeps> = {}) {
  const worker = new JudgeWorker({
    queue: store,
    store,
    judge: createOpenAIJudge({ baseUrl: url, apiKey: null, timeout: 5_000, maxTokens: 1, logprobs: false }),
    checks: () => new Map([['c', CHECK]]),
    metrics: noMetrics,
    log: noLog,
    models: ['m'],
    repeat: 1,
    textLimit: 1_000,
    concurrency: 4,
    timeout: 5_000,
    attempts: 3,
    ...settings,
  })
  worker.start()
  onTestFinished(() => worker.stop())
  return worker
}

describe('a taken sample', () => {
  test('is nobody else’s until its lease ends, and then its first taker can do nothing to it', async () => {
    const { store } = await open()
    await store.offer(sample('1'))
    const [first] = await store.take(1, 50)
    expect(await store.take(1, 50)).toEqual([])
    await sleep(60)
    const [second] = await store.take(1, 60_000)
    expect([first!.attempts, second!.attempts]).toEqual([1, 2])
    expect(await store.extend([first!], 60_000)).toEqual([])
    await store.retry(first!, 0)
    await store.release([first!])
    expect(await store.take(1, 50)).toEqual([])
    expect(await store.extend([first!, second!], 60_000)).toEqual([second])
    await store.retry(second!, 0)
    expect((await store.take(1, 50)).map(({ attempts }) => attempts)).toEqual([3])
  })

  test('given back counts as not taken', async () => {
    const { store } = await open()
    for (const id of ['1', '2']) await store.offer(sample(id))
    await store.release(await store.take(2, 60_000))
    expect((await store.take(2, 50)).map(({ attempts }) => attempts)).toEqual([1, 1])
    await store.release([])
    expect(await store.extend([], 50)).toEqual([])
  })

  test('that has its verdict is neither taken nor extended', async () => {
    const { store } = await open()
    await store.offer(sample('1'))
    const taken = await store.take(1, 0)
    const verdict = { sampleId: '1', check: 'c', checkVersion: 'v', scores: {}, judgedAt: 1 } as const
    expect(await store.addVerdict({ ...verdict, verdict: 'positive' })).toBe(true)
    expect(await store.addVerdict({ ...verdict, verdict: 'negative' })).toBe(false)
    expect(await store.extend(taken, 50)).toEqual([])
    expect(await store.take(1, 50)).toEqual([])
    expect(await verdictsIn(store)).toEqual(['positive'])
  })

  test('offered again is there once, and is not refused where the queue is full', async () => {
    const { store } = await open()
    store.limitQueue(1)
    expect(await store.offer(sample('1'))).toBe(true)
    expect(await store.offer(sample('1'))).toBe(true)
    expect(await store.offer(sample('2'))).toBe(false)
    expect((await store.status()).depth).toBe(1)
  })
})

async function verdictsIn(store: SqliteStore) {
  const found = await store.find({ experiment: 'e', check: 'c' }, 100)
  return found.map(({ verdict }) => verdict?.verdict).reverse()
}

describe('a worker', () => {
  test('keeps what it judges, however long the judge takes, and no other judges it', async () => {
    const judge = await startTestUpstream(async (_request, response) => {
      await sleep(1_500)
      json(response, 200, completion('YES'))
    })
    const { store, path } = await open()
    const { store: other } = await open(path)
    for (const id of ['1', '2', '3']) await store.offer(sample(id))
    // One at a time: the second and third wait for longer than a lease before they are begun.
    await startWorker(store, judge.url, { concurrency: 1, leaseMs: 600 })
    await eventually(() => judge.requests.length === 1)
    await startWorker(other, judge.url, { concurrency: 1, leaseMs: 600 })
    await eventually(async () => (await store.status()).depth === 0)
    expect(judge.requests).toHaveLength(3)
    expect(await verdictsIn(store)).toHaveLength(3)
  })

  test('gives back what it holds when it is stopped, as if it had not been taken', async () => {
    const judge = await startTestUpstream(() => {})
    const { store } = await open()
    for (let id = 1; id <= 20; id++) await store.offer(sample(`${id}`))
    const worker = await startWorker(store, judge.url)
    await eventually(() => judge.requests.length === 4)
    await worker.stop()
    expect((await store.take(20, 50)).map(({ attempts }) => attempts)).toEqual(Array(20).fill(1))
  })

  test('does not judge a sample again whose workers ended more often than it may be tried', async () => {
    const judge = await startTestUpstream((_request, response) => json(response, 200, completion('YES')))
    const { store } = await open()
    await store.offer(sample('1'))
    for (let died = 1; died <= 4; died++) await store.take(1, -1)
    await store.offer(sample('2'))
    await startWorker(store, judge.url, { attempts: 3 })
    await eventually(async () => (await store.status()).depth === 0)
    expect(await verdictsIn(store)).toEqual(['error', 'positive'])
    expect(judge.requests).toHaveLength(1)
  })

  test('leaves a sample alone whose check only a newer configuration knows', async () => {
    const judge = await startTestUpstream((_request, response) => json(response, 200, completion('YES')))
    const { store } = await open()
    for (const [id, requestedAt] of [
      ['old', 10],
      ['new', 30],
    ] as const)
      await store.offer({ ...sample(id), check: 'other', requestedAt })
    await startWorker(store, judge.url, { checksSince: () => 20 })
    await eventually(async () => (await store.status()).depth === 1)
    await sleep(300)
    const found = await store.find({ check: 'other' }, 10)
    expect(found.map((it) => [it.sample.id, it.verdict?.verdict ?? null, it.attempts])).toEqual([
      ['new', null, 0],
      ['old', 'error', 1],
    ])
  })
})
