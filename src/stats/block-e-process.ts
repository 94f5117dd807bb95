/**
 * Is the treatment better, or worse, than the control? Evidence that may be looked at after every verdict, and acted
 * on once it reaches 1/alpha. Called by `report.ts`.
 *
 * Turner, Ly and Grünwald 2024, "Generic e-variables for exact sequential k-sample tests that allow for optional
 * stopping", J. Stat. Plan. Inference 230.
 *
 * Valid only if verdicts enter in the order of their requests and are waited for equally long in both arms, blocks
 * form whatever the outcomes, and the arms' weights stay the same within a block.
 */
import { requireCounts, requirePrior, weighed } from './special.ts'

export type Side = 'control' | 'treatment'

/** Verdicts of one arm; `total` counts positives and negatives. */
export interface Counts {
  readonly positives: number
  readonly total: number
}

/** Verdicts that entered the process together. */
export type Block = Readonly<Record<Side, Counts>>

/** Beta distribution that each arm's rate starts from. */
export interface Prior {
  readonly a: number
  readonly b: number
}

export interface BlockEProcessOptions extends Partial<Prior> {
  /** Verdicts an arm must have pending before a block is made of both arms' pending ones; default 5. */
  readonly minBlock?: number
}

/** The rates expected of a block's arms: posterior means given the blocks before it. */
export type PlugIns = Readonly<Record<Side, number>>

/**
 * For each block what the blocks before it let expect: (positives + a) / (total + a + b), per arm.
 * @throws RangeError when a block holds no counts, lacks an arm's verdicts, or a or b is not above 0.
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

export class BlockEProcess {
  private readonly minBlock: number
  private readonly a: number
  private readonly b: number
  private readonly pending = { control: new Tally(), treatment: new Tally() }
  private readonly seen = { control: new Tally(), treatment: new Tally() }
  private readonly completed: Block[] = []
  private readonly better = new Evidence()
  private readonly worse = new Evidence()
  private readonly either = new Evidence()

  /**
   * @param options `minBlock` 5, `a` 1 and `b` 1 unless given.
   * @throws RangeError when minBlock is not a whole number from 1, or a or b is not above 0.
   */
  constructor({ minBlock = 5, a = 1, b = 1 }: BlockEProcessOptions = {}) {
    if (!Number.isSafeInteger(minBlock) || minBlock < 1)
      throw new RangeError(`minBlock must be a whole number from 1, got ${minBlock}`)
    requirePrior(a, b)
    this.minBlock = minBlock
    this.a = a
    this.b = b
  }

  /** Takes the next verdict in the order of the requests. It counts once its block is complete. */
  add(arm: Side, positive: boolean): void {
    const { control, treatment } = this.pending
    this.pending[arm].include({ positives: positive ? 1 : 0, total: 1 })
    if (control.total < this.minBlock || treatment.total < this.minBlock) return
    this.complete({ control: control.take(), treatment: treatment.take() })
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
    return this.completed.length
  }

  /** Completed blocks, oldest first; verdicts still pending are in none. For `differenceInterval`. */
  get blocks(): readonly Block[] {
    return this.completed
  }

  private complete(block: Block): void {
    const control = this.seen.control.mean(this.a, this.b)
    const treatment = this.seen.treatment.mean(this.a, this.b)
    if (treatment !== control) {
      const gain = logLikelihoodRatio(block, control, treatment)
      const direction = treatment < control ? this.better : this.worse
      direction.add(gain)
      this.either.add(gain)
    }
    this.seen.control.include(block.control)
    this.seen.treatment.include(block.treatment)
    this.completed.push(block)
  }
}

/**
 * Two rates against one: sum over the arms of s ln(p/p0) + (m-s) ln((1-p)/(1-p0)), where p0 = Σmp/Σm is the common
 * rate closest to the two in Kullback-Leibler divergence.
 */
function logLikelihoodRatio(block: Block, control: number, treatment: number): number {
  const expected = block.control.total * control + block.treatment.total * treatment
  const common = expected / (block.control.total + block.treatment.total)
  const ofArm = ({ positives, total }: Counts, rate: number) =>
    weighed(positives, Math.log(rate / common)) +
    weighed(total - positives, Math.log((1 - rate) / (1 - common)))
  return ofArm(block.control, control) + ofArm(block.treatment, treatment)
}

class Evidence {
  logE = 0
  max = 0

  add(gain: number): void {
    this.logE += gain
    this.max = Math.max(this.max, this.logE)
  }
}

class Tally {
  positives = 0
  total = 0

  include({ positives, total }: Counts): void {
    this.positives += positives
    this.total += total
  }

  take(): Counts {
    const taken = { positives: this.positives, total: this.total }
    this.positives = 0
    this.total = 0
    return taken
  }

  mean(a: number, b: number): number {
    return (this.positives + a) / (this.total + a + b)
  }
}
