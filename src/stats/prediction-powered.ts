/**
 * A mean of human labels, sharpened by a judge's verdicts on many more answers. Called by reports, from 200 labels on;
 * with fewer its normal approximation is not to be trusted, and Wilson's interval on the labels alone is used.
 *
 * Angelopoulos, Bates, Fannjiang, Jordan and Zrnic 2023, "Prediction-powered inference", Science 382; Angelopoulos, Duchi
 * and Zrnic 2023, "PPI++" (arXiv:2311.01453). Labelled answers are taken to be a random sample of all. One look.
 */
import type { Interval } from './counts.ts'
import { requireAlpha } from './preconditions.ts'
import { twoSidedZ } from './special/normal-quantile.ts'

/** Labels below which PPI++ is not used. */
export const LEAST_LABELS = 200

export interface LabelledAnswer {
  /** By a human: 0 or 1, or a score. */
  readonly label: number
  /** By the judge, on the same scale. */
  readonly judged: number
}

export interface PredictionPoweredMean {
  readonly estimate: number
  readonly standardError: number
  /** estimate ± z standardError, two-sided; may leave the range of the labels. */
  readonly interval: Interval
  /** λ: how far the judge is trusted, 0 (labels alone) to 1. */
  readonly trust: number
}

/**
 * mean(label - λ judged) over the labelled answers plus λ mean(judged) over the others; variance
 * Var(label - λ judged)/n + λ² Var(judged)/N, population variances.
 * @param labelled n answers, from 2.
 * @param unlabelled the judge's verdicts on N other answers, from 1.
 * @param trust λ; PPI++'s best one unless given, Cov(label, judged) / ((1 + n/N) Var(judged over all)) within 0 to 1,
 * whose variance divides by n + N - 1. 1 is plain PPI and 0 the classical mean: there to show beside it.
 * @param alpha chance of missing the mean, two-sided.
 * @throws RangeError with too few answers, values that are no numbers, a trust that is not from 0 to 1, or an alpha that
 * is not between 0 and 1.
 */
export function predictionPoweredMean(
  labelled: readonly LabelledAnswer[],
  unlabelled: readonly number[],
  { trust, alpha = 0.05 }: { readonly trust?: number; readonly alpha?: number } = {},
): PredictionPoweredMean {
  requireAlpha(alpha)
  const [n, others] = [labelled.length, unlabelled.length]
  if (n < 2 || others < 1)
    throw new RangeError(
      `a prediction-powered mean needs 2 labelled answers and 1 other, got ${n} and ${others}`,
    )
  const [labels, judged] = [labelled.map(({ label }) => label), labelled.map((answer) => answer.judged)]
  if (![...labels, ...judged, ...unlabelled].every(Number.isFinite))
    throw new RangeError('labels and verdicts must be finite numbers')
  const lambda = trust ?? bestTrust(labels, judged, unlabelled)
  if (!(lambda >= 0 && lambda <= 1)) throw new RangeError(`trust must be from 0 to 1, got ${lambda}`)
  const errors = labels.map((label, index) => label - lambda * judged[index]!)
  const estimate = mean(errors) + lambda * mean(unlabelled)
  const standardError = Math.sqrt(
    covariance(errors, errors) / n + (lambda ** 2 * covariance(unlabelled, unlabelled)) / others,
  )
  const half = twoSidedZ(alpha) * standardError
  return {
    estimate,
    standardError,
    interval: { lower: estimate - half, upper: estimate + half },
    trust: lambda,
  }
}

function bestTrust(labels: readonly number[], judged: readonly number[], others: readonly number[]): number {
  const all = [...judged, ...others]
  const variance = (covariance(all, all) * all.length) / (all.length - 1)
  if (variance === 0) return 0
  const best = covariance(labels, judged) / ((1 + labels.length / others.length) * variance)
  return Math.min(1, Math.max(0, best))
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** Over all values, not one less: it is divided by their number. */
function covariance(xs: readonly number[], ys: readonly number[]): number {
  const [meanX, meanY] = [mean(xs), mean(ys)]
  return xs.reduce((sum, x, index) => sum + (x - meanX) * (ys[index]! - meanY), 0) / xs.length
}
