/** Random numbers that are the same on every run. Called by simulations, benchmarks and their tests. */
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'

/** @returns a function that gives uniform numbers from 0, and below 1, in steps of 2^-32. */
export function seeded(seed: number): () => number {
  const generator = xoroshiro128plus(seed)
  return () => (generator.next() >>> 0) / 2 ** 32
}
