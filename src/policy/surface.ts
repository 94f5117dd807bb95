/**
 * What the injected endpoints have in common: a request that was decoded in place, ready to say where a policy's
 * context goes. Implemented by `chat.ts`, `responses.ts` and `completions.ts`.
 */
import { BallastError } from '../domain/errors.ts'
import type { ChatMessage } from '../domain/sample.ts'
import type { Splice } from './inject.ts'
import type { JsonScanner } from './json-scanner.ts'
import type { PreparedPolicy } from './prepare.ts'

export type SurfaceName = 'chat' | 'responses' | 'completions'

export interface DecodedRequest {
  /** Null when the request names no model. */
  readonly model: string | null
  readonly stream: boolean
  readonly user: string | null
  /** Length of the body in bytes. */
  readonly size: number
  /**
   * The insertions that apply a policy, in ascending order; none where the context stands there already.
   * @throws BallastError `ballast_policy_not_applicable` when the request has no place for it.
   */
  plan(policy: PreparedPolicy): Splice[]
  /** The conversation as the client sent it, parsed: for sampled exchanges. Null where it is not JSON after all. */
  messages(): ChatMessage[] | null
}

/** Reads the members that all surfaces share. */
export class CommonMembers {
  model: string | null = null
  stream = false
  user: string | null = null
  private modelIsText = true

  /** @returns whether the member was one of these, and was read. */
  read(scanner: JsonScanner, key: string): boolean {
    switch (key) {
      case 'model':
        this.modelIsText = scanner.atText
        if (scanner.atText) this.model = scanner.text()
        else scanner.value()
        return true
      case 'stream':
        this.stream = scanner.atTrue
        scanner.value()
        return true
      case 'user':
        this.user = scanner.textOrNull()
        return true
      default:
        return false
    }
  }

  /** @throws BallastError `ballast_malformed_body` when the model is not text. */
  requireModel(): void {
    if (this.modelIsText) return
    throw new BallastError('ballast_malformed_body', '"model" is not a string.', {
      source: 'client',
      param: 'model',
    })
  }
}

/** @param param the request parameter that has no place for the context. */
export function notApplicable(policy: PreparedPolicy, param: string, reason: string): BallastError {
  return new BallastError(
    'ballast_policy_not_applicable',
    `Policy "${policy.id}" cannot be applied to this request: ${reason}. It was not sent.`,
    { source: 'client', param },
  )
}

/** A part of a body, parsed; null where a string in it is not JSON, which the scanner leaves to the upstream. */
export function parsePart(body: Buffer, start: number, end: number): unknown {
  try {
    return JSON.parse(body.toString('utf8', start, end))
  } catch {
    return null
  }
}
