/**
 * How much the treatment's rate differs from the control's, with bounds that hold however often they are looked at.
 * Called by `arm-comparisons.ts`.
 *
 * Turner and Grünwald 2023, "Exact anytime-valid confidence intervals for contingency tables and beyond", Stat. Prob.
 * Letters 198: the block e-process with "the rates differ by delta" in place of "the rates are the same".
 */
import { type Block, type Prior, plugInRates } from './blocks.ts'
import type { Interval } from './counts.ts'
import { requireAlpha } from './preconditions.ts'
import { bisect, weighed } from './special/bisect.ts'

/** Bounds are within this of the exact ones, on the outside. */
const TOLERANCE = 1e-12
/**
 * Points looked at from the outside in; the outermost accepted one is where bisection starts. What is accepted is
 * nearly always one stretch, but not under heavy drift.
 */
const GRID = 32

/** A block with the rates expected of it and their log-likelihood, to be compared with that of null rates. */
interface Term {
  readonly m: Pair
  readonly s: Pair
  readonly p: Pair
  readonly logLikelihood: number
}

/** Control and treatment, or mirrored treatment and control. */
type Pair = readonly [number, number]

/** Evidence about a difference of rates, treatment minus control: natural logarithms. */
export interface DifferenceLogE {
  /** Of "it is below delta", against the null that it is delta or more. */
  readonly below: number
  /** Of "it is above delta", against the null that it is delta or less. */
  readonly above: number
}

/**
 * The evidence that `differenceInterval` is made of, at one difference.
 * @param blocks oldest first, as `BlockEProcess.add` returns them.
 * @param delta between -1 and 1.
 * @throws RangeError as `differenceInterval`, and for a delta out of its range.
 */
export function differenceLogE(
  blocks: readonly Block[],
  delta: number,
  prior: Prior = { a: 1, b: 1 },
): DifferenceLogE {
  if (!(delta > -1 && delta < 1)) throw new RangeError(`a difference must lie between -1 and 1, got ${delta}`)
  const terms = termsOf(blocks, prior)
  return { below: logEBelow(terms, delta), above: logEBelow(terms.map(mirror), -delta) }
}

/**
 * Every difference, treatment minus control, that neither direction's process rejects at alpha / 2. With probability
 * 1 - alpha the true difference is inside at all times at once.
 *
 * The upper end is the largest d at which ln E("the difference is below d") < ln(2/alpha), the lower end its mirror.
 * @param blocks oldest first, as `BlockEProcess.add` returns them.
 * @param alpha chance of ever missing the difference.
 * @param prior the one that each arm's rate starts from in the process.
 * @returns differences from -1 to 1; all of them without blocks, and when the difference changed so much over time
 * that no constant one is left.
 * @throws RangeError when alpha is not between 0 and 1, a block holds no counts, or the prior is not above 0.
 */
export function differenceInterval(
  blocks: readonly Block[],
  alpha = 0.05,
  prior: Prior = { a: 1, b: 1 },
): Interval {
  requireAlpha(alpha)
  const terms = termsOf(blocks, prior)
  const threshold = Math.log(2 / alpha)
  const upper = upperEnd(terms, threshold)
  const lower = 0 - upperEnd(terms.map(mirror), threshold)
  return lower <= upper ? { lower, upper } : { lower: -1, upper: 1 }
}

function termsOf(blocks: readonly Block[], prior: Prior): Term[] {
  const rates = plugInRates(blocks, prior)
  return blocks.map(({ control, treatment }, index) => {
    const m: Pair = [control.total, treatment.total]
    const s: Pair = [control.positives, treatment.positives]
    const p: Pair = [rates[index]!.control, rates[index]!.treatment]
    return { m, s, p, logLikelihood: logLikelihood(m, s, p) }
  })
}

function upperEnd(terms: readonly Term[], threshold: number): number {
  const accepts = (delta: number) => logEBelow(terms, delta) < threshold
  // Here no block is bet on, so ln E = 0; the first block expects equal rates, so this is at most 0.
  const innermost = terms.reduce((least, { p }) => Math.min(least, p[1] - p[0]), 0)
  let rejected = 1
  if (accepts(rejected)) return rejected
  for (let step = 1; step < GRID; step++) {
    const point = 1 - ((1 - innermost) * step) / GRID
    if (accepts(point)) return bisect(accepts, point, rejected, TOLERANCE)
    rejected = point
  }
  return bisect(accepts, innermost, rejected, TOLERANCE)
}

/** ln E of "the difference is below delta": bets on the blocks that are expected to be below it. */
function logEBelow(terms: readonly Term[], delta: number): number {
  let sum = 0
  for (const { m, s, p, logLikelihood: expected } of terms) {
    if (p[1] - p[0] >= delta) continue
    const theta = closestRate(m, p, delta)
    sum += expected - logLikelihood(m, s, [theta, theta + delta])
  }
  return sum
}

/**
 * The rate θ whose pair (θ, θ+delta) is closest to the expected rates in Kullback-Leibler divergence. It solves
 * m_A(θ-p_A)(θ+δ)(1-θ-δ) + m_B(θ+δ-p_B)θ(1-θ) = 0, which has one root where both rates lie inside 0 to 1: negative
 * below, positive above. Newton's method, kept inside the bracket.
 */
function closestRate([mA, mB]: Pair, [pA, pB]: Pair, delta: number): number {
  let low = Math.max(0, -delta)
  let high = Math.min(1, 1 - delta)
  let theta = (mA * pA + mB * (pB - delta)) / (mA + mB)
  if (!(theta > low && theta < high)) theta = (low + high) / 2
  for (let iteration = 0; iteration < 100; iteration++) {
    const other = theta + delta
    const [spreadA, spreadB] = [theta * (1 - theta), other * (1 - other)]
    const value = mA * (theta - pA) * spreadB + mB * (other - pB) * spreadA
    if (value > 0) high = theta
    else low = theta
    const slope =
      mA * (spreadB + (theta - pA) * (1 - 2 * other)) + mB * (spreadA + (other - pB) * (1 - 2 * theta))
    let next = theta - value / slope
    if (!(next >= low && next <= high)) next = (low + high) / 2
    const step = Math.abs(next - theta)
    theta = next
    if (step <= 1e-15 * theta) break
  }
  return theta
}

function logLikelihood(m: Pair, s: Pair, p: Pair): number {
  return (
    weighed(s[0], Math.log(p[0])) +
    weighed(m[0] - s[0], Math.log1p(-p[0])) +
    weighed(s[1], Math.log(p[1])) +
    weighed(m[1] - s[1], Math.log1p(-p[1]))
  )
}

function mirror({ m, s, p, logLikelihood }: Term): Term {
  return { m: [m[1], m[0]], s: [s[1], s[0]], p: [p[1], p[0]], logLikelihood }
}
