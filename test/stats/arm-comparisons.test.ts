/** Several treatments against one control: every verdict where it belongs, Holm's decisions, state, the million. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seeded } from '../../bench/random.ts'
import { ArmComparison, ArmComparisons } from '../../src/stats/arm-comparisons.ts'
import { BlockEProcess } from '../../src/stats/block-e-process.ts'
import { differenceInterval } from '../../src/stats/difference.ts'
import { holm } from '../../src/stats/multiple-testing.ts'
import { blocksOf, run, verdicts } from './verdicts.ts'

const TREATMENTS = ['etymologist', 'year', '__proto__']
const arms = fc.constantFrom('control', ...TREATMENTS)
const stream = fc.array(fc.record({ arm: arms, positive: fc.boolean() }), { maxLength: 300, size: 'max' })

function follow(all: readonly { arm: string; positive: boolean }[]): ArmComparisons {
  const comparisons = new ArmComparisons('control', TREATMENTS)
  for (const { arm, positive } of all) comparisons.add(arm, positive)
  return comparisons
}

describe('ArmComparison', () => {
  it('has the evidence of a block e-process, and its bounds while verdicts are few', () => {
    fc.assert(
      fc.property(verdicts, (all) => {
        const comparison = new ArmComparison()
        for (const { arm, positive } of all) comparison.add(arm, positive)
        expect(comparison.evidence.serialise()).toEqual(run(all).serialise())
        const perArm = (['control', 'treatment'] as const).map(
          (side) => all.filter(({ arm }) => arm === side).length,
        )
        if (Math.max(...perArm) <= 320)
          expect(comparison.differenceInterval()).toEqual(differenceInterval(blocksOf(all)))
      }),
    )
  })

  it('covers the difference at every look in at least 1 - alpha of the runs, with blocks that grow', () => {
    const next = seeded(21)
    const missed = Array.from({ length: 50 }, () => {
      const comparison = new ArmComparison()
      return Array.from({ length: 6 }, () => {
        for (let i = 0; i < 600; i++) {
          const side = next() < 0.5 ? 'treatment' : 'control'
          comparison.add(side, next() < (side === 'treatment' ? 0.05 : 0.1))
        }
        const { lower, upper } = comparison.differenceInterval(0.05)
        return lower > -0.05 || upper < -0.05
      }).some(Boolean)
    })
    expect(missed.filter(Boolean).length / missed.length).toBeLessThanOrEqual(0.05)
  })

  it('cuts the blocks of evidence and bounds alike', () => {
    const comparison = new ArmComparison()
    for (const side of ['control', 'treatment'] as const) comparison.add(side, side === 'control')
    comparison.cut()
    expect(comparison.serialise().blocks).toEqual([[1, 1, 0, 1]])
    expect(comparison.evidence.blockCount).toBe(1)
  })
})

describe('ArmComparisons', () => {
  it('compares each treatment as if the others were not there', () => {
    fc.assert(
      fc.property(stream, (all) => {
        const comparisons = follow(all)
        for (const result of comparisons.results()) {
          const process = new BlockEProcess()
          for (const { arm, positive } of all)
            if (arm === 'control' || arm === result.arm)
              process.add(arm === 'control' ? 'control' : 'treatment', positive)
          expect([result.logEBetter, result.logEWorse]).toEqual([process.logEBetter, process.logEWorse])
          const own = all.filter(({ arm }) => arm === result.arm)
          expect(result.counts).toEqual({
            positives: own.filter(({ positive }) => positive).length,
            total: own.length,
          })
        }
      }),
    )
  })

  it("decides by Holm's method on 1 / max E", () => {
    fc.assert(
      fc.property(stream, fc.double({ min: 0.05, max: 0.9, noNaN: true }), (all, alpha) => {
        const results = follow(all).results(alpha)
        const processes = TREATMENTS.map((name) =>
          run(
            all
              .filter(({ arm }) => arm === 'control' || arm === name)
              .map(({ arm, positive }) => ({ arm: arm === 'control' ? 'control' : 'treatment', positive })),
          ),
        )
        const [better, worse] = [
          holm(processes.map(({ pBetter }) => pBetter)),
          holm(processes.map(({ pWorse }) => pWorse)),
        ]
        expect(results.map((it) => it.decision)).toEqual(
          TREATMENTS.map((_, i) =>
            worse[i]! <= alpha ? 'worse' : better[i]! <= alpha ? 'better' : 'undecided',
          ),
        )
      }),
    )
  })

  it('asks for more evidence of one arm where there are several, and less once another is proven', () => {
    const p = [0.02, 0.5, 0.5]
    expect(holm(p)[0]).toBeCloseTo(0.06)
    expect(holm([0.02, 0.001, 0.5])[0]).toBeCloseTo(0.04)
  })

  it('never takes a decision back', () => {
    const next = seeded(22)
    const comparisons = new ArmComparisons('control', ['helps', 'harms', 'idle'])
    const rates: Record<string, number> = { control: 0.2, helps: 0.02, harms: 0.6, idle: 0.2 }
    const decided = new Map<string, string>()
    for (let i = 0; i < 4000; i++) {
      const arm = Object.keys(rates)[Math.floor(next() * 4)]!
      // In the second half all arms behave as the control does.
      comparisons.add(arm, next() < (i < 2000 ? rates[arm]! : 0.2))
      if (i % 250 !== 0) continue
      for (const result of comparisons.results()) {
        const before = decided.get(result.arm)
        if (before !== undefined && before !== 'undecided') expect(result.decision).toBe(before)
        decided.set(result.arm, result.decision)
      }
    }
    expect(Object.fromEntries(decided)).toEqual({ helps: 'better', harms: 'worse', idle: 'undecided' })
  })

  it('continues identically after it was written to JSON and read back', () => {
    fc.assert(
      fc.property(stream, stream, fc.boolean(), (before, after, cut) => {
        const comparisons = follow(before)
        const restored = ArmComparisons.restore(JSON.parse(JSON.stringify(comparisons.serialise())))
        for (const it of [comparisons, restored]) {
          if (cut) it.cut()
          for (const { arm, positive } of after) it.add(arm, positive)
        }
        expect(restored.serialise()).toEqual(comparisons.serialise())
        expect(restored.results()).toEqual(comparisons.results())
        expect(restored.controlCounts).toEqual(comparisons.controlCounts)
      }),
    )
  })

  it('knows nothing without verdicts', () => {
    const [result] = new ArmComparisons('control', ['only']).results()
    expect(result).toEqual({
      arm: 'only',
      counts: { positives: 0, total: 0 },
      difference: { estimate: null, lower: -1, upper: 1 },
      logEBetter: 0,
      logEWorse: 0,
      adjustedPBetter: 1,
      adjustedPWorse: 1,
      decision: 'undecided',
    })
    expect(new ArmComparisons('control', []).results()).toEqual([])
  })

  it('keeps a state that grows with the logarithm of the verdicts', () => {
    const next = seeded(23)
    const comparisons = new ArmComparisons('control', ['one'])
    const sizes = [1e4, 1e5, 1e6].map((until) => {
      const { total } = comparisons.controlCounts
      for (let i = total * 2; i < until; i++) comparisons.add(i % 2 ? 'one' : 'control', next() < 0.05)
      return JSON.stringify(comparisons.serialise()).length
    })
    expect(sizes[2]! - sizes[1]!).toBeLessThan(1.5 * (sizes[1]! - sizes[0]!))
    expect(sizes[2]).toBeLessThan(20_000)
  })

  it('refuses arms it does not know, arms named twice and states that are none', () => {
    const comparisons = new ArmComparisons('control', ['one'])
    expect(() => comparisons.add('two', true)).toThrow('"two" is no arm of this experiment')
    expect(() => new ArmComparisons('one', ['one'])).toThrow(/named twice/)
    expect(() => comparisons.results(0)).toThrow(RangeError)
    const state = comparisons.serialise()
    expect(() => ArmComparisons.restore({ ...state, version: 7 })).toThrow(/at version/)
    const [treatment] = state.treatments
    const broken = { ...treatment!, comparison: { ...treatment!.comparison, blocks: [[3, 2, 0, 1]] } }
    expect(() => ArmComparisons.restore({ ...state, treatments: [broken] })).toThrow(/blocks\.0/)
    expect(() => ArmComparisons.restore({ ...state, treatments: [treatment, treatment] })).toThrow(
      /named twice/,
    )
  })
})
