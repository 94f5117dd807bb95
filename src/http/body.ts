/** Gathers a request body in one buffer, however small its pieces: a chunk of one byte costs one byte. */
import { BallastError } from '../domain/errors.ts'

const FIRST_CAPACITY = 16 * 1024
/**
 * On the word of `content-length` no more is set aside than so many times what has come. A body of 20 MB is then copied
 * a quarter and never stands in memory twice.
 */
const TRUST = 8

export class BodyBuffer {
  private readonly announced: number
  private readonly limit: number
  private buffer: Buffer = Buffer.alloc(0)
  private size = 0

  /** @param announced the `content-length`, 0 where there is none. @param limit in bytes. */
  constructor(announced: number, limit: number) {
    this.announced = announced
    this.limit = limit
  }

  /** @returns false when the body is larger than it may be; the chunk is not taken then. */
  push(chunk: Buffer): boolean {
    const size = this.size + chunk.length
    if (size > this.limit) return false
    if (size > this.buffer.length) {
      if (this.size === 0 && chunk.length === this.announced) {
        // All of it in one piece: no copy.
        this.buffer = chunk
        this.size = size
        return true
      }
      const grown = Buffer.allocUnsafe(this.capacityFor(size))
      this.buffer.copy(grown, 0, 0, this.size)
      this.buffer = grown
    }
    chunk.copy(this.buffer, this.size)
    this.size = size
    return true
  }

  private capacityFor(size: number): number {
    if (size <= this.announced) return Math.min(this.announced, Math.max(size * TRUST, FIRST_CAPACITY))
    return Math.max(size, Math.min(this.limit, Math.max(this.buffer.length * 2, FIRST_CAPACITY)))
  }

  take(): Buffer {
    return this.buffer.subarray(0, this.size)
  }
}

/** @param limit in bytes. */
export function bodyTooLarge(limit: number): BallastError {
  const message = `The request body is larger than the ${limit} bytes that are allowed (limits.body).`
  return new BallastError('ballast_body_too_large', message, { source: 'client' })
}
