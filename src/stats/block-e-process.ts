/**
 * Is the treatment better, or worse, than the control? Evidence that may be looked at after every verdict, and acted
 * on once it reaches 1/alpha. Called by `arm-comparisons.ts`.
 *
 * Turner, Ly and Grünwald 2024, "Generic e-variables for exact sequential k-sample tests that allow for optional
 * stopping", J. Stat. Plan. Inference 230.
 *
 * Valid only if verdicts enter in the order of their requests and are waited for equally long in both arms (see
 * `evidence.ts`), blocks form whatever the outcomes, and the arms' weights stay the same within a block.
 *
 * The state is 20 numbers, whatever the number of verdicts, and an update costs the same at the first verdict
 * and the millionth. Two states cannot be merged: what a block is bet on depends on the blocks before it.
 */
import { z } from 'zod'
import {
  type Block,
  BlockBuilder,
  type BlockOptions,
  blockBuilderSchema,
  type Prior,
  type Side,
} from './blocks.ts'
import { requirePrior } from './preconditions.ts'
import { weighed } from './special/bisect.ts'
import { readState } from './state.ts'

export interface BlockEProcessOptions extends BlockOptions, Partial<Prior> {}

const evidenceSchema = z.strictObject({ logE: z.number(), max: z.number().nonnegative() })
const stateSchema = z.strictObject({
  version: z.literal(1),
  prior: z.strictObject({ a: z.number(), b: z.number() }),
  blockCount: z.int().nonnegative(),
  builder: blockBuilderSchema,
  better: evidenceSchema,
  worse: evidenceSchema,
  either: evidenceSchema,
})

/** A process as plain JSON. */
export type BlockEProcessState = z.infer<typeof stateSchema>
export { stateSchema as blockEProcessSchema }

export class BlockEProcess {
  private readonly a: number
  private readonly b: number
  private readonly builder: BlockBuilder
  private readonly better: Evidence
  private readonly worse: Evidence
  private readonly either: Evidence
  private blocksSeen: number

  /**
   * @param options `minBlock` 5, `growth` 0, `a` 1 and `b` 1 unless given.
   * @throws RangeError when one of them is out of its range.
   */
  constructor({ a = 1, b = 1, ...options }: BlockEProcessOptions = {}, state?: BlockEProcessState) {
    requirePrior(a, b)
    this.a = a
    this.b = b
    this.builder = new BlockBuilder(options, state?.builder)
    this.better = new Evidence(state?.better)
    this.worse = new Evidence(state?.worse)
    this.either = new Evidence(state?.either)
    this.blocksSeen = state?.blockCount ?? 0
  }

  /**
   * Continues where `serialise` left off, to the last bit.
   * @throws RangeError when `state` is none, or of another version.
   */
  static restore(state: unknown): BlockEProcess {
    const read = readState(stateSchema, state, 'a block e-process')
    const { minBlock, growth } = read.builder
    return new BlockEProcess({ ...read.prior, minBlock, growth }, read)
  }

  serialise(): BlockEProcessState {
    return {
      version: 1,
      prior: { a: this.a, b: this.b },
      blockCount: this.blocksSeen,
      builder: this.builder.serialise(),
      better: this.better.serialise(),
      worse: this.worse.serialise(),
      either: this.either.serialise(),
    }
  }

  /**
   * Takes the next verdict in the order of the requests. It counts once its block is complete.
   * @returns the block it completed, if any.
   */
  add(side: Side, positive: boolean): Block | undefined {
    const block = this.builder.add(side, positive)
    if (block !== undefined) this.complete(block)
    return block
  }

  /** To be called before the arms' weights change: see `BlockBuilder.cut`. @returns the block it made, if any. */
  cut(): Block | undefined {
    const block = this.builder.cut()
    if (block !== undefined) this.complete(block)
    return block
  }

  /** ln E of "treatment has the lower rate", against the null that it has not. */
  get logEBetter(): number {
    return this.better.logE
  }

  /** ln E of "treatment has the higher rate", against the null that it has not. */
  get logEWorse(): number {
    return this.worse.logE
  }

  /** ln E of "the rates differ", against the null that they are the same: the sum of both directions. */
  get logETwoSided(): number {
    return this.either.logE
  }

  /** Largest `logEBetter` so far, 0 at the start. */
  get maxLogEBetter(): number {
    return this.better.max
  }

  /** Largest `logEWorse` so far, 0 at the start. */
  get maxLogEWorse(): number {
    return this.worse.max
  }

  /** Largest `logETwoSided` so far, 0 at the start. */
  get maxLogETwoSided(): number {
    return this.either.max
  }

  /** Anytime p-value of the null that the treatment is not better: 1 / max E (Ville 1939). */
  get pBetter(): number {
    return Math.exp(-this.better.max)
  }

  /** Anytime p-value of the null that the treatment is not worse. */
  get pWorse(): number {
    return Math.exp(-this.worse.max)
  }

  /** Anytime p-value of the null that the rates are the same. */
  get pTwoSided(): number {
    return Math.exp(-this.either.max)
  }

  get blockCount(): number {
    return this.blocksSeen
  }

  private complete(block: Block): void {
    const { a, b, builder } = this
    const { control, treatment } = builder.seen
    const [pA, pB] = [control.mean(a, b), treatment.mean(a, b)]
    if (pA !== pB) {
      const [mA, mB] = [block.control.total, block.treatment.total]
      const n = mA + mB
      // The common rate closest to the two in Kullback-Leibler divergence, and its complement.
      const p0 = (mA * pA + mB * pB) / n
      const [qA, qB] = [control.negativeMean(a, b), treatment.negativeMean(a, b)]
      const q0 = (mA * qA + mB * qB) / n
      const [shiftA, shiftB] = [((pA - pB) * mB) / n, ((pB - pA) * mA) / n]
      const gain =
        weighed(block.control.positives, logRatio(pA, p0, shiftA)) +
        weighed(mA - block.control.positives, logRatio(qA, q0, -shiftA)) +
        weighed(block.treatment.positives, logRatio(pB, p0, shiftB)) +
        weighed(mB - block.treatment.positives, logRatio(qB, q0, -shiftB))
      const direction = pB < pA ? this.better : this.worse
      direction.add(gain)
      this.either.add(gain)
    }
    builder.include(block)
    this.blocksSeen++
  }
}

/** ln(value / base) with value = base + shift, without cancellation where the shift is small. */
function logRatio(value: number, base: number, shift: number): number {
  return Math.abs(shift) < base / 2 ? Math.log1p(shift / base) : Math.log(value / base)
}

class Evidence {
  logE: number
  max: number

  constructor({ logE, max }: z.infer<typeof evidenceSchema> = { logE: 0, max: 0 }) {
    this.logE = logE
    this.max = max
  }

  add(gain: number): void {
    this.logE += gain
    if (this.logE > this.max) this.max = this.logE
  }

  serialise(): z.infer<typeof evidenceSchema> {
    return { logE: this.logE, max: this.max }
  }
}
