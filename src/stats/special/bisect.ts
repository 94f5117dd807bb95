/** Bisection, and the term 0 ln 0 of a likelihood. Called within `stats/`. */

/** `weight * value`, where a weight of 0 wins over an infinite value: a term 0 ln 0 of a likelihood is 0. */
export function weighed(weight: number, value: number): number {
  return weight === 0 ? 0 : weight * value
}

/**
 * Halves the stretch between a point that is accepted and one that is not until it is no longer than `tolerance`.
 * @param tolerance 0: until the two are neighbours among the doubles.
 * @returns the end that is not accepted, so that an interval made of it covers no less than it should.
 */
export function bisect(
  accepts: (point: number) => boolean,
  accepted: number,
  rejected: number,
  tolerance = 0,
): number {
  while (Math.abs(rejected - accepted) > tolerance) {
    const middle = (accepted + rejected) / 2
    if (middle === accepted || middle === rejected) break
    if (accepts(middle)) accepted = middle
    else rejected = middle
  }
  return rejected
}
