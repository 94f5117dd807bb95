/** What is kept of samples: redacted, erased with the verdict, erased when they are old; over the real proxy and store. */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { Log } from '../../src/domain/ports.ts'
import { Retention } from '../../src/node/retention.ts'
import { eventually, startTestBallast, startTestUpstream } from '../support/ballast.ts'
import { DAY_MS, fileStore, openStoreAt, sampleOf, verdictOf } from '../support/samples.ts'

const SECRET = 'ann@example.com'

/** Answers as the model, and as a judge that repeats what it was asked: no score, and the answer quoted. */
async function startModels(reply: (prompt: string) => string) {
  const prompts: string[] = []
  const upstream = await startTestUpstream(({ body }, response) => {
    const { model, messages } = JSON.parse(body.toString()) as {
      model: string
      messages: { content: string }[]
    }
    const judging = model === 'judge'
    if (judging) prompts.push(messages[0]!.content)
    const content = judging ? reply(messages[0]!.content) : `Dear ${SECRET}, it is a wren.`
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(
      JSON.stringify({
        choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content } }],
      }),
    )
  })
  return { url: upstream.url, prompts }
}

const yaml = (url: string, path: string, samples: string) => `
store: sqlite:${path}
upstreams: {p: {base_url: "${url}"}}
routes: [{model: "*", upstream: p, check: nineteenth-century, sample: 1}]
samples: ${samples}
judge: {upstream: p, model: judge, logprobs: off}
`

async function exchange(samples: string, reply: (prompt: string) => string) {
  const { path, store } = await fileStore()
  const { url, prompts } = await startModels(reply)
  const ballast = await startTestBallast(yaml(url, path, samples))
  const ask = async (question: string) => {
    const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: question }] })
    const response = await fetch(`${ballast.url}/chat/completions`, {
      method: 'POST',
      body,
      headers: { 'x-ballast-unit': 'u' },
    })
    return await response.text()
  }
  const answer = await ask(`I am ${SECRET}: which bird is it?`)
  await eventually(async () => (await store.find({}, 1)).length === 1)
  await ballast.settle()
  return { path, store, ballast, prompts, answer, ask }
}

describe('samples.keep', () => {
  test('full stores the texts as they are', async () => {
    const { store } = await exchange('{keep: full}', () => '19')
    const [kept] = await store.find({}, 10)
    expect(kept!.sample.question).toBe(`I am ${SECRET}: which bird is it?`)
    expect(kept!.erased).toBe(false)
  })

  test('redacted keeps it from the store and from the judge, not from client and model', async () => {
    const { path, store, prompts, answer, ballast } = await exchange('{keep: redacted}', () => '19')
    expect(answer).toContain(SECRET)
    const [kept] = await store.find({}, 10)
    expect(kept!.sample).toMatchObject({
      question: 'I am [EMAIL]: which bird is it?',
      answer: 'Dear [EMAIL], it is a wren.',
      messages: [{ role: 'user', content: 'I am [EMAIL]: which bird is it?' }],
    })
    expect(kept!.verdict!.verdict).toBe('positive')
    expect(prompts).toHaveLength(1)
    expect(prompts[0]).toContain('Dear [EMAIL]')
    await ballast.close(0)
    await store.close()
    expect(readFileSync(path).includes(SECRET)).toBe(false)
  })

  test('redacted tells questions apart as they were asked', async () => {
    const { store, ballast, ask } = await exchange('{keep: redacted}', () => '19')
    await ask('I am bob@example.com: which bird is it?')
    await ask(`I am ${SECRET}: which bird is it?`)
    await eventually(async () => (await store.find({}, 10)).length === 3)
    await ballast.settle()
    const samples = (await store.find({}, 10)).map(({ sample }) => sample)
    expect(new Set(samples.map(({ question }) => question)).size).toBe(1)
    const { experiment, check, checkVersion, arm, policyHash } = samples[0]!
    const query = { experiment, check, checkVersion, arms: [{ arm, policyHash }] }
    // Of one unit a question counts once.
    expect(await store.decisiveVerdicts(query, null, null, 10)).toHaveLength(2)
  })

  test('verdicts leaves no text of client, model or judge once there is a verdict', async () => {
    const quoting = (prompt: string) => `I cannot say of "${prompt.slice(-400)}"`
    const { path, store, ballast } = await exchange('{keep: verdicts}', quoting)
    const [kept] = await store.find({}, 10)
    expect(kept!.erased).toBe(true)
    expect(kept!.sample).toMatchObject({ question: '', answer: '', messages: [] })
    expect(kept!.verdict!.verdict).toBe('unparsed')
    expect(Object.values(kept!.verdict!.scores)).toEqual([{ kind: 'unparsed', text: '' }])
    await ballast.close(0)
    await store.close()
    expect(readFileSync(path).includes(SECRET)).toBe(false)
  })

  test('can be changed while ballast runs', async () => {
    const { ballast, store, ask } = await exchange('{}', () => '19')
    const running = ballast.config
    ballast.reload(() => ({ ...running, hash: 'other', samples: { keep: 'verdicts' } }))
    await ask('And this?')
    await eventually(async () => (await store.find({ erased: true }, 10)).length === 1)
    expect(await store.howMany({ erased: false })).toBe(1)
  })
})

describe('samples.retention', () => {
  test('erases texts of old samples, judged or not, in batches, and says how many', async () => {
    const { path, store } = await fileStore()
    const now = Date.now()
    for (let index = 0; index < 1_203; index++) {
      const id = `old-${index}`
      await store.offer(sampleOf({ id, requestedAt: now - 31 * DAY_MS - index, answer: `secret ${id}` }))
      if (index >= 3) {
        const scores = { scale: { kind: 'unparsed', text: `secret ${id}` } } as const
        await store.addVerdict(verdictOf(id, index % 2 === 0 ? 'positive' : 'unparsed', scores))
      }
    }
    await store.offer(sampleOf({ id: 'new', requestedAt: now - 29 * DAY_MS, answer: 'kept' }))
    const before = await store.tallies('birds', 'nineteenth-century')
    const said: unknown[] = []
    const log: Log = {
      debug() {},
      warn() {},
      info: (fields) => said.push(fields),
      error: (fields) => said.push(fields),
    }
    const retention = new Retention({ archive: store, log })
    retention.use(30 * DAY_MS)
    await retention.sweep()
    await retention.stop()
    expect(said).toEqual([{ erased: 1_203, unjudged: 3 }])
    expect(await store.howMany({ erased: true })).toBe(1_203)
    const [old] = await store.find({ ids: ['old-0'] }, 1)
    expect(old!.verdict).toMatchObject({ verdict: 'error' })
    const [kept] = await store.find({ erased: false }, 10)
    expect(kept!.sample).toMatchObject({ id: 'new', answer: 'kept' })
    expect(kept!.verdict).toBeNull()
    const after = await store.tallies('birds', 'nineteenth-century')
    const judged = (kinds: typeof before) =>
      kinds.filter(({ kind }) => kind !== 'error').reduce((sum, { count }) => sum + count, 0)
    expect(judged(after)).toBe(judged(before))
    await store.close()
    expect(readFileSync(path).includes('secret old-')).toBe(false)
  })

  test('is applied when ballast starts and when it is reloaded with another', async () => {
    const { path, store } = await fileStore()
    const now = Date.now()
    await store.offer(sampleOf({ id: 'a', requestedAt: now - 40 * DAY_MS }))
    await store.offer(sampleOf({ id: 'b', requestedAt: now - 20 * DAY_MS }))
    await store.close()
    const upstream = await startTestUpstream(() => {})
    const ballast = await startTestBallast(`
store: sqlite:${path}
upstreams: {p: {base_url: "${upstream.url}"}}
routes: [{model: "*", upstream: p}]
samples: {retention: 30d}
`)
    const reopened = await openStoreAt(path)
    const erased = async () => (await reopened.find({ erased: true }, 9)).map(({ sample }) => sample.id)
    await eventually(async () => (await erased()).length === 1)
    expect(await erased()).toEqual(['a'])
    const running = ballast.config
    ballast.reload(() => ({ ...running, hash: 'other', samples: { keep: 'full', retention: 10 * DAY_MS } }))
    await eventually(async () => (await erased()).length === 2)
  })
})

describe('a verdict `error` that is taken back', () => {
  test('is counted no more, and its sample is judged anew', async () => {
    const { store } = await fileStore()
    const failed = { scale: { kind: 'error', message: 'no answer' } } as const
    for (const [id, kind] of [
      ['a', 'error'],
      ['b', 'error'],
      ['c', 'positive'],
    ] as const) {
      await store.offer(sampleOf({ id, probability: 0.3 }))
      await store.take(1, 1)
      await store.addVerdict(verdictOf(id, kind, kind === 'error' ? failed : {}))
    }
    await store.offer(sampleOf({ id: 'x', extra: 'trigger' }))
    await store.addVerdict(verdictOf('x', 'error', failed))
    await store.offer(sampleOf({ id: 'gone' }))
    await store.addVerdict(verdictOf('gone', 'error', failed), true)
    const counted = async () =>
      (await store.tallies('birds', 'nineteenth-century'))
        .filter(({ kind }) => kind !== 'sample')
        .map(({ kind, extra, count, weights }) => [kind, extra, count, Number(weights.toFixed(6))])
    expect(await counted()).toEqual([
      ['error', false, 3, 8.666667],
      ['error', true, 1, 2],
      ['positive', false, 1, 3.333333],
    ])
    expect(await store.rejudge({ ids: ['a', 'c', 'x', 'gone'] })).toBe(2)
    expect(await counted()).toEqual([
      ['error', false, 2, 5.333333],
      ['positive', false, 1, 3.333333],
    ])
    expect(await store.scoreTallies('birds', 'nineteenth-century')).toEqual([
      expect.objectContaining({ rubric: 'scale', score: null, count: 2 }),
    ])
    expect((await store.status()).depth).toBe(2)
    const taken = await store.take(10, 1_000)
    expect(taken.map(({ sample, attempts }) => [sample.id, attempts])).toEqual([
      ['a', 1],
      ['x', 1],
    ])
    expect(await store.addVerdict(verdictOf('a', 'negative'))).toBe(true)
    expect((await counted()).find(([kind]) => kind === 'negative')).toEqual(['negative', false, 1, 3.333333])
  })
})
