/**
 * How an experiment's rates, differences and evidence came about, verdict by verdict. Kept by `node/courses.ts` for the
 * page; pure.
 */
import type { Decision } from '../domain/report.ts'
import type { DecisiveVerdict, RequestOrder } from '../domain/store.ts'
import { betaBinomialInterval } from './beta-binomial.ts'
import type { Interval } from './counts.ts'
import { NO_COUNTS } from './counts.ts'
import { Evidence, type EvidencePlan } from './evidence.ts'
import { ALPHA } from './report.ts'

/** More are not seen in a plot; at so many every other one is dropped. */
const MOST_POINTS = 80

export interface CourseArm extends Interval {
  readonly arm: string
  readonly positives: number
  readonly total: number
  readonly estimate: number | null
}

export interface CourseComparison extends Interval {
  readonly arm: string
  readonly estimate: number | null
  readonly logEBetter: number
  readonly logEWorse: number
  readonly decision: Decision
}

/** All that was known after a verdict. */
export interface CoursePoint {
  /** When its request came in, milliseconds since the epoch. */
  readonly at: number
  /** Verdicts counted. */
  readonly verdicts: number
  readonly arms: readonly CourseArm[]
  readonly comparisons: readonly CourseComparison[]
}

export class Course {
  private readonly arms: readonly string[]
  private readonly evidence: Evidence
  private kept: CoursePoint[] = []
  /** A point is kept every so many verdicts. */
  private stride = 1

  /** @param since only requests after it count, milliseconds since the epoch. */
  constructor(plan: EvidencePlan, since: number) {
    this.arms = plan.arms
    this.evidence = new Evidence(plan, since)
  }

  /** Takes the next verdict in the order of the requests. */
  add(verdict: DecisiveVerdict): void {
    // Whoever keeps the evidence counts those that come late.
    this.evidence.add(verdict, Number.POSITIVE_INFINITY)
    if (this.evidence.counted % this.stride !== 0) return
    this.kept.push(this.point())
    if (this.kept.length < MOST_POINTS) return
    this.stride *= 2
    this.kept = this.kept.filter(({ verdicts }) => verdicts % this.stride === 0)
  }

  /** The last verdict that was taken. */
  get cursor(): RequestOrder | null {
    return this.evidence.cursor
  }

  get since(): number {
    return this.evidence.since
  }

  /** In order, the last verdict's always among them. */
  points(): readonly CoursePoint[] {
    const { counted } = this.evidence
    return counted === 0 || this.kept.at(-1)?.verdicts === counted ? this.kept : [...this.kept, this.point()]
  }

  private point(): CoursePoint {
    const { reported, counted, cursor } = this.evidence
    return {
      at: cursor!.requestedAt,
      verdicts: counted,
      arms: this.arms.map((arm) => {
        const { positives, total } = reported.counts.get(arm) ?? NO_COUNTS
        const estimate = total === 0 ? null : positives / total
        return { arm, positives, total, estimate, ...betaBinomialInterval(positives, total, ALPHA) }
      }),
      comparisons: reported.results(ALPHA).map(({ arm, difference, logEBetter, logEWorse, decision }) => ({
        arm,
        ...difference,
        logEBetter,
        logEWorse,
        decision,
      })),
    }
  }
}
