/**
 * Blocks of verdicts: what enters a block e-process together. Called by `block-e-process.ts`, `difference.ts` and
 * `arm-comparisons.ts`.
 *
 * Turner, Ly and Grünwald 2024 (see `block-e-process.ts`). When a block is complete must not depend on outcomes; here
 * it depends on the numbers of verdicts alone.
 */
import { z } from 'zod'
import type { Counts } from './counts.ts'
import { requireCounts, requirePrior } from './preconditions.ts'
import { countsSchema } from './state.ts'

export type Side = 'control' | 'treatment'

/** Verdicts that entered the process together. */
export type Block = Readonly<Record<Side, Counts>>

/** Beta distribution that each arm's rate starts from. */
export interface Prior {
  readonly a: number
  readonly b: number
}

export interface BlockOptions {
  /** Verdicts an arm must have pending before a block is made of both arms' pending ones; default 5. */
  readonly minBlock?: number
  /**
   * From how many times the arm's verdicts so far on; default 0. Above 0 the number of blocks grows with the logarithm
   * of the number of verdicts instead of with the number.
   */
  readonly growth?: number
}

/** The rates expected of a block's arms: posterior means given the blocks before it. */
export type PlugIns = Readonly<Record<Side, number>>

export const blockSchema = z.strictObject({ control: countsSchema, treatment: countsSchema })

/** Serialised `BlockBuilder`: two pairs of counts, however many verdicts are pending. */
export const blockBuilderSchema = z.strictObject({
  minBlock: z.int().min(1),
  growth: z.number().min(0).max(1),
  pending: blockSchema,
  seen: blockSchema,
})
export type BlockBuilderState = z.infer<typeof blockBuilderSchema>

/** Gathers verdicts until both arms have enough for a block. */
export class BlockBuilder {
  readonly seen: Readonly<Record<Side, Tally>>
  private readonly pending: Readonly<Record<Side, Tally>>
  private readonly minBlock: number
  private readonly growth: number

  /** @throws RangeError when minBlock is not a whole number from 1 or growth is not from 0 to 1. */
  constructor({ minBlock = 5, growth = 0 }: BlockOptions = {}, state?: BlockBuilderState) {
    if (!Number.isSafeInteger(minBlock) || minBlock < 1)
      throw new RangeError(`minBlock must be a whole number from 1, got ${minBlock}`)
    if (!(growth >= 0 && growth <= 1)) throw new RangeError(`growth must be from 0 to 1, got ${growth}`)
    this.minBlock = minBlock
    this.growth = growth
    this.pending = {
      control: new Tally(state?.pending.control),
      treatment: new Tally(state?.pending.treatment),
    }
    this.seen = { control: new Tally(state?.seen.control), treatment: new Tally(state?.seen.treatment) }
  }

  /** Takes the next verdict in the order of the requests. @returns the block it completes, if it completes one. */
  add(side: Side, positive: boolean): Block | undefined {
    this.pending[side].add(positive)
    return this.isReady('control') && this.isReady('treatment') ? this.take() : undefined
  }

  /**
   * Ends the block before the arms' weights change, because within a block they must be the same.
   * @returns the block of what is pending; undefined when an arm has nothing pending, and then what the other arm has
   * is left out, which is harmless because outcomes do not decide about it.
   */
  cut(): Block | undefined {
    if (this.pending.control.total > 0 && this.pending.treatment.total > 0) return this.take()
    this.pending.control.clear()
    this.pending.treatment.clear()
    return undefined
  }

  /** Counts a returned block among those seen; apart from `add` so that a rate can be expected of it before. */
  include(block: Block): void {
    this.seen.control.include(block.control)
    this.seen.treatment.include(block.treatment)
  }

  serialise(): BlockBuilderState {
    const both = ({ control, treatment }: Readonly<Record<Side, Tally>>) => ({
      control: control.counts(),
      treatment: treatment.counts(),
    })
    return {
      minBlock: this.minBlock,
      growth: this.growth,
      pending: both(this.pending),
      seen: both(this.seen),
    }
  }

  private isReady(side: Side): boolean {
    return this.pending[side].total >= Math.max(this.minBlock, this.growth * this.seen[side].total)
  }

  private take(): Block {
    const { control, treatment } = this.pending
    const block = { control: control.counts(), treatment: treatment.counts() }
    control.clear()
    treatment.clear()
    return block
  }
}

/**
 * For each block what the blocks before it let expect: (positives + a) / (total + a + b), per arm.
 * @throws RangeError when a block holds no counts, lacks an arm's verdicts, or a or b is no parameter of a prior.
 */
export function plugInRates(blocks: readonly Block[], { a, b }: Prior): PlugIns[] {
  requirePrior(a, b)
  const seen = { control: new Tally(), treatment: new Tally() }
  return blocks.map((block) => {
    const rates = { control: seen.control.mean(a, b), treatment: seen.treatment.mean(a, b) }
    for (const side of ['control', 'treatment'] as const) {
      const { positives, total } = block[side]
      requireCounts(positives, total)
      if (total === 0) throw new RangeError(`a block without verdicts of the ${side}`)
      seen[side].include(block[side])
    }
    return rates
  })
}

/** Counts that grow in place. */
export class Tally {
  positives: number
  total: number

  constructor({ positives, total }: Counts = { positives: 0, total: 0 }) {
    this.positives = positives
    this.total = total
  }

  add(positive: boolean): void {
    if (positive) this.positives++
    this.total++
  }

  include({ positives, total }: Counts): void {
    this.positives += positives
    this.total += total
  }

  clear(): void {
    this.positives = 0
    this.total = 0
  }

  counts(): Counts {
    return { positives: this.positives, total: this.total }
  }

  /** Posterior mean of the rate. */
  mean(a: number, b: number): number {
    return (this.positives + a) / (this.total + a + b)
  }

  /** 1 - `mean`, without rounding where the rate is near 1. */
  negativeMean(a: number, b: number): number {
    return (this.total - this.positives + b) / (this.total + a + b)
  }
}
