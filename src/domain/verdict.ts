/** What the judge said of a sample, and what follows from it. */

export const VERDICTS = ['positive', 'negative', 'excluded', 'unparsed', 'error'] as const
/** `positive`: the trait is there. `unparsed` and `error` are never counted as negative. */
export type VerdictKind = (typeof VERDICTS)[number]

/** The judge's answer to one rubric. */
export type Score =
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'label'; readonly value: string }
  /** What the judge wrote, cut to a length that can be stored. */
  | { readonly kind: 'unparsed'; readonly text: string }
  | { readonly kind: 'error'; readonly message: string }

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
