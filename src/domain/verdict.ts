/** What the judge said of a sample, and what follows from it. */

export const VERDICTS = ['positive', 'negative', 'excluded', 'unparsed', 'error'] as const
/** `positive`: the trait is there. `unparsed` and `error` are never counted as negative. */
export type VerdictKind = (typeof VERDICTS)[number]

/** What one judging of a rubric gave. */
export type PlainScore =
  /** `mass`: the number is the mean over the judge's number tokens, which had so much probability together. */
  | { readonly kind: 'number'; readonly value: number; readonly mass?: number }
  | { readonly kind: 'label'; readonly value: string }
  /** What the judge wrote, cut to a length that can be stored. */
  | { readonly kind: 'unparsed'; readonly text: string }
  | { readonly kind: 'error'; readonly message: string }

/** One of several judgings of a rubric. */
export interface ScorePart {
  readonly model: string
  readonly score: PlainScore
}

/** The judge's answer to one rubric; with the parts it was made of where it was judged more than once. */
export type Score = PlainScore & { readonly parts?: readonly ScorePart[] }

export type Scores = Readonly<Record<string, Score>>

/** Stored once per sample and check. */
export interface Verdict {
  readonly sampleId: string
  readonly check: string
  readonly checkVersion: string
  readonly verdict: VerdictKind
  readonly scores: Scores
  /** Milliseconds since the epoch. */
  readonly judgedAt: number
}

export type VerdictCounts = Record<VerdictKind, number>

export function noVerdicts(): VerdictCounts {
  return { positive: 0, negative: 0, excluded: 0, unparsed: 0, error: 0 }
}

/** Why a sample without a text has no verdict of the judge. */
export const ERASED = 'its texts were erased before it was judged'

/** Scores without what the judge wrote and what its errors say: either may quote the answer. */
export function withoutTexts(scores: Scores): Scores {
  return Object.fromEntries(
    Object.entries(scores).map(([rubric, { parts, ...score }]) => [
      rubric,
      {
        ...plainWithoutText(score),
        ...(parts && { parts: parts.map((part) => ({ ...part, score: plainWithoutText(part.score) })) }),
      },
    ]),
  )
}

function plainWithoutText(score: PlainScore): PlainScore {
  if (score.kind === 'unparsed') return { ...score, text: '' }
  return score.kind === 'error' && score.message !== ERASED ? { ...score, message: '' } : score
}
