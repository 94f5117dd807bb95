/**
 * The statistics against reference values: the chosen ones in `test/vectors/stats.json`, which go with the project,
 * and all there are where the reference data lies beside it.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { betaBinomialInterval, betaBinomialLogE } from '../../src/stats/beta-binomial.ts'
import { BlockEProcess, type BlockEProcessOptions } from '../../src/stats/block-e-process.ts'
import { differenceInterval } from '../../src/stats/difference.ts'
import { sampleRatioLogE, sampleRatioP } from '../../src/stats/sample-ratio.ts'
import { logGamma } from '../../src/stats/special.ts'
import { describeWith, shared } from '../support/requires.ts'
import vectors from '../vectors/stats.json' with { type: 'json' }

type Pair = [number, number]

/** `kind` as the reference data names it. */
function expectClose(
  actual: number | undefined,
  expected: number | undefined,
  tolerance: number,
  kind = 'abs<=tol*max(1,|ref|)',
): void {
  if (expected === undefined || actual === undefined) return expect(actual).toBe(expected)
  const scale = kind === 'relative' ? Math.abs(expected) : Math.max(1, Math.abs(expected))
  const message = `${actual} against ${expected}`
  expect(Math.abs(actual - expected), message).toBeLessThanOrEqual(tolerance * scale)
}

/** Spreads both arms' verdicts, and the positives among them, evenly; `about` in the file of vectors has the rule. */
function interleaved(control: Pair, treatment: Pair, options: BlockEProcessOptions = {}): BlockEProcess {
  const verdicts = (['control', 'treatment'] as const).flatMap((arm) => {
    const [k, n] = arm === 'control' ? control : treatment
    const positive = (j: number) => Math.floor(((j + 1) * k) / n) > Math.floor((j * k) / n)
    return Array.from({ length: n }, (_, j) => ({ arm, positive: positive(j), time: (j + 0.5) / n }))
  })
  const process = new BlockEProcess(options)
  for (const { arm, positive } of verdicts.sort((x, y) => x.time - y.time)) process.add(arm, positive)
  return process
}

describe('chosen reference values', () => {
  it.each(vectors.logGamma.cases)('logGamma($x)', ({ x, value }) => {
    expectClose(logGamma(x), value, vectors.logGamma.tolerance, 'relative')
  })

  it.each(vectors.betaBinomialInterval.cases)('interval of $of, prior $prior', (vector) => {
    const [[k, n], [a, b]] = [vector.of as Pair, vector.prior as Pair]
    const { lower, upper } = betaBinomialInterval(k, n, vector.alpha, a, b)
    expectClose(lower, vector.bounds[0], vectors.betaBinomialInterval.tolerance)
    expectClose(upper, vector.bounds[1], vectors.betaBinomialInterval.tolerance)
  })

  it.each(vectors.betaBinomialLogE.cases)('evidence of $of against $p, prior $prior', (vector) => {
    const [[k, n], [a, b]] = [vector.of as Pair, vector.prior as Pair]
    expectClose(betaBinomialLogE(k, n, vector.p, a, b), vector.logE, vectors.betaBinomialLogE.tolerance)
  })

  it.each(vectors.blockEProcess.cases)('blocks of $minBlock, $control to $treatment', (vector) => {
    const { control, treatment, minBlock } = vector
    const [a, b] = vector.prior as Pair
    const process = interleaved(control as Pair, treatment as Pair, { minBlock, a, b })
    const { tolerance } = vectors.blockEProcess
    expect(process.blockCount).toBe(vector.blocks)
    expectClose(process.logEBetter, vector.better, tolerance)
    expectClose(process.logEWorse, vector.worse, tolerance)
    expectClose(process.maxLogETwoSided, vector.maxTwoSided, tolerance)
  })

  it.each(vectors.differenceInterval.cases)('difference of $treatment to $control', (vector) => {
    const { blocks } = interleaved(vector.control as Pair, vector.treatment as Pair)
    const { lower, upper } = differenceInterval(blocks, vector.alpha)
    expectClose(lower, vector.bounds[0], vectors.differenceInterval.tolerance)
    expectClose(upper, vector.bounds[1], vectors.differenceInterval.tolerance)
  })

  it.each(vectors.sampleRatioLogE.cases)('ratio of $counts, concentration $concentration', (vector) => {
    const logE = sampleRatioLogE(vector.counts, vector.weights, vector.concentration)
    expectClose(logE, vector.logE, vectors.sampleRatioLogE.tolerance)
    expectClose(sampleRatioP(logE), vector.p, vectors.sampleRatioLogE.tolerance)
  })
})

interface Vector {
  readonly id: string
  readonly method: string
  // biome-ignore lint/suspicious/noExplicitAny: every method has its own inputs and outputs.
  readonly inputs: any
  // biome-ignore lint/suspicious/noExplicitAny: see above.
  readonly outputs: any
  readonly tolerance: number
  readonly tolerance_kind: string
}

describeWith(shared, 'all reference values', () => {
  it.each([
    ['lgamma', 6],
    ['beta_binomial_cs', 43],
    ['beta_binomial_log_e', 15],
    ['tlg_block_e_process', 21],
    ['tlg_diff_cs', 7],
    ['srm_sequential_log_e', 15],
  ])('%s: all %i', (method, count) => {
    const file = readFileSync(shared.path('stats', 'vectors.json'), 'utf8')
    const all: Vector[] = JSON.parse(file).vectors.filter((vector: Vector) => vector.method === method)
    expect(all).toHaveLength(count)
    for (const { id, inputs, outputs, tolerance, tolerance_kind } of all) {
      const actual = ours(method, inputs)
      for (const [name, value] of Object.entries(actual)) {
        expect(outputs, id).toHaveProperty(name)
        if (typeof value === 'number') expectClose(value, outputs[name], tolerance, tolerance_kind)
        else expect(value, id).toEqual(outputs[name])
      }
    }
  })
})

/** What we make of a vector's inputs, under the names of its outputs. */
function ours(method: string, inputs: Vector['inputs']): Record<string, unknown> {
  const { k, n, a, b, alpha } = inputs
  switch (method) {
    case 'lgamma':
      return { value: logGamma(inputs.x) }
    case 'beta_binomial_cs':
      return { ...betaBinomialInterval(k, n, alpha, a, b) }
    case 'beta_binomial_log_e': {
      const logE = betaBinomialLogE(k, n, inputs.p0, a, b)
      return { log_e: logE, e: Math.exp(logE) }
    }
    case 'tlg_block_e_process': {
      const process = replay(inputs)
      const first = process.blocks.slice(0, 3)
      return {
        n_blocks: process.blockCount,
        log_e_two: process.logETwoSided,
        log_e_better: process.logEBetter,
        log_e_worse: process.logEWorse,
        max_log_e_two: process.maxLogETwoSided,
        p_anytime_two: process.pTwoSided,
        first_blocks_mA_sA_mB_sB: first.map(({ control, treatment }) => [
          control.total,
          control.positives,
          treatment.total,
          treatment.positives,
        ]),
      }
    }
    case 'tlg_diff_cs':
      return { ...differenceInterval(replay(inputs).blocks, alpha, { a, b }) }
    case 'srm_sequential_log_e': {
      const logE = sampleRatioLogE(inputs.counts, inputs.rho, inputs.concentration)
      return { log_e: logE, e: Math.exp(logE), p_single_look: sampleRatioP(logE) }
    }
    default:
      throw new Error(`no such method: ${method}`)
  }
}

function replay({ arms, y, a, b, min_block: minBlock }: Vector['inputs']): BlockEProcess {
  const process = new BlockEProcess({ minBlock, a, b })
  for (const [index, arm] of [...(arms as string)].entries())
    process.add(arm === 'A' ? 'control' : 'treatment', y[index] === '1')
  return process
}
