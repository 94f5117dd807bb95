/** What `judge-openai.ts` is made of. */

/** A reply of some tokens with their alternatives takes some kilobytes. */
export const LARGEST_REPLY = 1024 * 1024

/** Thrown by a `JudgeFetch`, or by what reads its answer, beyond `LARGEST_REPLY`. */
export class ReplyTooLargeError extends Error {}

/** `fetch`, with answers of at most `LARGEST_REPLY` bytes. */
export type JudgeFetch = typeof globalThis.fetch

export interface OpenAIJudgeOptions {
  readonly baseUrl: string
  /** Null: none is sent. */
  readonly apiKey: string | null
  /** Sent with every question, such as the key of a gateway. */
  readonly headers?: Readonly<Record<string, string>>
  /** For one answer, from asking to its last byte, in milliseconds. */
  readonly timeout: number
  /** How long a reply may be. */
  readonly maxTokens: number
  /** Whether to ask for token probabilities; a model that refuses them is asked without from then on. */
  readonly logprobs: boolean
  /** Default: the runtime's own. */
  readonly fetch?: JudgeFetch
  /** What errors call it; default `judge`. */
  readonly name?: string
}
