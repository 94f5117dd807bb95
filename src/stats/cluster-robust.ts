/**
 * A rate from several verdicts per unit, whose verdicts are alike. Not used for decisions, which count at most one
 * verdict per unit and question; it is there so that finished reports can show how far verdicts of a unit agree.
 *
 * Ratio of sums with the delta method: Liang and Zeger 1986 (Biometrika 73); Deng, Knoblich and Lu 2018, "Applying the
 * delta method in metric analytics", KDD. Units are taken to be independent, and many.
 */
import type { Counts, Interval } from './counts.ts'
import { requireAlpha, requireCounts } from './preconditions.ts'
import { twoSidedZ } from './special/normal-quantile.ts'

export interface ClusterRobustRate {
  readonly estimate: number
  /** sqrt(Σ (s - p m)²) / Σm. */
  readonly standardErrorCr0: number
  /** The same times sqrt(G / (G-1)) for G units. The one to use. */
  readonly standardError: number
  /** sqrt(p (1-p) / Σm): as if verdicts were independent. */
  readonly standardErrorIndependent: number
  /** (standardError / standardErrorIndependent)²; null where the latter is 0. */
  readonly designEffect: number | null
  /** estimate ± z standardError, two-sided; may leave 0 to 1. */
  readonly interval: Interval
}

/**
 * @param units the verdicts of each unit.
 * @param alpha chance of missing the rate at one look, two-sided.
 * @returns null with fewer than two units, or without verdicts.
 * @throws RangeError when a unit holds no counts or alpha is not between 0 and 1.
 */
export function clusterRobustRate(units: readonly Counts[], alpha = 0.05): ClusterRobustRate | null {
  requireAlpha(alpha)
  let [positives, total] = [0, 0]
  for (const unit of units) {
    requireCounts(unit.positives, unit.total)
    positives += unit.positives
    total += unit.total
  }
  if (units.length < 2 || total === 0) return null
  const estimate = positives / total
  const squares = units.reduce((sum, unit) => sum + (unit.positives - estimate * unit.total) ** 2, 0)
  const standardErrorCr0 = Math.sqrt(squares) / total
  const standardError = standardErrorCr0 * Math.sqrt(units.length / (units.length - 1))
  const standardErrorIndependent = Math.sqrt((estimate * (1 - estimate)) / total)
  const half = twoSidedZ(alpha) * standardError
  return {
    estimate,
    standardErrorCr0,
    standardError,
    standardErrorIndependent,
    designEffect: standardErrorIndependent === 0 ? null : (standardError / standardErrorIndependent) ** 2,
    interval: { lower: estimate - half, upper: estimate + half },
  }
}
