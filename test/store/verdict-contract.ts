/** What every `Store` keeps to of verdicts and what is counted of them. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Sample } from '../../src/domain/sample.ts'
import type { DecisiveQuery, RequestOrder } from '../../src/domain/store.ts'
import { VERDICTS } from '../../src/domain/verdict.ts'
import { DAY, HOUR_MS, makeSample, verdictOn } from '../support/store-samples.ts'
import { type Engine, openNew, openTwice } from './engines.ts'
import { recount, recountScores, sorted } from './recount.ts'

const QUERY: DecisiveQuery = {
  experiment: 'birds',
  check: 'archaic',
  checkVersion: 'v1',
  arms: [
    { arm: 'control', policyHash: null },
    { arm: 'etymologist', policyHash: 'p1' },
  ],
}

export function verdictContract(engine: Engine): void {
  describe('verdicts', () => {
    test('are stored and counted once, however many say them at the same time', async () => {
      const stores = await openTwice(engine)
      const sample = makeSample({ probability: 0.25 })
      await stores[0].offer(sample)
      const verdict = verdictOn(sample, 'positive', { scores: { style: { kind: 'label', value: '19' } } })
      const added = await Promise.all(
        Array.from({ length: 20 }, (_, n) => stores[n % 2]!.addVerdict(verdict)),
      )
      expect(added.filter(Boolean)).toHaveLength(1)
      const tallies = await stores[1].tallies('birds', 'archaic')
      expect(tallies.find(({ kind }) => kind === 'positive')).toMatchObject({
        count: 1,
        weights: 4,
        squaredWeights: 16,
      })
      expect(await stores[1].scoreTallies('birds', 'archaic')).toMatchObject([{ score: '19', count: 1 }])
      expect(await stores[1].status()).toEqual({ depth: 0, oldestAt: null })
    })

    test('are counted in full when many samples of an arm are judged at the same time', async () => {
      const stores = await openTwice(engine)
      const samples = Array.from({ length: 60 }, (_, n) =>
        makeSample({ requestedAt: DAY + (n % 3) * HOUR_MS, arm: n % 2 === 0 ? 'control' : 'other' }),
      )
      const scores = {
        b: { kind: 'number', value: 31.26 },
        a: { kind: 'label', value: 'CODE' },
        c: { kind: 'error', message: 'x' },
      } as const
      await Promise.all(samples.map((sample, n) => stores[n % 2]!.offer(sample)))
      await Promise.all(
        samples.map((sample, n) =>
          stores[(n + 1) % 2]!.addVerdict(verdictOn(sample, VERDICTS[n % 5], { scores })),
        ),
      )
      const rows = await stores[0].find({}, 1_000)
      expect(sorted(await stores[0].tallies('birds', 'archaic'))).toEqual(sorted(recount(rows)))
      const scoreTallies = await stores[0].scoreTallies('birds', 'archaic')
      expect(sorted(scoreTallies)).toEqual(sorted(recountScores(rows)))
      expect(scoreTallies.find(({ rubric }) => rubric === 'b')).toMatchObject({ score: 31.3, count: 30 })
    })

    test('that come at once are stored, texts erased as asked, and only what cannot be stored fails', async () => {
      const store = await openNew(engine)
      const samples = Array.from({ length: 24 }, () => makeSample())
      await Promise.all(samples.map((sample) => store.offer(sample)))
      const scores = { a: { kind: 'unparsed', text: 'what the judge wrote' } } as const
      const told = [...samples.slice(0, 12), makeSample(), ...samples.slice(12)]
      const stored = await Promise.allSettled(
        told.map((it, n) => store.addVerdict(verdictOn(it, 'unparsed', { scores }), n % 3 === 0)),
      )
      expect(stored.map((it) => (it.status === 'rejected' ? 'refused' : it.value))).toEqual(
        told.map((_, n) => (n === 12 ? 'refused' : true)),
      )
      const again = await Promise.all(
        samples.slice(0, 6).map((it) => store.addVerdict(verdictOn(it, 'positive'), true)),
      )
      expect(again).toEqual(Array(6).fill(false))
      expect((await store.status()).depth).toBe(0)
      const rows = await store.find({}, 1_000)
      for (const { sample, erased, verdict } of rows) {
        const n = told.findIndex(({ id }) => id === sample.id)
        expect(erased).toBe(n < 6 || n % 3 === 0)
        expect(verdict?.scores).toMatchObject({ a: { text: erased ? '' : 'what the judge wrote' } })
      }
      expect(sorted(await store.tallies('birds', 'archaic'))).toEqual(sorted(recount(rows)))
    })

    test('and samples are counted as their rows would be, after any sequence of operations', async () => {
      const store = await openNew(engine)
      let runs = 0
      const operation = fc.record({
        what: fc.constantFrom('offer', 'offer', 'offer', 'judge', 'judge', 'take', 'retry', 'erase', 'label'),
        which: fc.nat(7),
        arm: fc.constantFrom('control', 'etymologist'),
        policyHash: fc.constantFrom(null, 'p1', 'p2'),
        checkVersion: fc.constantFrom('v1', 'v2'),
        extra: fc.constantFrom(null, null, 'trigger' as const),
        probability: fc.constantFrom(1, 0.5, 0.1, 1 / 3),
        hour: fc.nat(2),
        kind: fc.constantFrom(...VERDICTS),
        score: fc.oneof(
          fc.double({ min: 0, max: 100, noNaN: true }).map((value) => ({ kind: 'number' as const, value })),
          fc.constantFrom('LLM', '19').map((value) => ({ kind: 'label' as const, value })),
          fc.constant({ kind: 'unparsed' as const, text: 'hm' }),
        ),
      })
      await fc.assert(
        fc.asyncProperty(fc.array(operation, { maxLength: 25 }), async (operations) => {
          const experiment = `run-${++runs}`
          const samples = new Map<number, Sample>()
          for (const { what, which, kind, score, hour, ...rest } of operations) {
            const { arm, policyHash, checkVersion, extra, probability } = rest
            const known = samples.get(which)
            if (what === 'offer') {
              const requestedAt = DAY + hour * HOUR_MS + which
              const given = { experiment, arm, policyHash, checkVersion, extra, probability, requestedAt }
              const sample = known ?? makeSample(given)
              samples.set(which, sample)
              await store.offer(sample)
            } else if (what === 'take') {
              await store.take(1, 1)
            } else if (what === 'erase') {
              await store.erase({ experiment, arm }, which % 2 === 0)
            } else if (known === undefined) {
              // Nothing to do it to.
            } else if (what === 'judge') {
              await store.addVerdict(
                verdictOn(known, kind, { checkVersion, scores: { style: score } }),
                which % 2 === 1,
              )
            } else if (what === 'retry') {
              await store.retry({ sample: known, attempts: which, taking: which + 1 }, 0)
            } else {
              const label = {
                sampleId: known.id,
                check: known.check,
                checkVersion,
                by: arm,
                probability: null,
                at: hour,
              }
              await store.addLabel({ ...label, verdict: 'excluded' })
            }
          }
          const rows = await store.find({ experiment }, 1_000)
          expect(sorted(await store.tallies(experiment, 'archaic'))).toEqual(sorted(recount(rows)))
          expect(sorted(await store.scoreTallies(experiment, 'archaic'))).toEqual(sorted(recountScores(rows)))
        }),
        { numRuns: engine.sequences },
      )
    }, 60_000)

    test('of other experiments and checks are counted apart', async () => {
      const store = await openNew(engine)
      await store.offer(makeSample({ experiment: 'other' }))
      await store.offer(makeSample({ check: 'other' }))
      expect(await store.tallies('birds', 'archaic')).toEqual([])
      expect(await store.tallies('other', 'archaic')).toHaveLength(1)
    })

    test('that decide are the first of their unit and question, in the order of requests', async () => {
      const store = await openNew(engine)
      const at = (seconds: number, given: Partial<Sample> = {}) =>
        makeSample({ requestedAt: DAY + seconds * 1_000, ...given })
      const first = at(20, { id: 'first', unit: 'u', question: 'q' })
      const judged: [Sample, (typeof VERDICTS)[number]][] = [
        [at(30, { id: 'again', unit: 'u', question: 'q' }), 'positive'],
        [first, 'negative'],
        // Earlier, but none of these decides.
        [at(1, { unit: 'u', question: 'q' }), 'excluded'],
        [at(2, { unit: 'u', question: 'q', extra: 'trigger' }), 'positive'],
        [at(3, { unit: 'u', question: 'q', arm: 'etymologist', policyHash: 'p0' }), 'positive'],
        [at(4, { unit: 'u', question: 'q', checkVersion: 'v0' }), 'positive'],
        [at(5, { unit: 'u', question: 'q', experiment: 'other' }), 'positive'],
        [at(40, { id: 'other question', unit: 'u', question: 'r' }), 'positive'],
        [
          at(10, { id: 'other unit', unit: 'v', question: 'q', arm: 'etymologist', policyHash: 'p1' }),
          'positive',
        ],
        [at(50, { unit: 'w', arm: 'third' }), 'positive'],
      ]
      for (const [sample] of judged) await store.offer(sample)
      await store.offer(at(0, { unit: 'u', question: 'q' }))
      for (const [sample, verdict] of judged) await store.addVerdict(verdictOn(sample, verdict))
      const found = await store.decisiveVerdicts(QUERY, null, null, 100)
      expect(found.map(({ sampleId }) => sampleId)).toEqual(['other unit', 'first', 'other question'])
      expect(found[1]).toEqual({
        sampleId: 'first',
        requestedAt: first.requestedAt,
        arm: 'control',
        positive: false,
        assignment: 'a1',
      })
      expect(await store.decisiveVerdicts({ ...QUERY, arms: [] }, null, null, 100)).toEqual([])
    })

    test('that decide are read page by page, each once, up to a place', async () => {
      const store = await openNew(engine)
      // Several at the same time: their ids put them in order.
      const samples = Array.from({ length: 30 }, (_, n) =>
        makeSample({ id: `${n % 2 === 0 ? 'Z' : 'a'}-${n}`, requestedAt: DAY + Math.floor(n / 7) }),
      )
      for (const sample of samples.toReversed()) {
        await store.offer(sample)
        await store.addVerdict(verdictOn(sample))
      }
      const inOrder = samples.toSorted((a, b) => a.requestedAt - b.requestedAt || (a.id < b.id ? -1 : 1))
      const read = async (until: RequestOrder | null) => {
        const ids: string[] = []
        let after: RequestOrder | null = null
        for (;;) {
          const page = await store.decisiveVerdicts(QUERY, after, until, 4)
          ids.push(...page.map(({ sampleId }) => sampleId))
          after = page.at(-1) ?? null
          if (after === null) return ids
        }
      }
      const ids = inOrder.map(({ id }) => id)
      expect(await read(null)).toEqual(ids)
      const { id: sampleId, requestedAt } = inOrder[16]!
      expect(await read({ sampleId, requestedAt })).toEqual(ids.slice(0, 17))
    })

    test('that are missing: says since when the oldest drawn sample waits for one', async () => {
      const store = await openNew(engine)
      expect(await store.oldestUnjudged('birds', 'archaic')).toBeNull()
      const samples = [
        makeSample({ extra: 'trigger' }),
        makeSample({ check: 'other' }),
        makeSample(),
        makeSample(),
      ]
      for (const sample of samples) await store.offer(sample)
      await store.take(3, 60_000)
      expect(await store.oldestUnjudged('birds', 'archaic')).toBe(samples[2]!.requestedAt)
      await store.addVerdict(verdictOn(samples[2]!, 'error'))
      expect(await store.oldestUnjudged('birds', 'archaic')).toBe(samples[3]!.requestedAt)
      await store.addVerdict(verdictOn(samples[3]!))
      expect(await store.oldestUnjudged('birds', 'archaic')).toBeNull()
    })
  })
}
