/** How often the judge gave which score, per rubric and arm. Called by `detailed-report.ts`. */
import type { Rubric } from '../domain/check.ts'
import type { ScoreTally } from '../domain/store.ts'

/** Bars of a histogram over a rubric's scale. */
const BINS = 20

export interface ScoreBin {
  /** Up to `to`, which only the last bin includes. */
  readonly from: number
  readonly to: number
  readonly count: number
}

export interface ArmScores {
  readonly arm: string
  /** Over the rubric's scale, empty bins included; none where it has no scale. */
  readonly bins: readonly ScoreBin[]
  readonly labels: readonly { readonly label: string; readonly count: number }[]
  /** Replies that were no score, or did not come. */
  readonly unreadable: number
  /** Of the numbers, rounded to tenths as they are kept; null without any. */
  readonly mean: number | null
}

export interface RubricScores {
  readonly rubric: string
  readonly scale: readonly [number, number] | null
  readonly arms: readonly ArmScores[]
}

/** @param tallies of drawn samples, of one wording. @param arms in the order wanted. */
export function scoreDistributions(
  tallies: readonly ScoreTally[],
  rubrics: readonly Pick<Rubric, 'id' | 'scale' | 'labels'>[],
  arms: readonly string[],
): RubricScores[] {
  return rubrics.map(({ id, scale, labels = [] }) => ({
    rubric: id,
    scale: scale ?? null,
    arms: arms.map((arm) => {
      const own = tallies.filter((tally) => tally.rubric === id && tally.arm === arm)
      return { arm, ...distribution(own, scale ?? null, labels) }
    }),
  }))
}

function distribution(
  tallies: readonly ScoreTally[],
  scale: readonly [number, number] | null,
  labels: readonly string[],
): Omit<ArmScores, 'arm'> {
  const counts = scale === null ? [] : new Array<number>(BINS).fill(0)
  const byLabel = new Map(labels.map((label) => [label, 0]))
  let [numbers, sum, unreadable] = [0, 0, 0]
  for (const { score, count } of tallies) {
    if (score === null) unreadable += count
    else if (typeof score === 'string') byLabel.set(score, (byLabel.get(score) ?? 0) + count)
    else {
      numbers += count
      sum += count * score
      if (scale !== null) counts[binOf(score, scale)]! += count
    }
  }
  const [low, high] = scale ?? [0, 0]
  const edge = (index: number) => low + ((high - low) * index) / BINS
  return {
    bins: counts.map((count, index) => ({ from: edge(index), to: edge(index + 1), count })),
    labels: [...byLabel].map(([label, count]) => ({ label, count })),
    unreadable,
    mean: numbers === 0 ? null : sum / numbers,
  }
}

function binOf(score: number, [low, high]: readonly [number, number]): number {
  const place = Math.floor(((score - low) / (high - low)) * BINS)
  return Math.min(BINS - 1, Math.max(0, place))
}
