/** What every `Archive` keeps to. */
import { describe, expect, test } from 'vitest'
import type { Sample } from '../../src/domain/sample.ts'
import type { Label, RequestOrder, SampleFilter } from '../../src/domain/store.ts'
import type { VerdictKind } from '../../src/domain/verdict.ts'
import { DAY, makeSample, verdictOn } from '../support/store-samples.ts'
import { type ContractStore, type Engine, openNew, openTwice } from './engines.ts'

/** Stores a sample and what is known of it. */
async function put(store: ContractStore, sample: Sample, verdict?: VerdictKind): Promise<Sample> {
  await store.offer(sample)
  if (verdict !== undefined) await store.addVerdict(verdictOn(sample, verdict))
  return sample
}

const label = (sample: Sample, given: Partial<Label> = {}): Label => ({
  sampleId: sample.id,
  check: sample.check,
  checkVersion: 'v1',
  by: 'ada',
  probability: null,
  verdict: 'positive',
  at: DAY,
  ...given,
})

export function archiveContract(engine: Engine): void {
  describe('the archive', () => {
    test('finds samples by everything a filter can say, newest first', async () => {
      const store = await openNew(engine)
      await put(store, makeSample({ id: 'a', requestedAt: DAY + 1 }), 'positive')
      await put(store, makeSample({ id: 'b', requestedAt: DAY + 2, arm: 'other' }), 'negative')
      await put(store, makeSample({ id: 'c', requestedAt: DAY + 3, experiment: 'other' }))
      await put(store, makeSample({ id: 'd', requestedAt: DAY + 4, check: 'other' }), 'error')
      await store.addLabel(label(makeSample({ id: 'a' })))
      await store.erase({ ids: ['b'] })
      const found = async (filter: SampleFilter) =>
        (await store.find(filter, 10)).map(({ sample }) => sample.id).join('')
      const expected: [SampleFilter, string][] = [
        [{}, 'dcba'],
        [{ ids: ['c', 'a', 'unknown'] }, 'ca'],
        [{ ids: [] }, ''],
        [{ experiment: 'birds' }, 'dba'],
        [{ arm: 'control' }, 'dca'],
        [{ check: 'archaic' }, 'cba'],
        [{ verdict: 'waiting' }, 'c'],
        [{ verdict: 'negative' }, 'b'],
        [{ since: DAY + 2 }, 'dcb'],
        [{ before: DAY + 2 }, 'a'],
        [{ since: DAY + 2, before: DAY + 4 }, 'cb'],
        [{ erased: true }, 'b'],
        [{ erased: false }, 'dca'],
        [{ labelled: true }, 'a'],
        [{ labelled: false }, 'dcb'],
        [{ experiment: 'birds', check: 'archaic', verdict: 'positive', labelled: true, erased: false }, 'a'],
        [{ experiment: 'birds', arm: 'other', verdict: 'positive' }, ''],
      ]
      for (const [filter, ids] of expected) expect([filter, await found(filter)]).toEqual([filter, ids])
    })

    test('shows a sample with its verdict and labels', async () => {
      const store = await openNew(engine)
      const sample = makeSample()
      await store.offer(sample)
      const verdict = verdictOn(sample, 'positive', {
        checkVersion: 'v2',
        scores: { style: { kind: 'number', value: 31.26, mass: 0.9, parts: [] } },
      })
      await store.addVerdict(verdict)
      await store.addLabel(label(sample))
      expect(await store.find({}, 10)).toEqual([
        { sample, erased: false, attempts: 0, verdict, labels: [label(sample)] },
      ])
    })

    test('pages through everything once, samples of the same time included', async () => {
      const store = await openNew(engine)
      const ids = Array.from({ length: 23 }, (_, n) => `${n % 2 === 0 ? 'Z' : 'a'}-${n}`)
      for (const [n, id] of ids.entries())
        await put(store, makeSample({ id, requestedAt: DAY + Math.floor(n / 6) }))
      const seen: RequestOrder[] = []
      for (;;) {
        const page = await store.find({}, 4, seen.at(-1))
        if (page.length === 0) break
        seen.push(...page.map(({ sample }) => ({ sampleId: sample.id, requestedAt: sample.requestedAt })))
      }
      const newestFirst = seen.toSorted(
        (a, b) => b.requestedAt - a.requestedAt || (a.sampleId < b.sampleId ? 1 : -1),
      )
      expect(seen).toEqual(newestFirst)
      expect(seen.map(({ sampleId }) => sampleId).toSorted()).toEqual(ids.toSorted())
    })

    test('erases the texts of judged samples and nothing else of them', async () => {
      const store = await openNew(engine)
      const judged = await put(store, makeSample(), 'positive')
      const waiting = await put(store, makeSample())
      const tallies = await store.tallies('birds', 'archaic')
      expect(await store.erase({})).toBe(1)
      expect(await store.erase({})).toBe(0)
      const [second, first] = await store.find({}, 10)
      expect(first).toMatchObject({
        erased: true,
        verdict: verdictOn(judged, 'positive'),
        sample: { ...judged, messages: [], question: '', answer: '' },
      })
      expect(second).toMatchObject({ erased: false, sample: waiting, verdict: null })
      expect(await store.tallies('birds', 'archaic')).toEqual(tallies)
      expect(await store.take(10, 60_000)).toHaveLength(1)
    })

    test.runIf(engine.rejudges)(
      'takes an error back once, whoever asks for it at the same time, and erases no waiting text',
      async () => {
        const [mine, other] = await openTwice(engine)
        const samples = Array.from({ length: 30 }, () => makeSample())
        for (const sample of samples) await put(mine, sample, 'error')
        const [first, second, erased] = await Promise.all([
          mine.rejudge!({}),
          other.rejudge!({}),
          mine.erase({}),
        ])
        const waiting = await mine.find({ verdict: 'waiting' }, 100)
        expect(first + second).toBeGreaterThanOrEqual(waiting.length)
        expect(waiting.length + erased).toBe(30)
        expect(waiting.filter(({ sample }) => sample.question === '')).toEqual([])
        const errors = (await mine.tallies('birds', 'archaic')).filter(({ kind }) => kind === 'error')
        expect(errors.reduce((sum, { count }) => sum + count, 0)).toBe(erased)
      },
    )

    test('erases waiting samples, too, if asked to, which then count as errors', async () => {
      const store = await openNew(engine)
      await put(store, makeSample(), 'positive')
      const [held, waiting, other] = [makeSample(), makeSample(), makeSample({ arm: 'other' })]
      for (const sample of [held, waiting, other]) await put(store, sample)
      await store.take(1, 60_000)
      expect(await store.erase({ arm: 'control', verdict: 'positive' }, true)).toBe(1)
      expect((await store.status()).depth).toBe(3)
      expect(await store.erase({ arm: 'control' }, true)).toBe(2)
      expect(await store.status()).toEqual({ depth: 1, oldestAt: other.requestedAt })
      expect(await store.addVerdict(verdictOn(held, 'positive'))).toBe(false)
      const erased = await store.find({ verdict: 'error' }, 10)
      expect(erased.map(({ sample }) => sample.question)).toEqual(['', ''])
      expect(await store.tallies('birds', 'archaic')).toContainEqual(
        expect.objectContaining({ arm: 'control', kind: 'error', count: 2 }),
      )
    })

    test('erases more than one page of waiting samples', async () => {
      const store = await openNew(engine)
      for (let n = 0; n < 17; n++)
        await Promise.all(Array.from({ length: 30 }, () => store.offer(makeSample())))
      expect(await store.erase({}, true)).toBe(510)
      expect((await store.status()).depth).toBe(0)
    }, 60_000)

    test('erases a sample as it is judged, where texts are kept no longer', async () => {
      const store = await openNew(engine)
      const sample = makeSample()
      await store.offer(sample)
      expect(await store.addVerdict(verdictOn(sample), true)).toBe(true)
      expect(await store.find({ erased: true }, 10)).toMatchObject([{ sample: { question: '', answer: '' } }])
    })

    test('keeps the latest label of each person', async () => {
      const store = await openNew(engine)
      const sample = await put(store, makeSample())
      await store.addLabel(label(sample, { at: DAY + 2, by: 'bob' }))
      await store.addLabel(label(sample))
      await store.addLabel(label(sample, { at: DAY + 3, verdict: 'excluded', checkVersion: 'v2' }))
      expect((await store.find({}, 1))[0]!.labels).toEqual([
        label(sample, { at: DAY + 2, by: 'bob' }),
        label(sample, { at: DAY + 3, verdict: 'excluded', checkVersion: 'v2' }),
      ])
    })
  })
}
