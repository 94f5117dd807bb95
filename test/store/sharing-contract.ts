/** What every `Store` keeps to of notes, events, counts and exposures, when several processes share it. */
import { describe, expect, test } from 'vitest'
import type { ArmEvent, ExposureBatch } from '../../src/domain/store.ts'
import { DAY, HOUR_MS, makeSample, verdictOn } from '../support/store-samples.ts'
import { type Engine, open, openNew, openTwice } from './engines.ts'
import { openInProcesses } from './processes.ts'

const event = (id: string, given: Partial<ArmEvent> = {}): ArmEvent => ({
  id,
  experiment: 'birds',
  arm: 'control',
  action: 'off',
  by: 'person',
  reason: 'it was worse',
  evidence: null,
  at: DAY,
  ...given,
})

const exposed = (arm: string, given: Partial<ExposureBatch> = {}): ExposureBatch => ({
  experiment: 'birds',
  arm,
  assignment: 'a1',
  exposures: 3,
  units: ['u1', 'u2'],
  anonymousUnits: 1,
  ...given,
})

export function sharingContract(engine: Engine): void {
  describe('notes', () => {
    test('are written once per revision', async () => {
      const store = await openNew(engine)
      expect(await store.readNote('n')).toBeNull()
      expect(await store.writeNote('n', 'x', 1)).toBe(false)
      expect(await store.writeNote('n', 'one', 0)).toBe(true)
      expect(await store.writeNote('n', 'again', 0)).toBe(false)
      expect(await store.writeNote('n', 'two', 1)).toBe(true)
      expect(await store.writeNote('n', 'late', 1)).toBe(false)
      expect(await store.readNote('n')).toEqual({ revision: 2, text: 'two' })
    })

    test('lose no writing when many read, change and write them at the same time', async () => {
      const stores = await openTwice(engine)
      const writers = Array.from({ length: 10 }, async (_, n) => {
        for (;;) {
          const note = (await stores[n % 2]!.readNote('sum')) ?? { revision: 0, text: '0' }
          if (await stores[n % 2]!.writeNote('sum', `${Number(note.text) + 1}`, note.revision)) return
        }
      })
      await Promise.all(writers)
      expect(await stores[0].readNote('sum')).toEqual({ revision: 10, text: '10' })
    })
  })

  describe('events of arms', () => {
    test('are kept in the order they were stored; the latest of each arm is in force', async () => {
      const store = await openNew(engine)
      const events = [
        event('z', { at: DAY + 9 }),
        event('y', { arm: 'other', action: 'promoted', by: 'promote', evidence: '{"e": 20}' }),
        event('a', { action: 'on' }),
        event('b', { experiment: 'third' }),
      ]
      for (const it of events) await store.addArmEvent(it)
      await store.addArmEvent(event('z', { reason: 'the same one again' }))
      // Times follow the order, whatever the clocks of those who act.
      const stored = events.map((it, n) => ({ ...it, at: n < 3 ? DAY + 9 + n : it.at }))
      expect(await store.armHistory('birds')).toEqual(stored.slice(0, 3))
      expect(await store.armEvents()).toEqual(stored.slice(1))
    })

    test('end an earlier promotion where another arm is promoted, so that it does not come back', async () => {
      const store = await openNew(engine)
      const promoted = (arm: string) => event(`promote ${arm}`, { arm, action: 'promoted', by: 'person' })
      for (const arm of ['one', 'two', 'two']) await store.addArmEvent(promoted(arm))
      await store.addArmEvent(event('undo', { arm: 'two', action: 'on', by: 'person' }))
      expect((await store.armEvents()).map(({ arm, action }) => [arm, action])).toEqual([
        ['one', 'on'],
        ['two', 'on'],
      ])
      expect(await store.armHistory('birds')).toHaveLength(4)
    })

    test('are all kept when several processes add them at the same time', async () => {
      const stores = await openTwice(engine)
      await Promise.all(Array.from({ length: 20 }, (_, n) => stores[n % 2]!.addArmEvent(event(`${n}`))))
      const history = await stores[0].armHistory('birds')
      expect(history.map(({ id }) => id).toSorted()).toEqual(
        Array.from({ length: 20 }, (_, n) => `${n}`).toSorted(),
      )
      expect(await stores[1].armEvents()).toEqual(history.slice(-1))
    })
  })

  describe('counts', () => {
    test('are exact when many add to them at the same time', async () => {
      const stores = await openTwice(engine)
      const later = Date.now() + HOUR_MS
      const sums = await Promise.all(
        Array.from({ length: 40 }, (_, n) => stores[n % 2]!.count('tokens', 1.5, later)),
      )
      expect(sums.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, n) => 1.5 * (n + 1)))
      expect(await stores[0].count('other', 1e12, later)).toBe(1e12)
      expect(await stores[0].count('tokens', 0, later)).toBe(60)
    })
  })

  describe('exposures', () => {
    test('add up, and a unit counts once', async () => {
      const [store, other] = await openTwice(engine)
      await store.addExposures([exposed('control'), exposed('other', { units: [], anonymousUnits: 0 })])
      await other.addExposures([exposed('control', { units: ['u2', 'u3', 'u3'] })])
      await other.addExposures([exposed('control', { assignment: 'a2' })])
      await other.addExposures([])
      const tallies = await store.exposures('birds')
      expect(tallies).toHaveLength(3)
      expect(tallies).toContainEqual({
        experiment: 'birds',
        arm: 'control',
        assignment: 'a1',
        exposures: 6,
        units: 5,
      })
      expect(tallies).toContainEqual({
        experiment: 'birds',
        arm: 'control',
        assignment: 'a2',
        exposures: 3,
        units: 3,
      })
      expect(tallies).toContainEqual({
        experiment: 'birds',
        arm: 'other',
        assignment: 'a1',
        exposures: 3,
        units: 0,
      })
      expect(await store.exposures('unknown')).toEqual([])
    })

    test('are exact when processes store the same arms in different order at the same time', async () => {
      const stores = await openTwice(engine)
      const units = Array.from({ length: 700 }, (_, n) => `u${n}`)
      const batches = [exposed('a', { units }), exposed('b', { units })]
      const reversed = [
        exposed('b', { units: units.toReversed() }),
        exposed('a', { units: units.toReversed() }),
      ]
      await Promise.all(
        Array.from({ length: 10 }, (_, n) => stores[n % 2]!.addExposures(n % 2 === 0 ? batches : reversed)),
      )
      for (const tally of await stores[0].exposures('birds'))
        expect(tally).toMatchObject({ exposures: 30, units: 710 })
    })
  })

  if (!engine.lasting) return
  describe('a store', () => {
    test.runIf(engine.processes)(
      'is made by five processes that start at the same time, with one key for units',
      async () => {
        const address = await engine.create()
        const keys = await openInProcesses(address, 5)
        expect(new Set(keys).size).toBe(1)
        expect(keys[0]).toMatch(/^[\w-]{43}$/)
        expect(await (await open(address)).unitKey()).toBe(keys[0])
      },
    )

    test('keeps everything when it is closed and opened again', async () => {
      const address = await engine.create()
      const first = await open(address)
      const [judged, waiting] = [makeSample(), makeSample()]
      await first.offer(judged)
      await first.offer(waiting)
      await first.addVerdict(verdictOn(judged, 'positive', { scores: { a: { kind: 'label', value: 'x' } } }))
      await first.take(1, 60_000)
      await first.writeNote('n', 'text', 0)
      await first.addArmEvent(event('e'))
      await first.count('tokens', 5, DAY)
      await first.addExposures([exposed('control')])
      const read = async (store: typeof first) => ({
        found: await store.find({}, 10),
        status: await store.status(),
        tallies: await store.tallies('birds', 'archaic'),
        scores: await store.scoreTallies('birds', 'archaic'),
        note: await store.readNote('n'),
        events: await store.armEvents(),
        tokens: await store.count('tokens', 0, Date.now() + HOUR_MS),
        exposures: await store.exposures('birds'),
        key: await store.unitKey(),
        held: await store.take(5, 60_000),
      })
      const before = await read(first)
      await first.close()
      expect(await read(await open(address))).toEqual(before)
      expect(before.held).toEqual([])
    })
  })
}
