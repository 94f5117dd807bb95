/** The report of an experiment (SPEC section 10); `report --json`, `demo --json` and `/api/experiments` print it. */
import type { VerdictCounts } from './verdict.ts'

export interface Estimate {
  /** Null while there is nothing to estimate from. */
  readonly estimate: number | null
  readonly lower: number
  readonly upper: number
}

export interface ArmReport {
  readonly arm: string
  readonly policy: string | null
  readonly units: number
  readonly exposures: number
  readonly samples: number
  readonly verdicts: VerdictCounts
  /**
   * Positives over positives and negatives; the bounds hold however often they are looked at. Where answers were sampled with
   * different probabilities, `weighted` is the rate of all that were eligible, each counted as often as it stands for, with
   * bounds of a single look: it describes, and nothing is decided by it.
   */
  readonly rate: Estimate & { readonly weighted?: Estimate }
  /** Requests that looked like the model's training context and were not drawn, if any; in none of the numbers above. */
  readonly extra?: { readonly samples: number; readonly verdicts: VerdictCounts }
}

/** `better`: proven to have the lower rate. `worse`: the higher. */
export type Decision = 'better' | 'worse' | 'undecided'

export interface Comparison {
  readonly arm: string
  readonly against: string
  /** Rate of `arm` minus rate of `against`. */
  readonly difference: Estimate
  /** Natural logarithms of the evidence. */
  readonly log_e_better: number
  readonly log_e_worse: number
  readonly decision: Decision
}

export interface Report {
  readonly experiment: string
  readonly check: string
  readonly arms: readonly ArmReport[]
  readonly comparisons: readonly Comparison[]
  readonly sample_ratio: { readonly p: number; readonly log_e: number }
}
