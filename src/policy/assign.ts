/**
 * Assignment and sampling (SPEC section 6). Pure, so that every replica and runtime agrees;
 * `test/vectors/assignment.json` pins the results.
 */
import { hash } from 'node:crypto'

/**
 * Maps text to a fraction in [0, 1): the first 52 bits of its SHA-256, over 2^52 (exact in a double).
 */
export function fraction(text: string): number {
  return toFraction(hash('sha256', text, 'hex'))
}

function toFraction(hex: string): number {
  return Number.parseInt(hex.slice(0, 13), 16) / 2 ** 52
}

export interface Assigned<A> {
  readonly arm: A
  /** The first 32 hex digits of the hash: tells units apart without naming them. */
  readonly unitHash: string
}

/**
 * The arm of a unit: the first one, in file order, whose cumulative weight exceeds the unit's share.
 * @param arms with their cumulative weights, ascending; the last one's is the total and above 0.
 */
export function assignArm<A extends { readonly cumulativeWeight: number }>(
  experiment: string,
  salt: string,
  unit: string,
  arms: readonly A[],
): Assigned<A> {
  const hex = hash('sha256', `${experiment}:${salt}:${unit}`, 'hex')
  const last = arms[arms.length - 1]!
  const point = toFraction(hex) * last.cumulativeWeight
  const arm = arms.find(({ cumulativeWeight }) => point < cumulativeWeight) ?? last
  return { arm, unitHash: hex.slice(0, 32) }
}

/** Whether an exchange is kept for judging. @param rate from 0 (never) to 1 (always). */
export function isSampled(check: string, requestId: string, rate: number): boolean {
  if (rate <= 0) return false
  return rate >= 1 || fraction(`${check}:${requestId}`) < rate
}
