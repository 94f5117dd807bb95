/**
 * Assignment and sampling (SPEC section 6). Pure, so that every replica and runtime agrees;
 * `test/vectors/assignment.json` pins the results. What is decided about one unit by different hashes is independent:
 * their texts begin with different words (`RESERVED_NAMES` of the domain).
 */
import { hash } from 'node:crypto'

/**
 * Maps text to a fraction in [0, 1): the first 52 bits of its SHA-256, over 2^52 (exact in a double).
 */
export function fraction(text: string): number {
  return toFraction(hash('sha256', text, 'hex'))
}

/** @param hex of a SHA-256, its beginning at least; an arm's unit lies there on the assignment line. */
export function toFraction(hex: string): number {
  return Number.parseInt(hex.slice(0, 13), 16) / 2 ** 52
}

/** Something with a share, in a list in which weights add up. */
export interface Weighed {
  /** Its own weight and those before it; the last one's is the total and above 0. */
  readonly cumulativeWeight: number
}

export interface Assigned<A> {
  readonly arm: A
  /** Where in the arm's own interval the unit lies, 0 to 1; what `ramp` is compared with. */
  readonly within: number
  /** The first 32 hex digits of the hash: tells units apart without naming them. */
  readonly unitHash: string
}

/**
 * The arm of a unit: the first one, in file order, whose cumulative weight exceeds the unit's share.
 */
export function assignArm<A extends Weighed>(
  experiment: string,
  salt: string,
  unit: string,
  arms: readonly A[],
): Assigned<A> {
  const hex = hash('sha256', `${experiment}:${salt}:${unit}`, 'hex')
  const point = toFraction(hex) * arms[arms.length - 1]!.cumulativeWeight
  const index = indexAt(point, arms)
  const arm = arms[index]!
  const start = index === 0 ? 0 : arms[index - 1]!.cumulativeWeight
  const within = (point - start) / (arm.cumulativeWeight - start)
  return { arm, within, unitHash: hex.slice(0, 32) }
}

/** Whether a unit is taken in: the first `ramp` of each arm's interval is, so that a larger share only adds units. */
export function isTakenIn(within: number, ramp: number): boolean {
  return ramp >= 1 || within < ramp
}

/**
 * The one of several experiments that exclude each other in which a unit takes part.
 * @param names of the experiments in file order, joined by commas.
 */
export function pickExperiment<E extends Weighed>(names: string, unit: string, experiments: readonly E[]): E {
  const point = exclusivePoint(names, unit) * experiments[experiments.length - 1]!.cumulativeWeight
  return experiments[indexAt(point, experiments)]!
}

/** Where a unit lies on the line that experiments which exclude each other divide among them, 0 to 1. */
export function exclusivePoint(names: string, unit: string): number {
  return fraction(`exclusive:${names}:${unit}`)
}

/** Whether a unit is kept out of everything. @param share from 0 to 1. */
export function isHeldOut(salt: string, unit: string, share: number): boolean {
  if (share <= 0) return false
  return share >= 1 || holdoutPoint(salt, unit) < share
}

/** What a holdout's share is compared with, 0 to 1. */
export function holdoutPoint(salt: string, unit: string): number {
  return fraction(`holdout:${salt}:${unit}`)
}

function indexAt(point: number, list: readonly Weighed[]): number {
  let index = 0
  while (index < list.length - 1 && point >= list[index]!.cumulativeWeight) index++
  // A last weight of 0 is an empty interval, which rounding must not reach either.
  while (index > 0 && list[index]!.cumulativeWeight === list[index - 1]!.cumulativeWeight) index--
  return index
}

/** Whether an exchange is kept for judging. @param rate from 0 (never) to 1 (always). */
export function isSampled(check: string, requestId: string, rate: number): boolean {
  if (rate <= 0) return false
  return rate >= 1 || fraction(`${check}:${requestId}`) < rate
}
