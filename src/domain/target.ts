/** The port to a model under evaluation. Implemented by `adapters/target-openai.ts`; asked by `eval/`. */

/** What came of asking a model once. */
export interface TargetAnswer {
  /** The first choice's text; empty where the model gave none. */
  readonly text: string
  /** What the answer's `x-ballast-policy` says was injected on the way; null where nothing says so. */
  readonly policy: string | null
  readonly promptTokens: number
  readonly completionTokens: number
}

export interface TargetModel {
  /**
   * Asks until there is an answer or its tries are used up.
   * @param body of `POST /chat/completions`, JSON.
   * @param unit what a ballast on the way is to assign by; null names none.
   * @throws TargetError
   */
  ask(body: string, unit: string | null, signal: AbortSignal): Promise<TargetAnswer>
}

/** A model did not answer. The message names neither key nor question. */
export class TargetError extends Error {
  override readonly name = 'TargetError'
  /**
   * `stopped`: it was called off. `refused`: this question, and asking again would not help. `denied`: whatever is asked,
   * as with a wrong key or model. `failed`: it may answer another time.
   */
  readonly kind: 'stopped' | 'refused' | 'denied' | 'failed'

  constructor(kind: TargetError['kind'], message: string) {
    super(message)
    this.kind = kind
  }
}
