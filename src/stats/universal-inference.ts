/**
 * Do two rates differ? Universal inference: Wasserman, Ramdas and Balakrishnan 2020, PNAS 117. Not used for decisions: it
 * is much weaker than the block e-process, and drift that both arms share looks like a difference to it. It is there to
 * test why it was rejected.
 *
 * Verdicts are taken to be independent, with one constant rate in each arm.
 */
import type { Counts } from './counts.ts'
import { requireCounts, requirePrior } from './preconditions.ts'
import { weighed } from './special/bisect.ts'
import { logBeta } from './special/log-gamma.ts'

/**
 * ln E of "the rates differ", two-sided, acted on at ln(1/alpha): each arm's Beta mixture over the likelihood at the
 * pooled rate p = k/n, Σ [ln B(a+k_j, b+n_j-k_j) - ln B(a, b)] - k ln p - (n-k) ln(1-p).
 * @returns 0 without verdicts. The p-value is min(1, exp(-ln E)).
 * @throws RangeError when an arm holds no counts or a or b is no parameter of a prior.
 */
export function universalInferenceLogE(control: Counts, treatment: Counts, a = 0.5, b = 0.5): number {
  requirePrior(a, b)
  const mixture = ({ positives, total }: Counts) => {
    requireCounts(positives, total)
    return logBeta(a + positives, b + total - positives) - logBeta(a, b)
  }
  const k = control.positives + treatment.positives
  const n = control.total + treatment.total
  return (
    mixture(control) +
    mixture(treatment) -
    weighed(k, Math.log(k / n)) -
    weighed(n - k, Math.log((n - k) / n))
  )
}
