/** Which bodies are read whole, by what a request's head says. Asked by the data planes before they read one. */
import { BallastError } from '../domain/errors.ts'
import { bodyTooLarge } from './body.ts'

/** What a head says of its body. */
export interface BodyHead {
  /** 0 where there is none. */
  readonly length: number
  readonly type: string | null
  /** Null where it is as it is. */
  readonly encoding: string | null
}

/** @throws BallastError when a body that must be read cannot be. */
export function requireReadable({ length, encoding }: BodyHead, largest: number): void {
  if (length > largest) throw bodyTooLarge(largest)
  if ((encoding ?? 'identity') !== 'identity') {
    throw new BallastError(
      'ballast_malformed_body',
      'Compressed request bodies are not read; send it as it is.',
      { source: 'client' },
    )
  }
}

/** Whether the body is JSON of a known length that can be read whole for its model. */
export function namesModel({ length, type, encoding }: BodyHead, largest: number): boolean {
  return /^application\/json\b/i.test(type ?? '') && encoding === null && length > 0 && length <= largest
}
