/**
 * Do positives fall on the arms as units do? Lindon and Malek 2022, "Anytime-valid inference for multinomial count data",
 * NeurIPS 35. Not used for decisions: it needs the share of verdicts, not of requests, that the treatment gets, and a
 * judge that excludes more of one arm's answers breaks it. It is there to test why it was rejected.
 *
 * Arrivals are taken to share any drift; the treatment's share of verdicts is known and constant.
 */
import { requireCounts, requireInnerRate, requirePrior } from './preconditions.ts'
import { weighed } from './special/bisect.ts'
import { logBeta } from './special/log-gamma.ts'

/**
 * ln E of "the rates differ", two-sided, acted on at ln(1/alpha): ln B(a+k_A, b+k_B) - ln B(a, b) - k_A ln ρ_A - k_B ln ρ_B.
 * @param control positives of the control.
 * @param treatment positives of the treatment.
 * @param share the treatment's share of the verdicts, ρ_B, between 0 and 1.
 * @param a of the control, with `b` of the treatment: the Beta distribution mixed over.
 * @throws RangeError when one of them is out of its range.
 */
export function positivesOnlyLogE(control: number, treatment: number, share: number, a = 1, b = 1): number {
  requireCounts(control, control + treatment)
  requireCounts(treatment, control + treatment)
  requireInnerRate(share, "the treatment's share")
  requirePrior(a, b)
  return (
    logBeta(a + control, b + treatment) -
    logBeta(a, b) -
    weighed(control, Math.log1p(-share)) -
    weighed(treatment, Math.log(share))
  )
}
