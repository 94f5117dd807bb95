/** The report of an experiment (SPEC section 10); `report --json`, `demo --json` and `/api/experiments` print it. */
import type { VerdictCounts } from './verdict.ts'

export interface Estimate {
  /** Null while there is nothing to estimate from. */
  readonly estimate: number | null
  readonly lower: number
  readonly upper: number
}

/** Whether an arm's policy is in use. */
export interface ArmState {
  /** `off`: nothing is injected for its units. `promoted`: its policy is for the units of all arms. */
  readonly state: 'on' | 'off' | 'promoted'
  /**
   * Who made it so: the configuration, ballast by the rule `rollback` or `promote`, or a person. Null for an arm that has
   * never been anything but on.
   */
  readonly by: 'config' | 'rollback' | 'promote' | 'person' | null
  /** UTC, as `2026-11-24T12:00:00.000Z`; null where it has always been so, or the configuration says it. */
  readonly since: string | null
  readonly reason: string | null
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
  /** Missing for an arm that has never been anything but on. */
  readonly state?: ArmState
}

/** What comparisons rest on: one verdict per unit and question, in the order of the requests, each waited for. */
export interface EvidenceReport {
  /** Only requests after it count; null: all. UTC, as the following. */
  readonly since: string | null
  /** When the last request that counts came in. */
  readonly until: string | null
  /** Verdicts that count. */
  readonly verdicts: number
  /** Verdicts that came when later requests had been counted, and are left out. */
  readonly late: number
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
  /** Missing where chance does not lead to the arms. */
  readonly evidence?: EvidenceReport
}
