/**
 * How many verdicts an experiment needs to tell two rates apart: at one look, and looked at all the time. Called by
 * `ballast plan`.
 */
import { requireAlpha } from './preconditions.ts'
import { SEQUENTIAL_CAP, sampleSize } from './sample-size.ts'

/**
 * Of 2,000 simulated runs of 5% against 2% (`npm run simulate`, `docs/statistics.md`) half had ended at 0.98 times the size
 * of one look of power 0.8, and 84% within 1.8 times that.
 */
const MEDIAN_OVER_FIXED = 1148 / 1176
const SIMULATED_POWER = 0.8

export interface PlanArm {
  readonly arm: string
  /** Verdicts come to it in proportion to this, above 0: its weight times its sampling probability. */
  readonly weight: number
}

export interface ArmNeeds {
  readonly arm: string
  /** Verdicts for a test of one look. */
  readonly fixed: number
  /** By when about half of sequential runs end, whatever power is asked for. */
  readonly typical: number
  /** Where a sequential run ends without an answer. */
  readonly cap: number
}

/**
 * Each treatment is compared with the control; the smallest one decides how long all take. With weights f and g of the two,
 * variance is that of n each where 2/n = 1/(fN) + 1/(gN). With several treatments alpha is divided among them, as Holm's
 * first step does.
 * @param control at the rate `from`. @param treatments at the rate `to`, one at least.
 * @param power of the test of one look.
 * @returns verdicts of each arm, whole numbers, in the order control, treatments.
 * @throws RangeError when a rate, power, alpha or weight is out of its range, or the rates are the same.
 */
export function planSize(
  control: PlanArm,
  treatments: readonly PlanArm[],
  rates: { readonly from: number; readonly to: number },
  { alpha, power }: { readonly alpha: number; readonly power: number },
): ArmNeeds[] {
  requireAlpha(alpha)
  const arms = [control, ...treatments]
  for (const { arm, weight } of arms)
    if (!(weight > 0 && weight < Infinity))
      throw new RangeError(`the weight of ${arm} must be above 0, got ${weight}`)
  if (treatments.length === 0) throw new RangeError('there is no treatment to compare with the control')
  const smallest = Math.min(...treatments.map(({ weight }) => weight))
  /** Verdicts for a weight of 1: n/2 (1/f + 1/g). */
  const perWeight = (power: number) =>
    (sampleSize(rates.from, rates.to, power, alpha / treatments.length).pooled / 2) *
    (1 / control.weight + 1 / smallest)
  const [fixed, simulated] = [perWeight(power), perWeight(SIMULATED_POWER)]
  return arms.map(({ arm, weight }) => ({
    arm,
    fixed: Math.ceil(fixed * weight),
    typical: Math.ceil(simulated * weight * MEDIAN_OVER_FIXED),
    cap: Math.ceil(fixed * weight * SEQUENTIAL_CAP),
  }))
}
