/** Following an experiment: whoever reads its verdicts, whenever and how often it starts anew, comes to the same. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { SqliteStore } from '../../src/adapters/store-sqlite.ts'
import { type Log, noLog } from '../../src/domain/ports.ts'
import type { VerdictKind } from '../../src/domain/verdict.ts'
import { EvidenceFollower } from '../../src/node/evidence.ts'
import { ArmComparisons } from '../../src/stats/arm-comparisons.ts'
import { Evidence, evidenceName, planEvidence } from '../../src/stats/evidence.ts'
import { armEvent } from '../support/arm-events.ts'
import { FOLLOWED, openStore, type Request, sampleOf, verdictOf } from '../support/judged.ts'

const WAIT = 1_000
/** Long after everything: what was read is settled by then. */
const END = 10_000_000
const QUERY = {
  experiment: 'e',
  check: 'c',
  checkVersion: 'v1',
  arms: FOLLOWED.experiment.arms.map(({ name, policyHash }) => ({ arm: name, policyHash })),
}

/** @param behind how much its clock is behind. */
function follow(store: SqliteStore, clock: { now: number }, log: Log = noLog, behind = 0): EvidenceFollower {
  return new EvidenceFollower({ store, wait: () => WAIT, log, now: () => clock.now - behind, page: 3 })
}

/** One pass over all that counts, in order. */
async function onePass(store: SqliteStore): Promise<unknown> {
  const evidence = new Evidence(planEvidence(FOLLOWED.experiment), 0)
  for (const verdict of await store.decisiveVerdicts(QUERY, null, null, 1_000)) evidence.add(verdict, END)
  return evidence.serialise()
}

async function judge(store: SqliteStore, request: Request, verdict: VerdictKind): Promise<void> {
  await store.offer(sampleOf(request))
  await store.addVerdict(verdictOf(request.id, verdict))
}

const request = fc.record({
  requestedAt: fc.integer({ min: 1, max: 200_000 }),
  /** Until its answer is over; less than is waited for. */
  streamed: fc.integer({ min: 0, max: WAIT - 1 }),
  judged: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 300_000 })),
  arm: fc.constantFrom('control', 'treated'),
  unit: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'),
  question: fc.constantFrom('q', 'r', 's'),
  verdict: fc.constantFrom<VerdictKind>('positive', 'negative', 'negative', 'excluded', 'error'),
  probability: fc.constantFrom(1, 1, 1, 0.5),
  extra: fc.constantFrom<'trigger' | null>(null, null, null, 'trigger'),
})

type Step =
  | { readonly at: number; readonly store: Request }
  | { readonly at: number; readonly judge: string; readonly verdict: VerdictKind }
  | { readonly at: number; readonly who: readonly number[]; readonly anew: boolean }

describe('whoever follows an experiment', () => {
  test('comes to the same evidence as one pass over all verdicts in the order of the requests', async () => {
    const property = fc.asyncProperty(
      fc.array(request, { minLength: 10, maxLength: 30 }),
      fc.array(
        fc.record({
          at: fc.integer({ min: 0, max: 700_000 }),
          who: fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 4 }),
          anew: fc.boolean(),
        }),
        { minLength: 5, maxLength: 30 },
      ),
      async (requests, updates) => {
        const store = await openStore()
        const clock = { now: 0 }
        const start = (who: number) => follow(store, clock, noLog, who * 40_000)
        const followers = [0, 1, 2].map(start)
        const steps: Step[] = [
          ...requests.flatMap(({ streamed, judged, verdict, ...given }, index): Step[] => {
            const assignment = given.requestedAt < 100_000 ? 'v' : 'w'
            const stored = { ...given, id: `r${index}`, assignment }
            const at = given.requestedAt + streamed
            return [
              { at, store: stored },
              { at: at + judged, judge: stored.id, verdict },
            ]
          }),
          ...updates,
        ]
        for (const step of steps.toSorted((x, y) => x.at - y.at)) {
          clock.now = step.at
          if ('store' in step) await store.offer(sampleOf(step.store))
          else if ('judge' in step) await store.addVerdict(verdictOf(step.judge, step.verdict))
          else {
            // As after kill -9: it knows nothing but what is stored.
            if (step.anew) followers[step.who[0]!] = start(step.who[0]!)
            await Promise.all(step.who.map((who) => followers[who]!.update(FOLLOWED)))
          }
        }
        clock.now = END
        const [first, ...others] = await Promise.all(followers.map((it) => it.update(FOLLOWED)))
        const state = first!.serialise()
        expect(state).toEqual(await onePass(store))
        for (const other of others) expect(other.serialise()).toEqual(state)
        const note = await store.readNote(evidenceName(FOLLOWED.experiment, FOLLOWED.check))
        if (note !== null) expect(JSON.parse(note.text)).toEqual(state)
        else expect(state.counted).toBe(0)
      },
    )
    await fc.assert(property, { numRuns: 25 })
  })

  test('waits for every sample that is stored, and a set time for those that are not yet', async () => {
    const store = await openStore()
    const clock = { now: 5_000 }
    const follower = follow(store, clock)
    await store.offer(sampleOf({ id: 'slow', arm: 'control', requestedAt: 1_000 }))
    await judge(store, { id: 'quick', arm: 'treated', requestedAt: 1_500 }, 'positive')
    await judge(store, { id: 'before', arm: 'treated', requestedAt: 999 }, 'negative')
    await judge(store, { id: 'new', arm: 'treated', requestedAt: 4_001 }, 'positive')
    expect((await follower.update(FOLLOWED)).cursor?.sampleId).toBe('before')
    await store.addVerdict(verdictOf('slow', 'negative'))
    expect((await follower.update(FOLLOWED)).cursor?.sampleId).toBe('quick')
    clock.now = 5_001
    expect((await follower.update(FOLLOWED)).counted).toBe(4)
  })

  test('leaves out what comes late, counts it, and has it in the rate', async () => {
    const store = await openStore()
    const clock = { now: 20_000 }
    const follower = follow(store, clock)
    await judge(store, { id: 'a', arm: 'control', requestedAt: 10_000 }, 'negative')
    await follower.update(FOLLOWED)
    await judge(store, { id: 'late', arm: 'treated', requestedAt: 9_000 }, 'positive')
    await judge(store, { id: 'b', arm: 'control', requestedAt: 19_500 }, 'negative')
    clock.now = 21_000
    const before = await follower.update(FOLLOWED)
    expect([before.counted, before.late]).toEqual([2, 0])
    clock.now = 1_000_000
    const after = await follow(store, clock).update(FOLLOWED)
    expect([after.counted, after.late]).toEqual([2, 1])
    const positives = (await store.tallies('e', 'c')).filter(({ kind }) => kind === 'positive')
    expect(positives.map(({ arm, count }) => [arm, count])).toEqual([['treated', 1]])
  })

  test('ends a block where the weights or the sampled shares change, and not where the queue thins', async () => {
    const changes: Partial<Request>[] = [{ assignment: 'other' }, { probability: 0.5 }]
    for (const change of changes) {
      const store = await openStore()
      const comparisons = new ArmComparisons('control', ['treated'])
      for (let index = 0; index < 24; index++) {
        const name = index % 2 === 0 ? 'control' : 'treated'
        const positive = index % 3 === 0
        const request = { id: `r${index}`, arm: name, requestedAt: index + 1, ...(index >= 6 && change) }
        await judge(store, request, positive ? 'positive' : 'negative')
        if (index === 6 && 'assignment' in change) comparisons.cut()
        comparisons.add(name, positive)
      }
      const evidence = await follow(store, { now: END }).update(FOLLOWED)
      expect(evidence.reported.serialise()).toEqual(comparisons.serialise())
    }
  })

  test('begins anew when a person switches an arm on again, and forgets the questions of before', async () => {
    const store = await openStore()
    const clock = { now: 20_000 }
    const follower = follow(store, clock)
    for (const id of ['a', 'b', 'c'])
      await judge(store, { id, arm: 'treated', requestedAt: 1_000, unit: id }, 'positive')
    expect((await follower.update(FOLLOWED)).counted).toBe(3)
    await store.addArmEvent(armEvent({ experiment: 'e', arm: 'treated', action: 'off', at: 5_000 }))
    expect((await follower.update(FOLLOWED)).counted).toBe(3)
    await store.addArmEvent(armEvent({ experiment: 'e', arm: 'treated', action: 'on', at: 6_000 }))
    expect(await follower.update(FOLLOWED)).toMatchObject({ counted: 0, since: 6_000 })
    await judge(store, { id: 'again', arm: 'treated', requestedAt: 20_000, unit: 'a' }, 'negative')
    clock.now = 30_000
    expect((await follower.update(FOLLOWED)).counted).toBe(1)
    expect((await follow(store, clock).update(FOLLOWED)).serialise()).toMatchObject({
      counted: 1,
      since: 6_000,
    })
  })

  test('writes nothing when nothing is new', async () => {
    const store = await openStore()
    const clock = { now: 20_000 }
    const followers = [follow(store, clock), follow(store, clock)]
    const name = evidenceName(FOLLOWED.experiment, FOLLOWED.check)
    await followers[0]!.update(FOLLOWED)
    expect(await store.readNote(name)).toBeNull()
    await judge(store, { id: 'a', arm: 'control', requestedAt: 1_000 }, 'negative')
    for (let round = 0; round < 5; round++) {
      clock.now += 1_000
      await Promise.all(followers.map((it) => it.update(FOLLOWED)))
    }
    expect((await store.readNote(name))!.revision).toBe(1)
  })

  test('counts again from the beginning, and says so, where what is stored cannot be read', async () => {
    const store = await openStore()
    const warned: string[] = []
    const log = { ...noLog, warn: (_fields: object, message: string) => warned.push(message) }
    const name = evidenceName(FOLLOWED.experiment, FOLLOWED.check)
    await judge(store, { id: 'a', arm: 'control', requestedAt: 1_000 }, 'negative')
    await store.writeNote(name, '{"version": 7}', 0)
    const evidence = await follow(store, { now: 20_000 }, log).update(FOLLOWED)
    expect(evidence.counted).toBe(1)
    expect(warned).toEqual(['stored evidence cannot be read: the verdicts are counted again'])
    expect((await store.readNote(name))!.revision).toBe(2)
  })
})
