/** Calibration of the judge against simulated truth: bounds cover what they promise, and what cannot be told is not. */
import { describe, expect, it } from 'vitest'
import { seeded } from '../../bench/random.ts'
import {
  type Calibration,
  calibrate,
  type JudgedArm,
  type LabelledVerdict,
} from '../../src/stats/calibration.ts'

interface World {
  /** True rates by arm. */
  readonly rates: Readonly<Record<string, number>>
  readonly sensitivity: number
  readonly specificity: number
  readonly specificityIn?: Readonly<Record<string, number>>
  /** Answers of each arm, and the chance to be labelled by the judge's verdict. */
  readonly answers: number
  readonly labelled: { readonly positive: number; readonly negative: number }
}

const WORLD: World = {
  rates: { control: 0.12, mild: 0.05 },
  sensitivity: 0.85,
  specificity: 0.97,
  answers: 2_000,
  labelled: { positive: 0.15, negative: 0.15 },
}
/** All of the judge's positives that are rare, and few of its negatives. */
const STRATIFIED = { ...WORLD, labelled: { positive: 0.8, negative: 0.08 } }

function simulate(world: World, seed: number): Calibration {
  const next = seeded(seed)
  const labelled: LabelledVerdict[] = []
  const judged: JudgedArm[] = Object.entries(world.rates).map(([arm, rate]) => {
    const counts = { positive: 0, negative: 0 }
    const specificity = world.specificityIn?.[arm] ?? world.specificity
    for (let index = 0; index < world.answers; index++) {
      const truth = next() < rate
      const said = (truth ? next() < world.sensitivity : next() >= specificity) ? 'positive' : 'negative'
      counts[said]++
      const probability = world.labelled[said]
      if (next() < probability)
        labelled.push({ arm, judged: said, label: truth ? 'positive' : 'negative', probability })
    }
    return { arm, positives: counts.positive, negatives: counts.negative }
  })
  return calibrate(labelled, judged, 'control')
}

const RUNS = 300
const runs = (world: World, first = 1): Calibration[] =>
  Array.from({ length: RUNS }, (_, index) => simulate(world, first + index))

/** Share of runs in which it holds. */
function share(all: readonly Calibration[], holds: (it: Calibration) => boolean): number {
  return all.filter(holds).length / all.length
}

const within = (bounds: { lower: number; upper: number } | undefined, value: number) =>
  bounds !== undefined && bounds.lower <= value && value <= bounds.upper
const rateBy = (it: Calibration, arm: string, method: string) =>
  it.arms.find((own) => own.arm === arm)!.corrected.find((own) => own.method === method)

// Of 300 runs, 95% gives at least 91.5% but once in 400 times.
const LEAST = 0.915

describe.each([
  ['all answers labelled alike', WORLD],
  ["the judge's positives labelled more often", STRATIFIED],
])('calibrate, %s', (_, world) => {
  const all = runs(world)

  it('bounds sensitivity and specificity, and estimates them without bias', () => {
    expect(share(all, (it) => within(it.sensitivity, world.sensitivity))).toBeGreaterThan(LEAST)
    expect(share(all, (it) => within(it.specificity, world.specificity))).toBeGreaterThan(LEAST)
    const mean = (pick: (it: Calibration) => number) => all.reduce((sum, it) => sum + pick(it), 0) / RUNS
    expect(mean((it) => it.sensitivity.estimate!)).toBeCloseTo(world.sensitivity, 1)
    expect(mean((it) => it.specificity.estimate!)).toBeCloseTo(world.specificity, 2)
  })

  it("corrects the judge's rate: the bounds cover the true rates of both arms", () => {
    for (const [arm, rate] of Object.entries(world.rates)) {
      expect(share(all, (it) => within(rateBy(it, arm, 'rogan-gladen'), rate))).toBeGreaterThan(LEAST)
      const second = world === WORLD ? 'ppi++' : 'stratified'
      const found = all.filter((it) => rateBy(it, arm, second) !== undefined)
      expect(found.length).toBeGreaterThan(RUNS * 0.9)
      expect(share(found, (it) => within(rateBy(it, arm, second), rate))).toBeGreaterThan(LEAST)
    }
    // The judge's own rate of the mild arm is 7.1%: uncorrected, it would be missed.
    const raw = 0.05 * world.sensitivity + 0.95 * (1 - world.specificity)
    expect(share(all, (it) => within(rateBy(it, 'mild', 'rogan-gladen'), raw))).toBeLessThan(0.9)
  })

  it('seldom says that a judge errs unevenly who does not, and mostly finds one who does', () => {
    expect(share(all, (it) => it.arms[1]!.uneven)).toBeLessThan(0.03)
    const uneven = runs({ ...world, specificityIn: { mild: 0.8 } }, 5_000)
    expect(share(uneven, (it) => it.arms[1]!.uneven)).toBeGreaterThan(0.9)
    const [found] = uneven.filter((it) => it.arms[1]!.uneven)
    expect(rateBy(found!, 'mild', 'rogan-gladen')).toBeUndefined()
  })
})

describe('calibrate', () => {
  it('gives rates from labels alone below 200 of them, and covers the true ones', () => {
    const few = runs({ ...WORLD, answers: 400, labelled: { positive: 0.2, negative: 0.2 } })
    expect(few.every(({ labels }) => labels < 200)).toBe(true)
    expect(few[0]!.arms.map(({ corrected }) => corrected.map(({ method }) => method))).toEqual([
      ['labels'],
      ['labels'],
    ])
    expect(share(few, (it) => within(rateBy(it, 'control', 'labels'), 0.12))).toBeGreaterThan(LEAST)
  })

  it('corrects nothing where the judge is no better than chance', () => {
    const coin = simulate({ ...WORLD, sensitivity: 0.3, specificity: 0.6 }, 1)
    expect(coin.identifiable).toBe('no')
    expect(coin.arms.flatMap(({ corrected }) => corrected)).toEqual([])
  })

  it('says not yet where the bounds of sensitivity and specificity do not rule chance out', () => {
    const labelled = [
      ...Array.from(
        { length: 3 },
        () => ({ arm: 'a', judged: 'positive', label: 'positive', probability: 1 }) as const,
      ),
      ...Array.from(
        { length: 9 },
        () => ({ arm: 'a', judged: 'negative', label: 'negative', probability: 1 }) as const,
      ),
    ]
    const found = calibrate(labelled, [{ arm: 'a', positives: 10, negatives: 90 }], null)
    expect(found).toMatchObject({ identifiable: 'not yet', sensitivity: { estimate: 1 } })
  })

  it('says not yet without labels, with everything possible', () => {
    const found = calibrate([], [{ arm: 'a', positives: 10, negatives: 90 }], null)
    expect(found).toMatchObject({
      labels: 0,
      identifiable: 'not yet',
      sensitivity: { estimate: null, lower: 0, upper: 1 },
      arms: [{ corrected: [] }],
    })
  })

  it('counts what cannot be compared in the table alone', () => {
    const labelled: LabelledVerdict[] = [
      { arm: 'a', judged: 'unparsed', label: 'positive', probability: 1 },
      { arm: 'a', judged: 'positive', label: 'excluded', probability: 1 },
      { arm: 'a', judged: 'positive', label: 'positive', probability: 1 },
    ]
    const { labels, confusion } = calibrate(labelled, [{ arm: 'a', positives: 2, negatives: 0 }], null)
    expect(labels).toBe(1)
    expect(confusion.positive).toMatchObject({ positive: 1, unparsed: 1 })
    expect(confusion.excluded).toMatchObject({ positive: 1 })
  })

  it('does not take a judge for perfect because no miss happened to be among few labelled negatives', () => {
    // 60 positives all labelled and right, 1,000 negatives of which 50 labelled, none a miss: up to 7% may be.
    const labelled: LabelledVerdict[] = [
      ...Array.from(
        { length: 60 },
        () => ({ arm: 'a', judged: 'positive', label: 'positive', probability: 1 }) as const,
      ),
      ...Array.from(
        { length: 50 },
        () => ({ arm: 'a', judged: 'negative', label: 'negative', probability: 0.05 }) as const,
      ),
    ]
    const { sensitivity } = calibrate(labelled, [{ arm: 'a', positives: 60, negatives: 1_000 }], null)
    expect(sensitivity.estimate).toBe(1)
    expect(sensitivity.lower).toBeLessThan(0.6)
  })

  it.each([0, -1, 1.5, Number.NaN])('refuses %d as a probability', (probability) => {
    const labelled = [{ arm: 'a', judged: 'positive', label: 'positive', probability } as const]
    expect(() => calibrate(labelled, [{ arm: 'a', positives: 1, negatives: 0 }], null)).toThrow(RangeError)
  })
})
