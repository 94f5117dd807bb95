/** What is kept of a sampled exchange, and what became of it. */

/** What is kept of samples (`samples.keep` of the configuration). */
export const KEEPS = ['full', 'redacted', 'verdicts'] as const
export type Keep = (typeof KEEPS)[number]

/** A chat message as the client sent it; unknown fields are kept. */
export interface ChatMessage {
  readonly role?: unknown
  readonly content?: unknown
  readonly [field: string]: unknown
}

/** An exchange kept for judging. Text in it is untrusted. */
export interface Sample {
  /** The request's id, so that a sample can be found from `x-ballast-request-id`. */
  readonly id: string
  readonly experiment: string
  readonly arm: string
  /** Null in an arm that injects nothing. */
  readonly policy: string | null
  readonly policyHash: string | null
  readonly check: string
  readonly checkVersion: string
  /** With what probability this exchange is here, 0 to 1: that it was drawn, and that the queue admitted it. */
  readonly probability: number
  /**
   * Why it was kept although it was not drawn: `trigger`, its text is like the training context. Judged and shown, but no
   * part of any rate, bound or comparison, because what it says decided that it is here. Null or missing: it was drawn.
   */
  readonly extra?: 'trigger' | null
  readonly model: string
  /** Names the operation that gave the answer (W3C Trace Context), so that its verdict joins its trace. Null or missing: it was not traced. */
  readonly traceparent?: string | null
  /** Keyed hash of experiment, salt and unit: tells units apart, and only who has the key can confirm one. */
  readonly unit: string
  /** What decides which share of all samples is an arm's: it changes with arms, weights, switches and sampling rates. */
  readonly assignment: string
  /** When the request came in, milliseconds since the epoch. */
  readonly requestedAt: number
  /** The client's messages as sent, without what was injected. */
  readonly messages: readonly ChatMessage[]
  /** The text of the last user message among them. */
  readonly question: string
  /** Tells the question as it was asked from others, where `question` is not it any more; missing: a hash of `question`. */
  readonly questionHash?: string
  /** The first choice's text, then its tool calls as JSON. */
  readonly answer: string
}

/** What became of an exchange; a label of `ballast_samples_total`. `extra_`: it was kept without being drawn. */
export type SampleOutcome = DrawnOutcome | `extra_${DrawnOutcome}`

/** What became of an exchange that was to be judged. */
export type DrawnOutcome =
  | 'stored'
  /** Drawn again while the queue was more than half full, and not taken; the others stand for it (`policy/thinning.ts`). */
  | 'thinned'
  /** The queue holds as many samples as it may. */
  | 'queue_full'
  /** The client left or the upstream broke off. */
  | 'incomplete'
  /** The upstream answered with an error status. */
  | 'upstream_error'
  /** More bytes than the tap may hold. */
  | 'too_large'
  /** Not an answer the tap can read. */
  | 'unreadable'
  /** Too many finished exchanges were waiting to be stored. */
  | 'overload'
  /** The store failed. */
  | 'store_error'

/** The text of a message's content; parts that are not text appear as `[type]`. */
export function contentText(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content
    .map((part: { type?: unknown; text?: unknown } | null) =>
      typeof part?.text === 'string' ? part.text : `[${typeof part?.type === 'string' ? part.type : 'part'}]`,
    )
    .join('\n')
}

/** The text of the last user message; empty without one. */
export function questionOf(messages: readonly ChatMessage[]): string {
  return contentText(messages.findLast(({ role }) => role === 'user')?.content)
}
