/** A judge that keeps failing is left alone; what waits meanwhile loses nothing by it; what is poison still ends. */
import { describe, expect, test } from 'vitest'
import { Breaker } from '../../src/domain/breaker.ts'
import { eventually, metricValue, startTestUpstream } from '../support/ballast.ts'
import { checkOf, openTestStore, sampleOf, startWorker } from '../support/judging.ts'
import { type Answer, completion, json } from '../support/upstream.ts'

const good: Answer = (_request, response) => json(response, 200, completion('NO'))

describe('the breaker', () => {
  test('waits twice as long after each failed probe, up to its longest, and begins anew once it closed', () => {
    let now = 0
    const breaker = new Breaker({ failures: 2, cooldown: 1_000, longestCooldown: 5_000 }, () => now)
    const open = () => [breaker.fail(breaker.enter()!), breaker.fail(breaker.enter()!)]
    expect(open()).toEqual([false, true])
    for (const cooldown of [1_000, 2_000, 4_000, 5_000, 5_000]) {
      expect(breaker.waitMs).toBe(cooldown)
      expect([breaker.enter(), breaker.awaitsProbe]).toEqual([null, false])
      now += cooldown
      expect(breaker.awaitsProbe).toBe(true)
      breaker.fail(breaker.enter()!)
    }
    now += 5_000
    breaker.succeed(breaker.enter()!)
    expect(breaker.tripped).toBe(false)
    open()
    expect(breaker.waitMs).toBe(1_000)
  })
})

describe('a judge that keeps failing', () => {
  test.each<[string, Answer]>([
    ['status 503', (_request, response) => json(response, 503, {})],
    ['status 500', (_request, response) => json(response, 500, {})],
    ['a broken connection', (_request, response) => void response.destroy()],
  ])('(%s) is asked now and then, and takes no tries from what waits', async (_name, bad) => {
    let healthy = false
    const judge = await startTestUpstream((request, response) => (healthy ? good : bad)(request, response))
    const store = await openTestStore()
    // Five questions about each at a time open the breaker at the first try, which counts.
    for (let index = 0; index < 2; index++) await store.offer(sampleOf())
    const { metrics } = startWorker(store, judge.url, { attempts: 2, repeat: 5 })
    await eventually(async () => /breaker_open\{model="judge"\} 1/.test(await metrics()))
    await new Promise((resolve) => setTimeout(resolve, 4_500))
    expect((await store.status()).depth).toBe(2)
    // Probes after 1 and 2 seconds, and perhaps after 4.
    expect(judge.requests.length).toBeGreaterThanOrEqual(10 + 2)
    expect(judge.requests.length).toBeLessThanOrEqual(10 + 3)
    healthy = true
    await eventually(async () => (await store.status()).depth === 0)
    expect(await metrics()).toMatch(/breaker_open\{model="judge"\} 0/)
    const verdicts = (await store.find({}, 100)).map(({ verdict }) => verdict!.verdict)
    expect(new Set(verdicts)).toEqual(new Set(['negative']))
  })

  test('takes no tries from a single sample either, where it is not even there', async () => {
    const gone = await startTestUpstream(good)
    await gone.close()
    const store = await openTestStore()
    await store.offer(sampleOf())
    // Five questions at a time open the breaker at the first try, which counts.
    const { worker, metrics } = startWorker(store, gone.url, { attempts: 2, repeat: 5 })
    const failures = async () =>
      metricValue(await metrics(), 'ballast_judge_requests_total', { outcome: 'error' })
    await eventually(async () => (await failures()) === 5 + 2)
    await worker.stop()
    const [stored] = await store.find({}, 1)
    expect([stored!.verdict, stored!.attempts]).toEqual([null, 1])
  })

  test('takes nothing from checks that need another', async () => {
    const judge = await startTestUpstream((request, response) => {
      const { model } = JSON.parse(request.body.toString()) as { model: string }
      return model === 'dead' ? json(response, 500, {}) : good(request, response)
    })
    const store = await openTestStore()
    for (let index = 0; index < 20; index++)
      await store.offer(sampleOf({ check: 'dead', requestedAt: index }))
    const checks = [checkOf('dead', 'dead'), checkOf('alive', 'alive')]
    const { metrics } = startWorker(store, judge.url, { concurrency: 4 }, checks)
    await eventually(async () => /breaker_open\{model="dead"\} 1/.test(await metrics()))
    for (let index = 0; index < 50; index++) await store.offer(sampleOf({ check: 'alive' }))
    await eventually(async () => (await store.status()).depth === 20)
    expect(
      metricValue(await metrics(), 'ballast_verdicts_total', { check: 'alive', verdict: 'negative' }),
    ).toBe(50)
    expect(metricValue(await metrics(), 'ballast_verdicts_total', { check: 'dead' })).toBe(0)
  })

  test('is done without where a rubric has others, as soon as a sample has used its tries', async () => {
    const judge = await startTestUpstream((request, response) => {
      const { model } = JSON.parse(request.body.toString()) as { model: string }
      return model === 'dead' ? json(response, 503, {}) : good(request, response)
    })
    const store = await openTestStore()
    for (let index = 0; index < 12; index++) await store.offer(sampleOf())
    startWorker(store, judge.url, { attempts: 2, concurrency: 4 }, [checkOf('c', ['dead', 'b', 'd'])])
    await eventually(async () => (await store.status()).depth === 0)
    const verdicts = (await store.find({}, 100)).map(({ verdict }) => verdict!.verdict)
    expect(new Set(verdicts)).toEqual(new Set(['negative']))
  })
})

describe('a sample that a healthy judge always fails on', () => {
  const poisoned: Answer = (request, response) =>
    request.body.includes('POISON') ? json(response, 500, {}) : good(request, response)

  test('ends as an error, and the others are judged', async () => {
    const judge = await startTestUpstream(poisoned)
    const store = await openTestStore()
    await store.offer(sampleOf({ id: 'poison', answer: 'POISON' }))
    for (let index = 0; index < 20; index++) await store.offer(sampleOf())
    startWorker(store, judge.url, { attempts: 3 })
    await eventually(async () => (await store.status()).depth === 0)
    const verdicts = (await store.find({}, 100)).map(({ sample, verdict }) => [sample.id, verdict!.verdict])
    expect(verdicts.filter(([, verdict]) => verdict === 'error')).toEqual([['poison', 'error']])
  })

  test('ends so even where it is the only one, and opens the breaker', async () => {
    const judge = await startTestUpstream(poisoned)
    const store = await openTestStore()
    await store.offer(sampleOf({ answer: 'POISON' }))
    // Its five rubrics' worth of questions at a time open the breaker at the first try.
    const { metrics } = startWorker(store, judge.url, { attempts: 3, repeat: 5 })
    await eventually(async () => (await store.status()).depth === 0)
    expect((await store.find({}, 1))[0]!.verdict!.verdict).toBe('error')
    expect(await metrics()).toMatch(/breaker_open\{model="judge"\} 1/)
  })
})
