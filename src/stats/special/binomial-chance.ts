/** The chance of so many positives. Called within `stats/`. */
import { deviance, stirlingError } from './log-gamma.ts'

/**
 * ln of the chance of k positives among n at rate p. Loader 2000, "Fast and accurate computation of binomial
 * probabilities": no large terms that cancel, so n may be billions.
 * @param k a whole number from 0 to n.
 * @param p between 0 and 1, ends excluded.
 */
export function logBinomialChance(k: number, n: number, p: number): number {
  if (k === 0) return n * Math.log1p(-p)
  if (k === n) return n * Math.log(p)
  const stirling = stirlingError(n) - stirlingError(k) - stirlingError(n - k)
  const root = 0.5 * Math.log(n / (2 * Math.PI * k * (n - k)))
  return stirling + root - deviance(k, n * p) - deviance(n - k, n * (1 - p))
}
