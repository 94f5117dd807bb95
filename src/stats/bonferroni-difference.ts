/**
 * Difference of rates from the two arms' own confidence sequences. Not used in the product: it is half as sharp as
 * `difference.ts`. It needs nothing of how verdicts of one arm lie among the other's, so it is there so that reports can
 * show bounds where only counts are left, and to test why it was rejected elsewhere.
 */
import { betaBinomialInterval } from './beta-binomial.ts'
import type { Counts, Interval } from './counts.ts'

/**
 * Treatment minus control: both arms' beta-binomial sequences at alpha/2, subtracted end from opposite end.
 * @param alpha chance of ever missing the difference, two-sided.
 * @param a with `b`, the Beta distribution mixed over in each arm.
 * @returns differences from -1 to 1; all of them without verdicts.
 * @throws RangeError when an arm holds no counts, alpha is not between 0 and 1, or a or b is no parameter of a prior.
 */
export function bonferroniDifference(
  control: Counts,
  treatment: Counts,
  alpha = 0.05,
  a = 0.5,
  b = 0.5,
): Interval {
  const of = ({ positives, total }: Counts) => betaBinomialInterval(positives, total, alpha / 2, a, b)
  const [first, second] = [of(control), of(treatment)]
  return { lower: second.lower - first.upper, upper: second.upper - first.lower }
}
