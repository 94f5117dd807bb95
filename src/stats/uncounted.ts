/**
 * Verdicts that count neither for nor against, and whether an arm has more of them than the control: an arm that drives
 * answers into `excluded` looks clean. Called by `detailed-report.ts`.
 */
import type { VerdictCounts } from '../domain/verdict.ts'
import { fisherP } from './fixed-size-test.ts'
import { holm } from './multiple-testing.ts'

/**
 * Fisher's test is one of one look, and reports are looked at often: it alarms as rarely as the test of the sample ratio.
 */
export const UNCOUNTED_ALARM = 0.001

/** Verdicts of one sort among all of which it could have been. */
export interface UncountedShare {
  readonly count: number
  readonly of: number
  /** Null without any. */
  readonly share: number | null
  /** Fisher's exact test against the control, two-sided, after Holm over the treatments; null for the control itself. */
  readonly p: number | null
  /** Whether the arm differs from the control beyond chance: p below 0.001. */
  readonly differs: boolean
}

export interface Uncounted {
  /** Of the verdicts that follow from a reply: positive, negative, excluded. */
  readonly excluded: UncountedShare
  /** Unparsed or failed, of all verdicts. */
  readonly unreadable: UncountedShare
}

interface Share {
  readonly count: number
  readonly of: number
}

/**
 * @param arms in order.
 * @param control which of them the others are tested against; null where arms are not compared.
 */
export function uncountedVerdicts(arms: readonly VerdictCounts[], control: number | null): Uncounted[] {
  const excluded = testShares(
    arms.map(({ positive, negative, excluded }) => ({ count: excluded, of: positive + negative + excluded })),
    control,
  )
  const unreadable = testShares(
    arms.map(({ positive, negative, excluded, unparsed, error }) => ({
      count: unparsed + error,
      of: positive + negative + excluded + unparsed + error,
    })),
    control,
  )
  return arms.map((_, index) => ({ excluded: excluded[index]!, unreadable: unreadable[index]! }))
}

function testShares(shares: readonly Share[], control: number | null): UncountedShare[] {
  const counts = shares.map(({ count, of }) => ({ positives: count, total: of }))
  const others = shares.flatMap((_, index) => (control === null || index === control ? [] : [index]))
  const adjusted = holm(others.map((index) => fisherP(counts[control!]!, counts[index]!)))
  return shares.map(({ count, of }, index) => {
    const p = adjusted[others.indexOf(index)] ?? null
    return {
      count,
      of,
      share: of === 0 ? null : count / of,
      p,
      differs: p !== null && p < UNCOUNTED_ALARM,
    }
  })
}
