/** What every `Queue` keeps to. */
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { LeasedSample } from '../../src/domain/store.ts'
import { DAY, makeSample, verdictOn } from '../support/store-samples.ts'
import { type Engine, openNew, openTwice } from './engines.ts'

const LONG = 150_000
const idsOf = (leased: readonly LeasedSample[]) => leased.map(({ sample }) => sample.id)

export function queueContract(engine: Engine): void {
  describe('the queue', () => {
    test('hands samples out oldest first, as they were', async () => {
      const store = await openNew(engine)
      const samples = [3, 1, 4, 2].map((n) => makeSample({ id: `${n}`, requestedAt: DAY + n * 1_000 }))
      for (const sample of samples) expect(await store.offer(sample)).toBe(true)
      const first = await store.take(3, LONG)
      expect(idsOf(first)).toEqual(['1', '2', '3'])
      expect(first[0]).toEqual({ sample: samples[1], attempts: 1, taking: 1 })
      expect(idsOf(await store.take(3, LONG))).toEqual(['4'])
      expect(await store.take(3, LONG)).toEqual([])
    })

    test('keeps every field of a sample', async () => {
      const store = await openNew(engine)
      const sample = makeSample({
        policy: 'birds/identity',
        policyHash: 'abc',
        extra: 'trigger',
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        probability: 0.1,
        messages: [{ role: 'user', content: [{ type: 'text', text: 'x', n: 1e300 }], name: null }],
      })
      await store.offer(sample)
      expect((await store.take(1, LONG))[0]!.sample).toEqual(sample)
      expect((await store.find({}, 1))[0]!.sample).toEqual(sample)
    })

    test('never gives a sample to two of twenty takers', async () => {
      const stores = await openTwice(engine)
      const samples = Array.from({ length: 100 }, () => makeSample())
      for (const sample of samples) await stores[0].offer(sample)
      const takers = Array.from({ length: 20 }, async (_, n) => {
        const taken: string[] = []
        for (;;) {
          const leased = await stores[n % 2]!.take(3, LONG)
          if (leased.length === 0) return taken
          taken.push(...idsOf(leased))
        }
      })
      const taken = (await Promise.all(takers)).flat()
      // A taker that came away empty-handed may have looked while the last ones were being taken.
      taken.push(...idsOf(await stores[0].take(100, LONG)))
      expect(taken.toSorted()).toEqual(samples.map(({ id }) => id).toSorted())
    })

    test('gives a sample out again when its lease has ended, and counts the takings', async () => {
      const [mine, other] = await openTwice(engine)
      const sample = makeSample()
      await mine.offer(sample)
      expect(await mine.take(1, 300)).toMatchObject([{ attempts: 1 }])
      expect(await other.take(1, LONG)).toEqual([])
      await sleep(350)
      expect(await other.take(1, LONG)).toMatchObject([{ attempts: 2, sample: { id: sample.id } }])
      expect(await mine.take(1, LONG)).toEqual([])
      expect((await mine.find({}, 1))[0]!.attempts).toBe(2)
    })

    test('prolongs a lease for as long as it is asked to', async () => {
      const [mine, other] = await openTwice(engine)
      for (let n = 0; n < 3; n++) await mine.offer(makeSample())
      const leased = await mine.take(3, 400)
      await mine.extend(leased.slice(0, 2), LONG)
      await mine.extend([], LONG)
      await sleep(450)
      expect(idsOf(await other.take(3, LONG))).toEqual([leased[2]!.sample.id])
    })

    test('prolongs no lease that is another one’s by now', async () => {
      const [mine, other] = await openTwice(engine)
      await mine.offer(makeSample())
      const lost = await mine.take(1, 100)
      await sleep(150)
      expect(await other.take(1, 400)).toHaveLength(1)
      await mine.extend(lost, LONG)
      await sleep(450)
      expect(await other.take(1, LONG)).toMatchObject([{ attempts: 3 }])
    })

    test('gives a sample back at once, or after a delay', async () => {
      const [mine, other] = await openTwice(engine)
      await mine.offer(makeSample())
      await mine.retry((await mine.take(1, LONG))[0]!, 0)
      const second = await other.take(1, LONG)
      expect(second).toMatchObject([{ attempts: 2 }])
      await other.retry(second[0]!, 400)
      expect(await mine.take(1, LONG)).toEqual([])
      await sleep(450)
      expect(await mine.take(1, LONG)).toMatchObject([{ attempts: 3 }])
    })

    test('does not give back what was taken by another one, or judged', async () => {
      const [mine, other] = await openTwice(engine)
      const sample = makeSample()
      await mine.offer(sample)
      const [lost] = await mine.take(1, 100)
      await sleep(150)
      const [held] = await other.take(1, LONG)
      await mine.retry(lost!, 0)
      expect(await mine.take(1, LONG)).toEqual([])
      await other.addVerdict(verdictOn(sample))
      await other.retry(held!, 0)
      expect(await mine.take(1, LONG)).toEqual([])
      expect(await mine.status()).toEqual({ depth: 0, oldestAt: null })
    })

    test('waits no longer because somebody says so who lost the sample to another one', async () => {
      const [mine, other] = await openTwice(engine)
      await mine.offer(makeSample())
      const [lost] = await mine.take(1, 50)
      await sleep(100)
      const [held] = await other.take(1, LONG)
      await other.retry(held!, 0)
      await mine.retry(lost!, LONG)
      expect(await other.take(1, LONG)).toMatchObject([{ attempts: 3 }])
    })

    test('lets whoever lost a lease say how long the sample waits, until another one has it', async () => {
      const store = await openNew(engine)
      await store.offer(makeSample())
      const [held] = await store.take(1, 50)
      await sleep(100)
      await store.retry(held!, LONG)
      expect(await store.take(1, LONG)).toEqual([])
    })

    test('gives out what nobody has delayed, whatever waits before it', async () => {
      const store = await openNew(engine)
      const samples = [makeSample(), makeSample()]
      for (const sample of samples) await store.offer(sample)
      await store.retry((await store.take(1, LONG))[0]!, LONG)
      expect(idsOf(await store.take(2, LONG))).toEqual([samples[1]!.id])
    })

    test('stores a sample once, however often and wherever it is offered', async () => {
      const stores = await openTwice(engine)
      const sample = makeSample()
      const offers = Array.from({ length: 10 }, (_, n) => stores[n % 2]!.offer(sample))
      expect(await Promise.all(offers)).toEqual(Array(10).fill(true))
      expect(await stores[0].status()).toEqual({ depth: 1, oldestAt: sample.requestedAt })
      expect(await stores[0].take(5, LONG)).toHaveLength(1)
      expect(await stores[0].tallies('birds', 'archaic')).toMatchObject([{ kind: 'sample', count: 1 }])
      await stores[0].addVerdict(verdictOn(sample))
      expect(await stores[1].offer(sample)).toBe(true)
      expect(await stores[1].take(5, LONG)).toEqual([])
    })

    test('stores what is offered at once, each sample once, and fails only what cannot be stored', async () => {
      const store = await openNew(engine)
      const samples = Array.from({ length: 150 }, (_, n) =>
        makeSample({ arm: n % 2 === 0 ? 'control' : 'treated', probability: n % 3 === 0 ? 1 : 0.5 }),
      )
      const broken = makeSample({ requestedAt: Number.NaN })
      const offered = await Promise.allSettled(
        [...samples, broken, ...samples.slice(0, 20)].map((sample) => store.offer(sample)),
      )
      expect(offered.map(({ status }) => status === 'fulfilled').indexOf(false)).toBe(150)
      expect(offered.filter(({ status }) => status === 'rejected')).toHaveLength(1)
      expect((await store.status()).depth).toBe(150)
      const { experiment, check } = samples[0]!
      const tallies = await store.tallies(experiment, check)
      const sum = (pick: (tally: (typeof tallies)[number]) => number) =>
        tallies.filter(({ kind }) => kind === 'sample').reduce((total, tally) => total + pick(tally), 0)
      expect(sum(({ count }) => count)).toBe(150)
      expect(sum(({ weights }) => weights)).toBe(50 + 100 * 2)
      expect(sum(({ squaredWeights }) => squaredWeights)).toBe(50 + 100 * 4)
      expect(idsOf(await store.take(200, LONG)).toSorted()).toEqual(samples.map(({ id }) => id).toSorted())
    })

    test('refuses what exceeds its limit, offered at once or in turn, until there is room', async () => {
      const store = await openNew(engine, 5)
      const samples = Array.from({ length: 12 }, () => makeSample())
      const taken = await Promise.all(samples.map((sample) => store.offer(sample)))
      expect(taken.filter(Boolean)).toHaveLength(5)
      expect(await store.offer(makeSample())).toBe(false)
      expect((await store.status()).depth).toBe(5)
      const [held] = await store.take(1, LONG)
      await store.addVerdict(verdictOn(held!.sample))
      expect(await store.offer(makeSample())).toBe(true)
      expect(await store.offer(makeSample())).toBe(false)
      store.limitQueue(6)
      expect(await store.offer(makeSample())).toBe(true)
      expect((await store.status()).depth).toBe(6)
    })

    test('counts what waits, held samples included, and says since when', async () => {
      const store = await openNew(engine)
      expect(await store.status()).toEqual({ depth: 0, oldestAt: null })
      const samples = [makeSample(), makeSample(), makeSample()]
      for (const sample of samples.toReversed()) await store.offer(sample)
      await store.take(1, LONG)
      expect(await store.status()).toEqual({ depth: 3, oldestAt: samples[0]!.requestedAt })
      await store.addVerdict(verdictOn(samples[0]!))
      expect(await store.status()).toEqual({ depth: 2, oldestAt: samples[1]!.requestedAt })
    })
  })
}
