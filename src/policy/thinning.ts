/**
 * What becomes of drawn exchanges when more are drawn than can be judged: beyond half of the queue they are drawn again,
 * the less likely the fuller it is, and the sample says how likely it was. So the queue does not fill up and refuse what
 * came at a busy time, which would bend every rate. Pure; called by `pipeline/filing.ts` before a sample is stored.
 */
import { fraction } from './assign.ts'

/** At the very end of the queue one of so many is admitted: more than that times too much traffic still fills it. */
const FEWEST = 2 ** -10

/**
 * How likely a drawn exchange is admitted: 1 up to half of the queue, then falling by a factor of 2 with every twentieth of
 * it.
 * @param waiting samples in the queue; @param limit how many there may be, above 0; may be infinite.
 */
export function admission(waiting: number, limit: number): number {
  const beyond = limit === Number.POSITIVE_INFINITY ? 0 : (2 * waiting) / limit - 1
  return FEWEST ** Math.min(1, Math.max(0, beyond))
}

/**
 * Whether a drawn exchange is admitted: decided like the draw itself, by a hash of its own, so that it depends on nothing
 * that the exchange says.
 */
export function isAdmitted(check: string, requestId: string, probability: number): boolean {
  return probability >= 1 || fraction(`thin:${check}:${requestId}`) < probability
}
