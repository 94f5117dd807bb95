/**
 * The chance that the treatment's rate is above the control's, given Beta posteriors. Not used in the product: acted on
 * at any look it has no error rate, and a bandit fed by it biases the arms' means. It is there so that reports can show
 * it and to test why it was rejected.
 */
import { logBeta } from './special/log-gamma.ts'

/** Beta posterior of a rate: prior parameters plus positives, and plus negatives. */
export interface BetaPosterior {
  readonly a: number
  readonly b: number
}

/** More terms than this take seconds. */
const MAX_TERMS = 10_000_000

/**
 * P(p_B > p_A) = Σ_{i<a_B} B(a_A+i, b_A+b_B) / ((b_B+i) B(1+i, b_B) B(a_A, b_A)): Miller 2014, "Formulas for Bayesian
 * A/B testing". The arms are taken to be independent, their rates constant.
 * @throws RangeError when the treatment's `a` is not a whole number from 1 to 1e7, or another parameter not above 0.
 */
export function chanceTreatmentHigher(control: BetaPosterior, treatment: BetaPosterior): number {
  if (!Number.isSafeInteger(treatment.a) || treatment.a < 1 || treatment.a > MAX_TERMS)
    throw new RangeError(
      `the treatment's a must be a whole number from 1 to ${MAX_TERMS}, got ${treatment.a}`,
    )
  const { a, b } = control
  // The first term, and each next from the one before: term(i+1) / term(i).
  let logTerm = logBeta(a, b + treatment.b) - logBeta(a, b)
  let sum = 0
  for (let i = 0; i < treatment.a; i++) {
    sum += Math.exp(logTerm)
    logTerm += Math.log(((a + i) * (treatment.b + i)) / ((a + b + treatment.b + i) * (i + 1)))
  }
  return Math.min(1, sum)
}
