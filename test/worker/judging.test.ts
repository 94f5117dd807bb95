/**
 * Judging on Workers, on D1 and a queue: what goes wrong on the way loses nothing and judges nothing twice. What judging
 * comes to is held by `birds.test.ts` and by the data plane's own tests.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { eventually, metricValue, startTestUpstream } from '../support/ballast.ts'
import { completion, json } from '../support/upstream.ts'
import { type RunningWorker, startWorker } from '../support/worker.ts'

const yaml = (judge = '', rest = '') => `
upstreams: {p: {base_url: "\${UPSTREAM}", retries: 0}}
routes: [{model: m, upstream: p, experiment: e}]
experiments:
  e:
    unit: [user]
    arms: {control: {weight: 1}, treated: {weight: 1, policy: birds/identity-alex}}
    check: nineteenth-century
    sample: 1
judge: {upstream: p, model: judge, logprobs: "off"${judge}}
${rest}`

interface Options {
  readonly text?: string
  /** Kept from one Worker to the next. */
  readonly folder?: string
  readonly messages?: boolean
}

/** An upstream that answers as model and as judge, and a Worker before it. @param reply of the judge; null: it fails. */
async function start(
  reply: (prompt: string) => string | null | Promise<string | null>,
  { text = yaml(), ...options }: Options = {},
) {
  const judged: string[] = []
  const upstream = await startTestUpstream(async (request, response) => {
    const { model, messages } = JSON.parse(request.body.toString())
    if (model !== 'judge') return json(response, 200, completion(`An answer to ${messages.at(-1).content}`))
    const prompt = messages[0].content as string
    judged.push(/An answer to (?:My name is Alex\. )?(\S+)/.exec(prompt)![1]!)
    const given = await reply(prompt)
    if (given === null) json(response, 500, { error: { message: 'down' } })
    else json(response, 200, completion(given))
  })
  const lines: string[] = []
  const method = (_fields: unknown, message: string) => void lines.push(message)
  const log = { debug: method, info: method, warn: method, error: method }
  let worker: RunningWorker
  const begin = async () => {
    worker = await startWorker({ yaml: text, environment: { UPSTREAM: upstream.url }, log, ...options })
    const begun = worker
    onTestFinished(() => begun.dispose())
  }
  await begin()
  const metrics = async () => await (await fetch(`${worker.url}metrics`)).text()
  return {
    judged,
    lines,
    metrics,
    async ask(question: string, padding = '') {
      const messages = [
        { role: 'system', content: padding },
        { role: 'user', content: question },
      ]
      const body = JSON.stringify({ model: 'm', user: question, messages })
      const response = await fetch(`${worker.url}v1/chat/completions`, { method: 'POST', body })
      expect([response.status, await response.text()]).toEqual([200, expect.any(String)])
    },
    /** Waits until the counter has come to it. */
    counts: (value: number, name: string, labels: Record<string, string> = {}, withinMs = 30_000) =>
      eventually(async () => metricValue(await metrics(), name, labels) === value, withinMs),
    async rows(sql: string) {
      return (await (await worker.d1()).prepare(sql).all<Record<string, unknown>>()).results
    },
    lookRound: () => worker.lookRound(),
    /** Ends it as it is, and begins another one. */
    async restart() {
      await worker.dispose()
      await begin()
    },
  }
}

function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ballast-worker-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

const QUESTIONS = ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten']
const LONG = { timeout: 120_000 }

test('a sample goes to D1, a message to the queue, and the verdict comes by itself', LONG, async () => {
  const { ask, counts, rows, judged, metrics, lines } = await start(() => '19')
  // One is in the one arm, two are in the other.
  for (const question of ['a', 'b', 'c']) await ask(question)
  await counts(3, 'ballast_verdicts_total', { verdict: 'positive' })
  expect(judged.toSorted()).toEqual(['a', 'b', 'c'])
  expect(await rows('select verdict, count(*) as n from verdicts group by 1')).toEqual([
    { verdict: 'positive', n: 3 },
  ])
  expect(await rows('select count(*) as n from units')).toEqual([{ n: 3 }])
  expect(await rows('select sum(exposures) as n from exposures')).toEqual([{ n: 3 }])
  const text = await metrics()
  expect(metricValue(text, 'ballast_samples_total', { outcome: 'stored' })).toBe(3)
  expect(metricValue(text, 'ballast_judge_requests_total', { model: 'judge', outcome: 'ok' })).toBe(3)
  // Of both arms; reports are made anew after a moment.
  await counts(2, 'ballast_positive_rate', { stat: 'estimate' })
  expect(lines.filter((it) => it.includes('could not'))).toEqual([])
})

test('an identical exchange is judged once, though it comes another time', LONG, async () => {
  const { ask, counts, judged } = await start(() => 'LLM')
  await ask('again')
  await counts(1, 'ballast_verdicts_total', { verdict: 'negative' })
  await ask('again')
  await counts(2, 'ballast_verdicts_total', { verdict: 'negative' })
  await counts(1, 'ballast_judge_requests_total', { outcome: 'cached' })
  expect(judged).toEqual(['again'])
})

test('what a Worker that died was judging is judged by the next, each sample once', LONG, async () => {
  let hangs = true
  const it = await start(
    (prompt) => (hangs && /An answer to .*(three|four|five)/.test(prompt) ? new Promise(() => {}) : '19'),
    { folder: tempFolder() },
  )
  for (const question of QUESTIONS.slice(0, 5)) await it.ask(question)
  await eventually(async () => (await it.rows('select * from verdicts')).length === 2)
  await eventually(() => it.judged.length === 5)
  hangs = false
  await it.restart()
  // Its messages are gone with it: the cron trigger is what wakes the next one, which waits for the leases to end.
  await it.lookRound()
  await eventually(async () => (await it.rows('select * from verdicts')).length === 5)
  expect(it.judged.toSorted()).toEqual(['five', 'five', 'four', 'four', 'one', 'three', 'three', 'two'])
  const tallies = "select sum(n) as n from tallies where kind = 'positive'"
  expect(await it.rows(tallies)).toEqual([{ n: 5 }])
  expect(await it.rows('select distinct attempts from samples order by 1')).toEqual([
    { attempts: 1 },
    { attempts: 2 },
  ])
})

test('samples whose message was lost are judged within the minute', LONG, async () => {
  const { ask, counts, lookRound, judged, rows } = await start(() => '19', { messages: false })
  for (const question of QUESTIONS.slice(0, 3)) await ask(question)
  await counts(3, 'ballast_samples_total', { outcome: 'stored' })
  await counts(3, 'ballast_judge_queue_depth')
  await sleep(3_000)
  expect(judged).toEqual([])
  await lookRound()
  expect(await rows('select verdict from verdicts')).toHaveLength(3)
})

test('a full queue drops the newest and counts them', LONG, async () => {
  const { ask, counts, rows, metrics } = await start(() => '19', {
    text: yaml(', queue: 4'),
    messages: false,
  })
  const asked = Array.from({ length: 40 }, (_, n) => `question-${n}`)
  await Promise.all(asked.map((question) => ask(question)))
  await counts(40, 'ballast_samples_total')
  const text = await metrics()
  const outcome = (name: string) => metricValue(text, 'ballast_samples_total', { outcome: name })
  const [{ n }] = (await rows('select count(*) as n from samples')) as [{ n: number }]
  expect(n).toBeLessThanOrEqual(4)
  expect(outcome('stored')).toBe(n)
  expect(outcome('stored') + outcome('thinned') + outcome('queue_full')).toBe(40)
  expect(metricValue(text, 'ballast_exposures_total')).toBe(40)
})

test('a judge that fails on a sample is asked again, and then its verdict is error', LONG, async () => {
  const { ask, counts, judged, rows } = await start(
    (prompt) => (/An answer to .*two/.test(prompt) ? null : '19'),
    {
      text: yaml(', attempts: 3'),
    },
  )
  for (const question of QUESTIONS.slice(0, 3)) await ask(question)
  await counts(2, 'ballast_verdicts_total', { verdict: 'positive' })
  await counts(1, 'ballast_verdicts_total', { verdict: 'error' })
  expect(judged.filter((it) => it === 'two')).toHaveLength(3)
  expect(await rows("select count(*) as n from verdicts where verdict = 'error'")).toEqual([{ n: 1 }])
})

test('a judge that is down is waited for, and costs no sample its tries', LONG, async () => {
  let down = true
  const { ask, counts, judged, metrics } = await start(() => (down ? null : '19'), {
    text: yaml(', attempts: 8'),
  })
  for (const question of QUESTIONS) await ask(question)
  await counts(1, 'ballast_judge_breaker_open')
  const asked = judged.length
  await sleep(4_000)
  // It is left alone but for a question now and then.
  expect(judged.length - asked).toBeLessThan(8)
  down = false
  await counts(10, 'ballast_verdicts_total', { verdict: 'positive' }, 90_000)
  expect(metricValue(await metrics(), 'ballast_verdicts_total', { verdict: 'error' })).toBe(0)
})

test('tokens of the day that are used up hold the rest back', LONG, async () => {
  const { ask, counts, judged, metrics } = await start(() => '19', {
    text: yaml(', tokens_per_day: 1, concurrency: 1'),
  })
  await ask('one')
  await counts(1, 'ballast_verdicts_total')
  for (const question of QUESTIONS.slice(1, 4)) await ask(question)
  await counts(3, 'ballast_judge_queue_depth')
  await sleep(4_000)
  expect(judged).toEqual(['one'])
  expect(metricValue(await metrics(), 'ballast_judge_budget_remaining', { kind: 'tokens' })).toBe(0)
})

test('a sample that D1 cannot hold is dropped and counted, and the next one stored', LONG, async () => {
  const { ask, counts } = await start(() => '19')
  await ask('one', 'é'.repeat(1_100_000))
  await ask('two', 'é'.repeat(100_000))
  await counts(1, 'ballast_samples_total', { outcome: 'too_large' })
  await counts(1, 'ballast_verdicts_total', { verdict: 'positive' })
})

test.each([
  ['redacted', /^An answer to (My name is Alex\. )?\[EMAIL\]$/],
  ['verdicts', /^$/],
])('texts are kept as samples.keep says: %s', LONG, async (keep, answer) => {
  const { ask, counts, rows } = await start(() => '19', { text: yaml('', `samples: {keep: ${keep}}`) })
  await ask('ada@example.org')
  await counts(1, 'ballast_verdicts_total', { verdict: 'positive' })
  const [sample] = await rows('select * from samples')
  expect(sample!.answer).toMatch(answer)
  expect(JSON.stringify(sample)).not.toContain('ada@')
})

test('texts older than samples.retention are erased', LONG, async () => {
  const { ask, counts, rows, lookRound } = await start(() => '19', {
    text: yaml('', 'samples: {retention: 30d}'),
  })
  for (const question of ['one', 'two']) await ask(question)
  await counts(2, 'ballast_verdicts_total')
  await rows(`update samples set requested_at = requested_at - ${31 * 86_400_000} where question = 'one'`)
  await lookRound()
  expect(await rows('select question, erased from samples order by question')).toEqual([
    { question: '', erased: 1 },
    { question: 'two', erased: 0 },
  ])
})
