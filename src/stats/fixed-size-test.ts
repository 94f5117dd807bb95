/**
 * Two arms compared at one look that was settled beforehand: pooled z-test, Fisher's exact test, Newcombe's interval.
 * Not used for decisions: looked at after every verdict the z-test calls a quarter to a half of equal arms different
 * (`docs/statistics.md`). It is there so that finished reports can show what readers know, and so that simulations can
 * show why it was rejected.
 *
 * Verdicts are taken to be independent, of one rate in each arm, their numbers settled beforehand.
 */
import { wilsonInterval } from './binomial-intervals.ts'
import type { Counts, Interval } from './counts.ts'
import { requireAlpha, requireCounts } from './preconditions.ts'
import { logBinomialChance } from './special/binomial-chance.ts'
import { chiSquareSurvival } from './special/incomplete-gamma.ts'

/** Treatment minus control; p-values are two-sided. */
export interface FixedSizeTest {
  /** Null, as everything that needs it, when an arm has no verdicts. */
  readonly difference: number | null
  /** sqrt(Σ p (1-p) / n): standard error of the difference with the arms' own rates. */
  readonly standardError: number | null
  /** Difference over its standard error with the pooled rate; 0 when the pooled variance is 0. */
  readonly z: number
  readonly pZ: number
  readonly pFisher: number
  /** Newcombe 1998, method 10. */
  readonly newcombe: Interval
}

/**
 * All of it at once.
 * @param alpha chance that Newcombe's interval misses the difference, both sides together.
 * @throws RangeError when an arm holds no counts or alpha is not between 0 and 1.
 */
export function fixedSizeTest(control: Counts, treatment: Counts, alpha = 0.05): FixedSizeTest {
  requireAlpha(alpha)
  const z = pooledZ(control, treatment)
  const [pA, pB] = [rateOf(control), rateOf(treatment)]
  const known = pA !== null && pB !== null
  return {
    difference: known ? pB - pA : null,
    standardError: known
      ? Math.sqrt((pA * (1 - pA)) / control.total + (pB * (1 - pB)) / treatment.total)
      : null,
    z,
    pZ: chiSquareSurvival(z * z, 1),
    pFisher: fisherP(control, treatment),
    newcombe: newcombeInterval(control, treatment, alpha),
  }
}

/**
 * The pooled z statistic, (p_B - p_A) / sqrt(p (1-p) (1/n_A + 1/n_B)) with the pooled rate p.
 * @returns 0 when the pooled variance is 0 or an arm has no verdicts.
 * @throws RangeError when an arm holds no counts.
 */
export function pooledZ(control: Counts, treatment: Counts): number {
  requireCounts(control.positives, control.total)
  requireCounts(treatment.positives, treatment.total)
  const [nA, nB] = [control.total, treatment.total]
  const pooled = (control.positives + treatment.positives) / (nA + nB)
  const variance = pooled * (1 - pooled) * (1 / nA + 1 / nB)
  if (nA === 0 || nB === 0 || variance === 0) return 0
  return (treatment.positives / nB - control.positives / nA) / Math.sqrt(variance)
}

/**
 * Newcombe 1998 (Stat. Med. 17), method 10: the distances to the arms' Wilson bounds, added in quadrature.
 * @returns -1 to 1 when an arm has no verdicts.
 * @throws RangeError as `fixedSizeTest`.
 */
export function newcombeInterval(control: Counts, treatment: Counts, alpha = 0.05): Interval {
  const a = wilsonInterval(control.positives, control.total, alpha)
  const b = wilsonInterval(treatment.positives, treatment.total, alpha)
  const [pA, pB] = [rateOf(control), rateOf(treatment)]
  if (pA === null || pB === null) return { lower: -1, upper: 1 }
  return {
    lower: Math.max(-1, pB - pA - Math.hypot(pB - b.lower, a.upper - pA)),
    upper: Math.min(1, pB - pA + Math.hypot(b.upper - pB, pA - a.lower)),
  }
}

/**
 * Fisher's exact test, two-sided: the chance, given all totals, of a table no likelier than the one seen. Tables within
 * 1e-7 of its chance count as equally likely, as everyone's software has it.
 * @returns 1 when an arm has no verdicts.
 * @throws RangeError when an arm holds no counts.
 */
export function fisherP(control: Counts, treatment: Counts): number {
  requireCounts(control.positives, control.total)
  requireCounts(treatment.positives, treatment.total)
  const all = control.total + treatment.total
  const drawn = control.positives + treatment.positives
  const least = Math.max(0, drawn - treatment.total)
  const most = Math.min(drawn, control.total)
  if (least === most) return 1
  // Any rate serves, it cancels out; the pooled one keeps the terms small.
  const rate = drawn / all
  const logChance = (k: number) =>
    logBinomialChance(k, control.total, rate) +
    logBinomialChance(drawn - k, treatment.total, rate) -
    logBinomialChance(drawn, all, rate)
  const limit = logChance(control.positives) + 1e-7
  const mode = Math.min(most, Math.max(least, Math.floor(((drawn + 1) * (control.total + 1)) / (all + 2))))
  if (logChance(mode) <= limit) return 1
  return Math.min(1, tailUpTo(limit, logChance, mode, least) + tailUpTo(limit, logChance, mode, most))
}

/** Sum of the chances of at most `limit` between the mode and an end; towards the end they only fall. */
function tailUpTo(limit: number, logChance: (k: number) => number, mode: number, end: number): number {
  if (logChance(end) > limit) return 0
  let [inside, outside] = [end, mode]
  while (Math.abs(outside - inside) > 1) {
    const middle = Math.trunc((inside + outside) / 2)
    if (logChance(middle) <= limit) inside = middle
    else outside = middle
  }
  const step = Math.sign(end - mode)
  let sum = 0
  for (let k = inside; ; k += step) {
    const chance = Math.exp(logChance(k))
    sum += chance
    if (k === end || chance <= sum * 1e-17) return sum
  }
}

function rateOf({ positives, total }: Counts): number | null {
  return total === 0 ? null : positives / total
}
