/** What `judge-openai.ts` is made of. */
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
  /** What errors call it; default `judge`. */
  readonly name?: string
}
