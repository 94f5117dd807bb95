/**
 * Reads `test/vectors/stats.json` and runs our functions on what its cases give. Called by the tests of the vectors.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { asymptoticDifference } from '../../src/stats/asymptotic-difference.ts'
import { betaBinomialInterval, betaBinomialLogE } from '../../src/stats/beta-binomial.ts'
import {
  clopperPearsonInterval,
  jeffreysInterval,
  wilsonInterval,
} from '../../src/stats/binomial-intervals.ts'
import { BlockEProcess } from '../../src/stats/block-e-process.ts'
import type { Block, Side } from '../../src/stats/blocks.ts'
import { bonferroniDifference } from '../../src/stats/bonferroni-difference.ts'
import { clusterRobustRate } from '../../src/stats/cluster-robust.ts'
import type { Counts } from '../../src/stats/counts.ts'
import { differenceInterval, differenceLogE } from '../../src/stats/difference.ts'
import { ScoreMean } from '../../src/stats/empirical-bernstein.ts'
import { fixedSizeTest } from '../../src/stats/fixed-size-test.ts'
import { trueRate } from '../../src/stats/judge-error.ts'
import { benjaminiHochberg, eBenjaminiHochberg, holm } from '../../src/stats/multiple-testing.ts'
import { positivesOnlyLogE } from '../../src/stats/positives-only.ts'
import { chanceTreatmentHigher } from '../../src/stats/posterior-comparison.ts'
import { predictionPoweredMean } from '../../src/stats/prediction-powered.ts'
import { sampleRatioChiSquare, sampleRatioLogE, sampleRatioP } from '../../src/stats/sample-ratio.ts'
import { sampleSize } from '../../src/stats/sample-size.ts'
import { incompleteBeta, inverseIncompleteBeta } from '../../src/stats/special/incomplete-beta.ts'
import { chiSquareSurvival } from '../../src/stats/special/incomplete-gamma.ts'
import { logGamma } from '../../src/stats/special/log-gamma.ts'
import { normalQuantile } from '../../src/stats/special/normal-quantile.ts'
import { thresholdLogE } from '../../src/stats/threshold.ts'
import { universalInferenceLogE } from '../../src/stats/universal-inference.ts'
import { WeightedSums } from '../../src/stats/weighted-means.ts'

const fields = z.record(z.string(), z.unknown())
const caseSchema = z.strictObject({ id: z.string(), given: fields, expected: fields })
const methodSchema = z.strictObject({
  source: z.string(),
  tolerance: z.number().nonnegative(),
  /** What the tolerance is multiplied by: the larger of 1 and the value, or the value alone. */
  scale: z.enum(['at least 1', 'value']),
  cases: z.array(caseSchema).min(1),
})
const fileSchema = z.strictObject({ about: z.string(), methods: z.record(z.string(), methodSchema) })

export type VectorCase = z.infer<typeof caseSchema>
export type VectorMethod = z.infer<typeof methodSchema>

export function readVectors(): Record<string, VectorMethod> {
  const text = readFileSync(join(import.meta.dirname, '../vectors/stats.json'), 'utf8')
  return fileSchema.parse(JSON.parse(text)).methods
}

/** What a case gives, by name and kind. */
class Given {
  private readonly values: Readonly<Record<string, unknown>>

  constructor(values: Readonly<Record<string, unknown>>) {
    this.values = values
  }

  number(name: string): number {
    return z.number().parse(this.values[name], { error: () => `${name} is not given` })
  }

  optional(name: string): number | undefined {
    return this.values[name] === undefined ? undefined : this.number(name)
  }

  numbers(name: string): number[] {
    return z.array(z.number()).parse(this.values[name])
  }

  pair(name: string): [number, number] {
    return z.tuple([z.number(), z.number()]).parse(this.values[name])
  }

  /** From [positives, verdicts]. */
  counts(name: string): Counts {
    const [positives, total] = this.pair(name)
    return { positives, total }
  }
}

export interface InterleavedVerdict {
  readonly arm: Side
  readonly positive: boolean
}

/** Spreads both arms' verdicts, and the positives among them, evenly; `about` in the file of vectors has the rule. */
export function interleave(control: Counts, treatment: Counts): InterleavedVerdict[] {
  const verdicts = (['control', 'treatment'] as const).flatMap((arm) => {
    const { positives: k, total: n } = arm === 'control' ? control : treatment
    const positive = (j: number) => Math.floor(((j + 1) * k) / n) > Math.floor((j * k) / n)
    return Array.from({ length: n }, (_, j) => ({ arm, positive: positive(j), time: (j + 0.5) / n }))
  })
  return verdicts.sort((x, y) => x.time - y.time).map(({ arm, positive }) => ({ arm, positive }))
}

function replay(given: Given): { process: BlockEProcess; blocks: Block[]; prior: { a: number; b: number } } {
  const [a, b] = given.pair('prior')
  const process = new BlockEProcess({ minBlock: given.number('minBlock'), a, b })
  const blocks = interleave(given.counts('control'), given.counts('treatment')).flatMap(
    ({ arm, positive }) => process.add(arm, positive) ?? [],
  )
  return { process, blocks, prior: { a, b } }
}

function evidence(logE: number) {
  return { logE, e: Math.exp(logE), p: Math.min(1, Math.exp(-logE)) }
}

function sampled(given: Given): WeightedSums {
  const sums = new WeightedSums()
  const probabilities = given.numbers('probabilities')
  for (const [index, y] of given.numbers('values').entries()) sums.add(y, probabilities[index]!)
  return sums
}

type Interval = (k: number, n: number, alpha: number) => object

const intervalOf = (interval: Interval) => (given: Given) => ({
  ...interval(...given.pair('of'), given.number('alpha')),
})

/** For each method of the file: our results, under the names that the file expects them by. */
const METHODS: Record<string, (given: Given) => Record<string, unknown>> = {
  logGamma: (given) => ({ value: logGamma(given.number('x')) }),
  incompleteBeta: (given) => ({
    value: incompleteBeta(given.number('x'), given.number('a'), given.number('b')),
  }),
  inverseIncompleteBeta: (given) => ({
    value: inverseIncompleteBeta(given.number('p'), given.number('a'), given.number('b')),
  }),
  chiSquareSurvival: (given) => ({ value: chiSquareSurvival(given.number('x'), given.number('df')) }),
  normalQuantile: (given) => ({ value: normalQuantile(given.number('p')) }),
  wilsonInterval: intervalOf(wilsonInterval),
  clopperPearsonInterval: intervalOf(clopperPearsonInterval),
  jeffreysInterval: intervalOf(jeffreysInterval),
  betaBinomialInterval: (given) => ({
    ...betaBinomialInterval(...given.pair('of'), given.number('alpha'), ...given.pair('prior')),
  }),
  betaBinomialLogE: (given) => {
    const logE = betaBinomialLogE(...given.pair('of'), given.number('p'), ...given.pair('prior'))
    return { logE, e: Math.exp(logE) }
  },
  thresholdLogE: (given) => ({
    ...thresholdLogE(...given.pair('of'), given.number('threshold'), ...given.pair('prior')),
  }),
  fixedSizeTest: (given) => {
    const { newcombe, ...rest } = fixedSizeTest(given.counts('control'), given.counts('treatment'))
    return { ...rest, lower: newcombe.lower, upper: newcombe.upper }
  },
  universalInferenceLogE: (given) =>
    evidence(
      universalInferenceLogE(given.counts('control'), given.counts('treatment'), ...given.pair('prior')),
    ),
  positivesOnlyLogE: (given) =>
    evidence(positivesOnlyLogE(...given.pair('positives'), given.number('share'), ...given.pair('prior'))),
  asymptoticDifference: (given) => {
    const [alpha, tightestAt] = [given.number('alpha'), given.number('tightestAt')]
    const result = asymptoticDifference(given.counts('control'), given.counts('treatment'), {
      alpha,
      tightestAt,
    })
    return { ...result, p: Math.min(1, Math.exp(-result!.logE)) }
  },
  blockEProcess: (given) => {
    const { process, blocks } = replay(given)
    return {
      blocks: process.blockCount,
      firstBlocks: blocks
        .slice(0, 3)
        .map(({ control: a, treatment: b }) => [a.total, a.positives, b.total, b.positives]),
      better: process.logEBetter,
      worse: process.logEWorse,
      twoSided: process.logETwoSided,
      maxTwoSided: process.maxLogETwoSided,
      pTwoSided: process.pTwoSided,
    }
  },
  differenceInterval: (given) => {
    const { blocks, prior } = replay(given)
    const [control, treatment] = [given.counts('control'), given.counts('treatment')]
    return {
      ...differenceInterval(blocks, given.number('alpha'), prior),
      difference: treatment.positives / treatment.total - control.positives / control.total,
      evidence: given.numbers('at').map((delta) => {
        const { below, above } = differenceLogE(blocks, delta, prior)
        return [below, above]
      }),
    }
  },
  bonferroniDifference: (given) => ({
    ...bonferroniDifference(
      given.counts('control'),
      given.counts('treatment'),
      given.number('alpha'),
      ...given.pair('prior'),
    ),
  }),
  sampleRatioChiSquare: (given) => ({
    ...sampleRatioChiSquare(given.numbers('counts'), given.numbers('weights')),
  }),
  sampleRatioLogE: (given) => {
    const logE = sampleRatioLogE(
      given.numbers('counts'),
      given.numbers('weights'),
      given.number('concentration'),
    )
    return { logE, e: Math.exp(logE), p: sampleRatioP(logE) }
  },
  trueRate: (given) => {
    const [sensitivity, specificity] = (['sensitivity', 'specificity'] as const).map((name) => {
      const [share, of] = given.pair(name)
      return { share, of }
    }) as [{ share: number; of: number }, { share: number; of: number }]
    const judge = { sensitivity, specificity }
    const { known, interval, intervalRaw, ...rest } = trueRate(
      ...given.pair('of'),
      judge,
      given.number('alpha'),
    )
    const ends = ({ lower, upper }: { lower: number; upper: number }) => [lower, upper]
    return { ...rest, known: ends(known), interval: ends(interval), intervalRaw: ends(intervalRaw) }
  },
  predictionPoweredMean: (given) => {
    const judged = given.numbers('judged')
    const labelled = given.numbers('labels').map((label, index) => ({ label, judged: judged[index]! }))
    const trust = given.optional('trust')
    const { interval, ...rest } = predictionPoweredMean(labelled, given.numbers('others'), {
      alpha: given.number('alpha'),
      ...(trust === undefined ? {} : { trust }),
    })
    return { ...rest, ...interval }
  },
  hajek: (given) => {
    const { interval, ...rest } = sampled(given).hajek(given.number('alpha'))!
    return { ...rest, ...interval }
  },
  horvitzThompson: (given) => ({ ...sampled(given).horvitzThompson(given.number('population')) }),
  clusterRobustRate: (given) => {
    const positives = given.numbers('positives')
    const units = given.numbers('totals').map((total, index) => ({ total, positives: positives[index]! }))
    const { interval, ...rest } = clusterRobustRate(units, given.number('alpha'))!
    return { ...rest, ...interval }
  },
  holm: (given) => ({ adjusted: holm(given.numbers('p')) }),
  benjaminiHochberg: (given) => ({ adjusted: benjaminiHochberg(given.numbers('p')) }),
  eBenjaminiHochberg: (given) => ({ ...eBenjaminiHochberg(given.numbers('e'), given.number('alpha')) }),
  sampleSize: (given) => {
    const [p1, p2] = given.pair('rates')
    const sizes = { ...sampleSize(p1, p2, given.number('power'), given.number('alpha')) }
    return { ...sizes, roundedUp: Object.values(sizes).map(Math.ceil) }
  },
  chanceTreatmentHigher: (given) => {
    const [control, treatment] = [given.pair('control'), given.pair('treatment')]
    return {
      chance: chanceTreatmentHigher({ a: control[0], b: control[1] }, { a: treatment[0], b: treatment[1] }),
    }
  },
  scoreMean: (given) => {
    const scores = given.numbers('scores')
    const mean = new ScoreMean({ alpha: given.number('alpha'), truncation: given.number('truncation') })
    let at50: { lower: number; upper: number } | undefined
    for (const [index, score] of scores.entries()) {
      mean.add(score)
      if (index === 49) at50 = mean.interval
    }
    return { count: mean.count, mean: mean.mean, ...mean.interval, at50: [at50!.lower, at50!.upper] }
  },
}

export const METHOD_NAMES = Object.keys(METHODS)

/** @throws when there is no such method. */
export function runCase(method: string, { given }: VectorCase): Record<string, unknown> {
  const run = METHODS[method]
  if (run === undefined) throw new Error(`no such method: ${method}`)
  return run(new Given(given))
}

/**
 * The largest error of a case in terms of its tolerance: at most 1 if it is within. What is no number must be the same;
 * what is expected must be there.
 */
export function worstError(method: string, { tolerance, scale }: VectorMethod, vector: VectorCase): number {
  const actual = runCase(method, vector)
  const compare = (found: unknown, expected: unknown): number => {
    if (Array.isArray(expected)) {
      if (!Array.isArray(found) || found.length !== expected.length) return Infinity
      return Math.max(...expected.map((it, index) => compare(found[index], it)))
    }
    if (typeof expected !== 'number' || typeof found !== 'number') return found === expected ? 0 : Infinity
    const error = Math.abs(found - expected)
    if (error === 0) return 0
    const allowed = tolerance * (scale === 'value' ? Math.abs(expected) : Math.max(1, Math.abs(expected)))
    return Number.isNaN(error) ? Infinity : error / allowed
  }
  return Math.max(
    ...Object.entries(vector.expected).map(([name, expected]) => compare(actual[name], expected)),
  )
}
