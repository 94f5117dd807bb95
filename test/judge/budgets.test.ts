/** What a judge model may be asked, by minute and day, over all processes; and that nothing is lost for want of it. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { RequestPace } from '../../src/judge/pace.ts'
import { DAY_MS, TokenBudget } from '../../src/judge/token-budget.ts'
import { eventually, metricValue, startTestUpstream } from '../support/ballast.ts'
import { openTestStore, sampleOf, startWorker } from '../support/judging.ts'
import { startReloading } from '../support/reloading.ts'
import { completion, json } from '../support/upstream.ts'

const file = () => join(mkdtempSync(join(tmpdir(), 'ballast-')), 'ballast.db')
const unlimited = { requestsPerMinute: null, tokensPerDay: null, replyTokens: 16 }

describe('requests per minute', () => {
  test.each([7, 60, 90, 300])(
    '%d of two processes are spread over the minute and never exceeded',
    async (limit) => {
      const path = file()
      let now = 1_800_000_000_123
      const counts = [await openTestStore(path), await openTestStore(path)]
      const paces = counts.map((store) => new RequestPace('m', limit, store.count.bind(store), () => now))
      const sent: number[] = []
      const end = now + 3 * 60_000
      for (let turn = 0; now < end; turn++) {
        const waitMs = await paces[turn % 2]!.reserve()
        if (waitMs !== null) sent.push(now + waitMs)
        // Both want more than there is.
        if (paces.every((pace) => pace.waitMs > 5_000)) now += 5_000
      }
      sent.sort((a, b) => a - b)
      const within = (ms: number) =>
        Math.max(...sent.map((begin, index) => sent.slice(index).filter((it) => it < begin + ms).length))
      const window = Math.max(1, Math.ceil(limit / 60))
      expect(within(60_000)).toBeLessThanOrEqual(limit + window)
      expect(within(1_000)).toBeLessThanOrEqual(2 * window)
      const minutes = (sent.at(-1)! - sent[0]!) / 60_000
      expect(sent.length / minutes).toBeGreaterThan(0.9 * limit)
    },
  )

  test('not used are not saved up', async () => {
    const store = await openTestStore()
    let now = 1_800_000_000_000
    const pace = new RequestPace('m', 300, store.count.bind(store), () => now)
    expect(await pace.reserve()).toBe(0)
    now += 55_000
    const waits = await Promise.all(Array.from({ length: 20 }, () => pace.reserve()))
    expect(waits.filter((waitMs) => waitMs === 0)).toHaveLength(5)
    expect(Math.max(...waits.map((waitMs) => waitMs!))).toBe(3_000)
    expect(pace.waitMs).toBe(4_000)
    expect(pace.remaining).toBe(300 - 21)
  })

  test('have no place further ahead than a minute', async () => {
    const store = await openTestStore()
    const pace = new RequestPace('m', 1, store.count.bind(store), () => 1_800_000_000_000)
    expect([await pace.reserve(), await pace.reserve(), await pace.reserve()]).toEqual([0, 60_000, null])
  })
})

describe('tokens per day', () => {
  test('are exceeded by one call at most, however many calls there are at a time', async () => {
    const path = file()
    const stores = [await openTestStore(path), await openTestStore(path)]
    const budgets = stores.map((store) => new TokenBudget('m', 1_000, store.count.bind(store)))
    const reserved = await Promise.all(
      Array.from({ length: 40 }, (_, index) => budgets[index % 2]!.reserve(300)),
    )
    // 0, 300, 600 and 900 used before.
    expect(reserved.filter((it) => it !== null)).toHaveLength(4)
    for (const it of reserved) if (it !== null) await budgets[0]!.correct(it, 100)
    expect(budgets[0]!.remaining).toBe(600)
    expect(await budgets[1]!.reserve(600)).not.toBeNull()
    expect(await budgets[0]!.reserve(1)).toBeNull()
    expect(budgets[0]!.remaining).toBe(0)
  })

  test('begin anew with the UTC day, and what belongs to yesterday is put right there', async () => {
    const store = await openTestStore()
    let now = 20_000 * DAY_MS + DAY_MS - 1
    const budget = new TokenBudget('m', 100, store.count.bind(store), () => now)
    const reserved = (await budget.reserve(100))!
    expect(budget.remaining).toBe(0)
    now += 1
    expect(budget.remaining).toBe(100)
    await budget.reserve(10)
    await budget.correct(reserved, 500)
    expect(budget.remaining).toBe(90)
  })
})

describe('a worker on a budget', () => {
  test('asks as often as it may and judges everything in the end', async () => {
    const asked: number[] = []
    const judge = await startTestUpstream((_request, response) => {
      asked.push(Date.now())
      json(response, 200, completion('NO'))
    })
    const path = file()
    const [store, other] = [await openTestStore(path), await openTestStore(path)]
    for (let index = 0; index < 40; index++) await store.offer(sampleOf())
    const budget = () => ({ ...unlimited, requestsPerMinute: 600 })
    const begun = Date.now()
    startWorker(store, judge.url, { budget })
    const { metrics } = startWorker(other, judge.url, { budget })
    await eventually(async () => (await store.status()).depth === 0)
    expect(asked).toHaveLength(40)
    // 10 in the second they began in, and in each of the three after it.
    expect(asked.at(-1)! - begun).toBeGreaterThan(1_950)
    await eventually(async () => (await metrics()).includes('ballast_judge_budget_remaining'))
    const found = await store.find({}, 100)
    expect(new Set(found.map(({ verdict, attempts }) => `${verdict?.verdict} ${attempts}`))).toEqual(
      new Set(['negative 1']),
    )
  })

  test('waits for tokens without taking samples, says so once, and loses none', async () => {
    let asked = 0
    const judge = await startTestUpstream((request, response) => {
      const { model } = JSON.parse(request.body.toString()) as { model: string }
      if (model === 'm') return json(response, 200, completion(`${Math.random()}`))
      asked++
      json(response, 200, completion('LLM', { usage: { prompt_tokens: 400, completion_tokens: 10 } }))
    })
    const yaml = (tokens: number) => `
store: sqlite:${file()}
upstreams: {p: {base_url: "${judge.url}"}}
routes: [{model: "*", upstream: p, experiment: birds}]
experiments:
  birds:
    arms: {control: {weight: 1}, etymologist: {weight: 1, policy: birds/identity-etymologist}}
    check: nineteenth-century
    sample: 1
judge: {upstream: p, model: judge-1, tokens_per_day: ${tokens}, concurrency: 2}`
    const settings = yaml(1_000)
    const reloading = await startReloading(settings)
    const { ballast, logged, metrics } = reloading
    const ask = (user: number) =>
      fetch(`${ballast.url}/chat/completions`, {
        method: 'POST',
        body: JSON.stringify({
          model: 'm',
          user: `u${user}`,
          messages: [{ role: 'user', content: `${user}` }],
        }),
      })
    for (let user = 0; user < 30; user++) await (await ask(user)).text()
    await eventually(
      async () => metricValue(await metrics(), 'ballast_samples_total', { outcome: 'stored' }) === 30,
    )
    const spent = () => logged.filter(({ message }) => /tokens of the day are used up/.test(message))
    await eventually(() => spent().length === 1)
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    expect(spent()).toHaveLength(1)
    expect(asked).toBeLessThanOrEqual(4)
    const [before, text] = [asked, await metrics()]
    expect(text).toMatch(/ballast_judge_budget_remaining\{model="judge-1",kind="tokens"\} 0/)
    expect(metricValue(text, 'ballast_judge_queue_depth')).toBe(30 - before)
    await reloading.change(settings.replace('tokens_per_day: 1000', 'tokens_per_day: 1000000'))
    await ballast.settle()
    expect(asked).toBe(30)
    // A report is made anew only now and then.
    await eventually(async () => {
      const [report] = await ballast.reports()
      const totals = report!.arms.map((arm) => [arm.exposures, arm.samples, arm.verdicts.negative])
      return totals[0]!.map((_, index) => totals[0]![index]! + totals[1]![index]!).join() === '30,30,30'
    })
    expect(metricValue(await metrics(), 'ballast_judge_tokens_total')).toBe(30 * 410)
    await eventually(async () => /kind="tokens"\} 987700$/m.test(await metrics()))
  })
})
