/**
 * A report with all that `ballast report` says (SPEC section 10 and further fields). Made by `stats/detailed-report.ts`;
 * printed by `cli/report/`.
 */

import type { ArmReport, Comparison, Estimate, Report } from './report.ts'
import type { ArmEvent } from './store.ts'

export interface Bounds {
  readonly lower: number
  readonly upper: number
}

/** `P`: what a test says of it, at one look. */
export interface UncountedDetail {
  readonly count: number
  readonly of: number
  readonly share: number | null
  readonly p: number | null
  readonly differs: boolean
}

export interface DetailedArm extends ArmReport {
  /** Units are drawn in proportion to it. */
  readonly weight: number
  /** Share of the answers that is judged, by the configuration. */
  readonly sample: number
  /** Why nothing is injected now; null where the arm is on. */
  readonly off: { readonly by: 'configuration' | ArmEvent['by']; readonly reason: string } | null
  /** What decisions count of it: one verdict per unit and question. */
  readonly decisive: { readonly positives: number; readonly total: number }
  /** Wilson's bounds: for somebody who looks once, at a moment settled beforehand. */
  readonly once: Bounds
  /** Where answers were sampled with different probabilities: Hájek's estimate, bounds at one look. */
  readonly weighted: Estimate | null
  /** Verdicts that count neither for nor against; p-values compare with the control. */
  readonly uncounted: { readonly excluded: UncountedDetail; readonly unreadable: UncountedDetail }
  /** Cumulative rate at ends of hours, milliseconds since the epoch; bounds hold at all of them at once. */
  readonly over_time: readonly (Bounds & {
    readonly at: number
    readonly positives: number
    readonly total: number
    readonly estimate: number
  })[]
}

/** How far a comparison is from an answer, for somebody who would act on a halved rate. */
export interface VerdictsToGo {
  /** The control's observed rate, and half of it. */
  readonly from: number
  readonly to: number
  /** Verdicts of both arms so far. */
  readonly have: number
  /** Verdicts of both arms that a test of one look needs at the arms' present split; a sequential run often ends by then. */
  readonly need: number
  /** 1.8 times as many: where a run ends without an answer. */
  readonly cap: number
  /** Down to `need`, 0 at least. */
  readonly more: number
}

export interface DetailedComparison extends Comparison {
  /** Null where the control's rate cannot be halved: it shows one kind of verdict only. */
  readonly power: VerdictsToGo | null
  /** Whether it has as many verdicts as a sequential run may take, and is undecided. */
  readonly inconclusive: boolean
}

export interface DetailedScores {
  readonly rubric: string
  readonly scale: readonly [number, number] | null
  readonly arms: readonly {
    readonly arm: string
    readonly bins: readonly { readonly from: number; readonly to: number; readonly count: number }[]
    readonly labels: readonly { readonly label: string; readonly count: number }[]
    readonly unreadable: number
    readonly mean: number | null
  }[]
}

export interface DetailedQuestion {
  /** As the client sent it: untrusted. */
  readonly question: string
  readonly arms: readonly { readonly arm: string; readonly positives: number; readonly total: number }[]
}

export interface JudgeShareDetail extends Bounds {
  readonly right: number
  readonly of: number
  readonly estimate: number | null
}

export interface CorrectedDetail extends Bounds {
  readonly method: 'rogan-gladen' | 'ppi++' | 'labels' | 'stratified'
  readonly estimate: number
}

export interface JudgeDetail {
  readonly labels: number
  readonly evenly_drawn: boolean
  readonly identifiable: 'yes' | 'not yet' | 'no'
  readonly sensitivity: JudgeShareDetail
  readonly specificity: JudgeShareDetail
  readonly arms: readonly {
    readonly arm: string
    readonly labels: number
    readonly agreed: number
    readonly sensitivity: JudgeShareDetail
    readonly specificity: JudgeShareDetail
    readonly p_sensitivity: number | null
    readonly p_specificity: number | null
    readonly uneven: boolean
    readonly corrected: readonly CorrectedDetail[]
  }[]
}

export interface DetailedReport extends Report {
  readonly arms: readonly DetailedArm[]
  readonly comparisons: readonly DetailedComparison[]
  readonly sample_ratio: Report['sample_ratio'] & {
    /** Pearson's test, at one look. */
    readonly chi_square: { readonly value: number; readonly df: number; readonly p: number }
  }
  readonly conclusion: { readonly kind: string; readonly trusted: boolean; readonly text: string }
  /** Error rate of every bound and decision. */
  readonly alpha: number
  /** Milliseconds since the epoch. */
  readonly made_at: number
  readonly scores: readonly DetailedScores[]
  /** The most frequent ones whose text is kept. */
  readonly questions: readonly DetailedQuestion[]
  /** Null without labels. */
  readonly judge: JudgeDetail | null
  readonly history: readonly Omit<ArmEvent, 'evidence' | 'id' | 'experiment'>[]
  /** How to read it, in sentences. */
  readonly notes: readonly string[]
}
