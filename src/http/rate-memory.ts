/** Requests per minute, counted in this process's memory. Given to `limits.ts` by `node/snapshot.ts`. */
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible'
import type { CreateRate } from './limits.ts'

export const createMemoryRate: CreateRate = (perMinute) => {
  const limiter = new RateLimiterMemory({ points: perMinute, duration: 60 })
  return {
    consume: (client) =>
      limiter.consume(client).then(
        () => null,
        (refusal: unknown) => {
          if (!(refusal instanceof RateLimiterRes)) throw refusal
          return refusal.msBeforeNext
        },
      ),
  }
}
