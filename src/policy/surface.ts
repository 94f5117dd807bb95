/**
 * What the injected endpoints have in common: a request that was decoded in place, ready to say where a policy's
 * context goes. Implemented by `chat.ts`, `responses.ts` and `completions.ts`.
 */
import { BallastError } from '../domain/errors.ts'
import type { ChatMessage } from '../domain/sample.ts'
import type { Splice } from './inject.ts'
import { decodeText, JsonScanner, type TextSpot } from './json-scanner.ts'
import type { PreparedPolicy } from './prepare.ts'

export type SurfaceName = 'chat' | 'responses' | 'completions'

export interface DecodedRequest {
  /** Null when the request names no model. */
  readonly model: string | null
  readonly stream: boolean
  readonly user: string | null
  /** Length of the body in bytes. */
  readonly size: number
  /** Whether there is no system or developer message and no instructions. */
  readonly systemAbsent: boolean
  /** Whether the model has said nothing yet before the last user message. */
  readonly firstTurn: boolean
  /** The text of `safety_identifier`; null where there is none. Looked up when asked for. */
  safetyIdentifier(): string | null
  /** The text that `metadata` holds under a key; null where there is none. Looked up when asked for. */
  metadata(key: string): string | null
  /**
   * The insertions that apply a policy, in ascending order; none where the context stands there already.
   * @throws BallastError `ballast_policy_not_applicable` when the request has no place for it.
   */
  plan(policy: PreparedPolicy): Splice[]
  /** The conversation as the client sent it, parsed: for sampled exchanges. Null where it is not JSON after all. */
  messages(): ChatMessage[] | null
}

/** Reads the members that all surfaces share, or notes where they stand. */
export class CommonMembers {
  model: string | null = null
  stream = false
  user: string | null = null
  /** Null where it is not text. */
  safetyIdentifier: TextSpot | null = null
  /** Offset of the object `metadata`; null where it is none. */
  metadata: number | null = null
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
      case 'safety_identifier':
        this.safetyIdentifier = null
        if (scanner.atText) this.safetyIdentifier = scanner.string()
        else scanner.value()
        return true
      case 'metadata':
        this.metadata = scanner.atObject ? scanner.offset : null
        scanner.value()
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

/** What the requests of all surfaces have in common. */
export abstract class CommonRequest implements DecodedRequest {
  readonly model: string | null
  readonly stream: boolean
  readonly user: string | null
  readonly size: number
  protected readonly body: Buffer
  private readonly common: CommonMembers

  constructor(body: Buffer, common: CommonMembers) {
    this.model = common.model
    this.stream = common.stream
    this.user = common.user
    this.size = body.length
    this.body = body
    this.common = common
  }

  abstract get systemAbsent(): boolean
  abstract get firstTurn(): boolean
  abstract plan(policy: PreparedPolicy): Splice[]
  abstract messages(): ChatMessage[] | null

  safetyIdentifier(): string | null {
    const { safetyIdentifier } = this.common
    return safetyIdentifier === null ? null : decodeText(this.body, safetyIdentifier)
  }

  metadata(key: string): string | null {
    if (this.common.metadata === null) return null
    const scanner = new JsonScanner(this.body, this.common.metadata)
    let value: string | null = null
    scanner.object((member) => {
      if (member === key) value = scanner.textOrNull()
      else scanner.value()
    })
    return value
  }
}

/** `ballast_policy_not_applicable`: the request has no place for the context. */
export class NotApplicable extends BallastError {
  readonly reason: string

  constructor(policy: PreparedPolicy, param: string, reason: string) {
    const message = `Policy "${policy.id}" cannot be applied to this request: ${reason}. It was not sent.`
    super('ballast_policy_not_applicable', message, { source: 'client', param })
    this.reason = reason
  }
}

/** @param param the request parameter that has no place for the context. */
export function notApplicable(policy: PreparedPolicy, param: string, reason: string): NotApplicable {
  return new NotApplicable(policy, param, reason)
}

/** A part of a body, parsed; null where a string in it is not JSON, which the scanner leaves to the upstream. */
export function parsePart(body: Buffer, start: number, end: number): unknown {
  try {
    return JSON.parse(body.toString('utf8', start, end))
  } catch {
    return null
  }
}
