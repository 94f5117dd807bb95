/**
 * Every treatment arm of an experiment against its control, verdict by verdict: evidence, difference, decision. Called by
 * `report.ts`; the state is what a process that follows an experiment keeps.
 *
 * An update costs the same at the first verdict and the millionth, and nothing is reread. States cannot be merged: one
 * process has to see the verdicts of an experiment and check, in the order of the requests (`evidence.ts`).
 */
import { z } from 'zod'
import type { Decision } from '../domain/report.ts'
import { BlockEProcess, blockEProcessSchema } from './block-e-process.ts'
import { type Block, BlockBuilder, blockBuilderSchema, type Side } from './blocks.ts'
import { type Counts, countVerdict, type Interval, NO_COUNTS } from './counts.ts'
import { differenceInterval } from './difference.ts'
import { holm } from './multiple-testing.ts'
import { requireAlpha } from './preconditions.ts'
import { countsSchema, readState } from './state.ts'

/**
 * Blocks for the difference's bounds grow with the verdicts so that they stay few: about 490 at a million verdicts instead
 * of 80,000. Up to 320 verdicts an arm they are the evidence's own blocks of 5; beyond, the bounds were within 4% as wide
 * as those from blocks of 5 (`docs/statistics.md`).
 */
const DIFFERENCE_GROWTH = 1 / 64

/** Positives and verdicts of the control, then of the treatment. */
const blockTuple = z
  .tuple([z.int(), z.int().min(1), z.int(), z.int().min(1)])
  .refine(([sA, mA, sB, mB]) => sA >= 0 && sA <= mA && sB >= 0 && sB <= mB, 'more positives than verdicts')
const comparisonSchema = z.strictObject({
  version: z.literal(1),
  evidence: blockEProcessSchema,
  builder: blockBuilderSchema,
  blocks: z.array(blockTuple),
})
/** A comparison as plain JSON. */
export type ArmComparisonState = z.infer<typeof comparisonSchema>
const stateSchema = z.strictObject({
  version: z.literal(1),
  control: z.strictObject({ arm: z.string(), counts: countsSchema }),
  treatments: z.array(
    z.strictObject({ arm: z.string(), counts: countsSchema, comparison: comparisonSchema }),
  ),
})
/** All comparisons of an experiment as plain JSON. */
export type ArmComparisonsState = z.infer<typeof stateSchema>

/** One treatment against the control. */
export class ArmComparison {
  readonly evidence: BlockEProcess
  private readonly builder: BlockBuilder
  private readonly blocks: Block[]

  constructor(state?: ArmComparisonState) {
    this.evidence = state === undefined ? new BlockEProcess() : BlockEProcess.restore(state.evidence)
    this.builder = new BlockBuilder(state?.builder ?? { growth: DIFFERENCE_GROWTH }, state?.builder)
    this.blocks = (state?.blocks ?? []).map(([sA, mA, sB, mB]) => ({
      control: { positives: sA, total: mA },
      treatment: { positives: sB, total: mB },
    }))
  }

  /** @throws RangeError when `state` is none, or of another version. */
  static restore(state: unknown): ArmComparison {
    return new ArmComparison(readState(comparisonSchema, state, 'a comparison of arms'))
  }

  serialise(): ArmComparisonState {
    return {
      version: 1,
      evidence: this.evidence.serialise(),
      builder: this.builder.serialise(),
      blocks: this.blocks.map(({ control, treatment }) => [
        control.positives,
        control.total,
        treatment.positives,
        treatment.total,
      ]),
    }
  }

  /** Takes the next verdict in the order of the requests. */
  add(side: Side, positive: boolean): void {
    this.evidence.add(side, positive)
    this.keep(this.builder.add(side, positive))
  }

  /** To be called before the arms' weights change: within a block they must be the same. */
  cut(): void {
    this.evidence.cut()
    this.keep(this.builder.cut())
  }

  /**
   * Bounds of the difference, treatment minus control, from blocks that grow by a 64th of the verdicts so far.
   * @param alpha chance of ever missing the difference, two-sided.
   * @throws RangeError when alpha is not between 0 and 1.
   */
  differenceInterval(alpha = 0.05): Interval {
    return differenceInterval(this.blocks, alpha)
  }

  private keep(block: Block | undefined): void {
    if (block === undefined) return
    this.builder.include(block)
    this.blocks.push(block)
  }
}

/** What is known of one treatment; `adjusted` p-values are Holm's over the treatments. */
export interface ArmResult {
  readonly arm: string
  readonly counts: Counts
  /** Treatment's rate minus control's; null while one of them has no verdicts. */
  readonly difference: Interval & { readonly estimate: number | null }
  readonly logEBetter: number
  readonly logEWorse: number
  readonly adjustedPBetter: number
  readonly adjustedPWorse: number
  readonly decision: Decision
}

/** Holm's p-values of a treatment, over all of them. */
export interface AdjustedP {
  readonly arm: string
  readonly better: number
  readonly worse: number
}

/** Several treatments against one control, whose every verdict enters the comparison with each. */
export class ArmComparisons {
  private readonly control: { arm: string; counts: Counts }
  private readonly treatments: Map<string, { counts: Counts; readonly comparison: ArmComparison }>

  /** @throws RangeError when an arm is named twice. */
  constructor(control: string, treatments: readonly string[]) {
    if (new Set([control, ...treatments]).size !== treatments.length + 1)
      throw new RangeError(`an arm is named twice among ${[control, ...treatments].join(', ')}`)
    this.control = { arm: control, counts: NO_COUNTS }
    this.treatments = new Map(
      treatments.map((arm) => [arm, { counts: NO_COUNTS, comparison: new ArmComparison() }]),
    )
  }

  /** Verdicts taken so far, by arm. */
  get counts(): ReadonlyMap<string, Counts> {
    const treatments = [...this.treatments].map(([arm, { counts }]) => [arm, counts] as const)
    return new Map([[this.control.arm, this.control.counts], ...treatments])
  }

  /**
   * Continues where `serialise` left off, to the last bit.
   * @throws RangeError when `state` is none, or of another version.
   */
  static restore(state: unknown): ArmComparisons {
    const { control, treatments } = readState(stateSchema, state, 'the comparisons of an experiment')
    const names = treatments.map(({ arm }) => arm)
    const restored = new ArmComparisons(control.arm, names)
    restored.control.counts = control.counts
    for (const { arm, counts, comparison } of treatments)
      restored.treatments.set(arm, { counts, comparison: new ArmComparison(comparison) })
    return restored
  }

  serialise(): ArmComparisonsState {
    return {
      version: 1,
      control: { ...this.control },
      treatments: [...this.treatments].map(([arm, { counts, comparison }]) => ({
        arm,
        counts,
        comparison: comparison.serialise(),
      })),
    }
  }

  /**
   * Takes the next verdict in the order of the requests; at most one per unit and question, which the caller sees to.
   * @throws RangeError for an arm that is none of them.
   */
  add(arm: string, positive: boolean): void {
    if (arm === this.control.arm) {
      this.control.counts = countVerdict(this.control.counts, positive)
      for (const { comparison } of this.treatments.values()) comparison.add('control', positive)
      return
    }
    const treatment = this.treatments.get(arm)
    if (treatment === undefined) throw new RangeError(`"${arm}" is no arm of this experiment`)
    treatment.counts = countVerdict(treatment.counts, positive)
    treatment.comparison.add('treatment', positive)
  }

  /** To be called before the arms' weights change. */
  cut(): void {
    for (const { comparison } of this.treatments.values()) comparison.cut()
  }

  get controlCounts(): Counts {
    return this.control.counts
  }

  /** Anytime p-values, 1 / max E, adjusted by Holm's method; in the order the treatments were given. */
  adjusted(): AdjustedP[] {
    const all = [...this.treatments]
    const better = holm(all.map(([, { comparison }]) => comparison.evidence.pBetter))
    const worse = holm(all.map(([, { comparison }]) => comparison.evidence.pWorse))
    return all.map(([arm], index) => ({ arm, better: better[index]!, worse: worse[index]! }))
  }

  /**
   * What is known of every treatment, in the order given. "Worse" and "better" are each decided by Holm's method on the
   * anytime p-values, 1 / max E: of each of the two a false one occurs, in any arm and at any look, with probability
   * alpha at most. What is once decided stays so.
   * @param alpha also the chance that an arm's bounds of the difference ever miss it.
   * @throws RangeError when alpha is not between 0 and 1.
   */
  results(alpha = 0.05): ArmResult[] {
    requireAlpha(alpha)
    const adjusted = this.adjusted()
    return [...this.treatments].map(([arm, { counts, comparison }], index): ArmResult => {
      const { better: pBetter, worse: pWorse } = adjusted[index]!
      return {
        arm,
        counts,
        difference: {
          estimate: differenceOf(this.control.counts, counts),
          ...comparison.differenceInterval(alpha),
        },
        logEBetter: comparison.evidence.logEBetter,
        logEWorse: comparison.evidence.logEWorse,
        adjustedPBetter: pBetter,
        adjustedPWorse: pWorse,
        decision: pWorse <= alpha ? 'worse' : pBetter <= alpha ? 'better' : 'undecided',
      }
    })
  }
}

function differenceOf(control: Counts, treatment: Counts): number | null {
  if (control.total === 0 || treatment.total === 0) return null
  return treatment.positives / treatment.total - control.positives / control.total
}
