/** The block e-process whatever the verdicts: symmetry, accounting, error rate, endurance, state. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seeded } from '../../bench/random.ts'
import { BlockEProcess } from '../../src/stats/block-e-process.ts'
import type { Side } from '../../src/stats/blocks.ts'
import { blocksOf, run, swap, type Verdict, verdicts } from './verdicts.ts'

const ALPHA = 0.05

describe('BlockEProcess', () => {
  it('exchanges better and worse when the arms are swapped', () => {
    fc.assert(
      fc.property(verdicts, (all) => {
        const process = run(all)
        const swapped = run(all.map(({ arm, positive }) => ({ arm: swap(arm), positive })))
        expect(swapped.logEBetter).toBeCloseTo(process.logEWorse, 10)
        expect(swapped.logEWorse).toBeCloseTo(process.logEBetter, 10)
        expect(swapped.maxLogEBetter).toBeCloseTo(process.maxLogEWorse, 10)
        expect(swapped.pWorse).toBeCloseTo(process.pBetter, 10)
        expect(swapped.maxLogETwoSided).toBeCloseTo(process.maxLogETwoSided, 10)
      }),
    )
  })

  it('keeps every verdict in one block or pending', () => {
    fc.assert(
      fc.property(verdicts, fc.integer({ min: 1, max: 20 }), (all, minBlock) => {
        const process = run(all, minBlock)
        const blocks = blocksOf(all, minBlock)
        const of = (arm: Side) => all.filter((verdict) => verdict.arm === arm)
        const left = (['control', 'treatment'] as const).map((arm) => {
          const totals = blocks.map((block) => block[arm].total)
          for (const total of totals) expect(total).toBeGreaterThanOrEqual(minBlock)
          const total = totals.reduce((sum, it) => sum + it, 0)
          const positives = blocks.reduce((sum, block) => sum + block[arm].positives, 0)
          expect(positives).toBe(
            of(arm)
              .slice(0, total)
              .filter(({ positive }) => positive).length,
          )
          return of(arm).length - total
        })
        expect(Math.min(...left)).toBeLessThan(minBlock)
        expect(process.blockCount).toBe(blocks.length)
      }),
    )
  })

  it('adds the directions up and never forgets the most evidence it had', () => {
    fc.assert(
      fc.property(verdicts, (all) => {
        const process = new BlockEProcess()
        let most = 0
        for (const { arm, positive } of all) {
          process.add(arm, positive)
          most = Math.max(most, process.logEBetter)
        }
        expect(process.logETwoSided).toBeCloseTo(process.logEBetter + process.logEWorse, 10)
        expect(process.maxLogEBetter).toBe(most)
        expect(process.pBetter).toBe(Math.exp(-most))
      }),
    )
  })

  it('bets nothing on the first block, whose rates are expected to be the same', () => {
    const process = run(
      Array.from({ length: 10 }, (_, i) => ({ arm: i < 5 ? 'control' : 'treatment', positive: i < 5 })),
    )
    expect(process.blockCount).toBe(1)
    expect([process.logEBetter, process.logEWorse, process.pTwoSided]).toEqual([0, 0, 1])
  })

  it('calls equal arms different in no more than alpha of the runs', () => {
    const next = seeded(2)
    const wrong = Array.from({ length: 500 }, () => {
      const process = new BlockEProcess()
      for (let i = 0; i < 1000; i++) process.add(next() < 0.3 ? 'treatment' : 'control', next() < 0.1)
      return process.pTwoSided <= ALPHA
    })
    expect(wrong.filter(Boolean).length / wrong.length).toBeLessThanOrEqual(ALPHA)
  })

  it('finds 2% better than 10%', () => {
    const next = seeded(3)
    const process = new BlockEProcess()
    for (let i = 0; i < 3000; i++) {
      const arm = next() < 0.5 ? 'treatment' : 'control'
      process.add(arm, next() < (arm === 'treatment' ? 0.02 : 0.1))
    }
    expect(process.pBetter).toBeLessThan(0.001)
    expect(process.pWorse).toBe(1)
  })

  it('exchanges better and worse when positives and negatives change places, in the prior too', () => {
    fc.assert(
      fc.property(verdicts, (all) => {
        const process = new BlockEProcess({ a: 1, b: 19 })
        const swapped = new BlockEProcess({ a: 19, b: 1 })
        for (const { arm, positive } of all) {
          process.add(arm, positive)
          swapped.add(arm, !positive)
        }
        expect(swapped.logEBetter).toBeCloseTo(process.logEWorse, 8)
        expect(swapped.logEWorse).toBeCloseTo(process.logEBetter, 8)
      }),
    )
  })

  it('makes blocks of 5 and expects any rate at first unless told otherwise', () => {
    const all = Array.from({ length: 200 }, (_, i): Verdict => {
      return { arm: i % 2 === 0 ? 'control' : 'treatment', positive: i % 4 === 0 }
    })
    const [byDefault, told] = [new BlockEProcess(), new BlockEProcess({ minBlock: 5, a: 1, b: 1 })]
    for (const { arm, positive } of all) {
      byDefault.add(arm, positive)
      told.add(arm, positive)
    }
    expect(byDefault.serialise()).toEqual(told.serialise())
    expect(byDefault.logEBetter).toBeGreaterThan(1)
    expect(byDefault.logEBetter).toBe(told.logEBetter)
  })

  it('refuses blocks of no verdict and priors of no weight', () => {
    for (const minBlock of [0, 1.5, Number.NaN])
      expect(() => new BlockEProcess({ minBlock })).toThrow(RangeError)
    for (const a of [0, -1, Infinity]) expect(() => new BlockEProcess({ a })).toThrow(RangeError)
    expect(() => new BlockEProcess({ b: 0 })).toThrow(RangeError)
  })

  it('starts afresh when the weights change, with a block of what both arms had pending', () => {
    const process = new BlockEProcess()
    for (let i = 0; i < 3; i++) {
      process.add('control', true)
      process.add('treatment', false)
    }
    const three = { control: { positives: 3, total: 3 }, treatment: { positives: 0, total: 3 } }
    expect(process.cut()).toEqual(three)
    expect(process.blockCount).toBe(1)
    process.add('control', true)
    expect(process.cut(), 'the treatment has nothing pending').toBeUndefined()
    expect(process.serialise().builder.pending.control.total).toBe(0)
  })

  it('makes fewer blocks where they grow, of at least the share asked for', () => {
    const growing = new BlockEProcess({ growth: 0.1 })
    const seen = { control: 0, treatment: 0 }
    for (let i = 0; i < 20_000; i++) {
      const block = growing.add(i % 3 === 0 ? 'treatment' : 'control', i % 7 === 0)
      if (block === undefined) continue
      for (const side of ['control', 'treatment'] as const) {
        expect(block[side].total).toBeGreaterThanOrEqual(Math.max(5, 0.1 * seen[side]))
        seen[side] += block[side].total
      }
    }
    expect(growing.blockCount).toBeLessThan(80)
    expect(() => new BlockEProcess({ growth: -1 })).toThrow(RangeError)
    expect(() => new BlockEProcess({ growth: Number.NaN })).toThrow(RangeError)
  })
})

describe('a million verdicts', () => {
  // The same evidence by another route: every logarithm apart and a compensated sum (Neumaier 1974).
  it.each([
    [0.05, 0.05, 0.5],
    [0.02, 0.0195, 0.9],
    [0.999999, 0.999998, 0.5],
    [0, 0, 0.5],
    [1, 1, 0.1],
    [0, 1, 0.5],
  ])('rates %d and %d, share %d: no digit that is shown gets lost', (control, treatment, share) => {
    const next = seeded(11)
    const process = new BlockEProcess()
    const seen = { control: [1, 1], treatment: [1, 1] } as Record<Side, [number, number]>
    let [sum, lost] = [0, 0]
    for (let i = 0; i < 1_000_000; i++) {
      const arm = next() < share ? 'treatment' : 'control'
      const block = process.add(arm, next() < (arm === 'treatment' ? treatment : control))
      if (block === undefined) continue
      const rate = (side: Side) => seen[side][0] / (seen[side][0] + seen[side][1])
      const n = block.control.total + block.treatment.total
      const p0 = (block.control.total * rate('control') + block.treatment.total * rate('treatment')) / n
      for (const side of ['control', 'treatment'] as const) {
        const { positives, total } = block[side]
        const negative = seen[side][1] / (seen[side][0] + seen[side][1])
        for (const term of [
          positives && positives * (Math.log(rate(side)) - Math.log(p0)),
          total - positives && (total - positives) * (Math.log(negative) - Math.log1p(-p0)),
        ]) {
          const next = sum + term
          lost += Math.abs(sum) >= Math.abs(term) ? sum - next + term : term - next + sum
          sum = next
        }
      }
      for (const side of ['control', 'treatment'] as const) {
        seen[side][0] += block[side].positives
        seen[side][1] += block[side].total - block[side].positives
      }
    }
    expect(process.blockCount).toBeGreaterThan(15_000)
    const expected = sum + lost
    expect(Math.abs(process.logETwoSided - expected)).toBeLessThan(1e-7 * Math.max(1, Math.abs(expected)))
    const values = [process.logEBetter, process.logEWorse, process.maxLogETwoSided, process.pBetter]
    expect(values.every(Number.isFinite)).toBe(true)
    expect(JSON.stringify(process.serialise()).length).toBeLessThan(1000)
  })
})

describe('state of a block e-process', () => {
  it('continues identically after it was written to JSON and read back', () => {
    fc.assert(
      fc.property(verdicts, verdicts, fc.integer({ min: 1, max: 20 }), (before, after, minBlock) => {
        const process = run(before, minBlock)
        const restored = BlockEProcess.restore(JSON.parse(JSON.stringify(process.serialise())))
        for (const { arm, positive } of after)
          expect(restored.add(arm, positive)).toEqual(process.add(arm, positive))
        expect(restored.serialise()).toEqual(process.serialise())
      }),
    )
  })

  it('stays as it was while the process goes on', () => {
    const process = run(
      Array.from({ length: 30 }, (_, i) => ({ arm: i % 2 ? 'control' : 'treatment', positive: i % 3 === 0 })),
    )
    const state = process.serialise()
    const copy = structuredClone(state)
    process.add('control', true)
    expect(state).toEqual(copy)
  })

  it('is refused with the place and the remedy when it is none', () => {
    const state = new BlockEProcess().serialise()
    const refuse = (changed: unknown, message: RegExp) =>
      expect(() => BlockEProcess.restore(changed)).toThrow(message)
    refuse({ ...state, version: 2 }, /state of a block e-process cannot be used at version.*Discard it/)
    refuse({ ...state, better: { logE: null, max: 0 } }, /at better\.logE/)
    refuse({ ...state, prior: { a: 0, b: 1 } }, /Beta prior/)
    const pending = { control: { positives: 2, total: 1 }, treatment: { positives: 0, total: 0 } }
    refuse({ ...state, builder: { ...state.builder, pending } }, /more positives than verdicts/)
    refuse({ ...state, more: 1 }, /cannot be used/)
    refuse(null, /cannot be used/)
  })
})
