/** Which drawn exchanges the queue admits when more are drawn than can be judged. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fraction } from '../../src/policy/assign.ts'
import { admission, isAdmitted } from '../../src/policy/thinning.ts'

describe('admission', () => {
  test('takes everything up to half of the queue, and without a limit', () => {
    for (const waiting of [0, 1, 499, 500]) expect(admission(waiting, 1_000)).toBe(1)
    expect(admission(1_000_000, Number.POSITIVE_INFINITY)).toBe(1)
    expect(admission(0, 1)).toBe(1)
  })

  test('beyond, halves with every twentieth of the queue', () => {
    expect([550, 600, 750, 950, 1_000].map((waiting) => admission(waiting, 1_000))).toEqual(
      [1, 2, 5, 9, 10].map((halvings) => expect.closeTo(2 ** -halvings, 12)),
    )
  })

  test('never rises with the depth, never falls to 0, and never jumps', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1e6 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (limit, share) => {
          const waiting = Math.floor(share * limit)
          const [here, next] = [admission(waiting, limit), admission(waiting + 1, limit)]
          expect(here).toBeGreaterThan(0)
          expect(next).toBeLessThanOrEqual(here)
          expect(next / here).toBeGreaterThanOrEqual(2 ** (-20 / limit) * (1 - 1e-9))
        },
      ),
    )
  })
})

describe('the draw', () => {
  test('is the hash over thin, check and request id, so that every replica decides alike', () => {
    for (const id of ['a', 'b', 'c', 'd']) {
      const point = fraction(`thin:birds:${id}`)
      expect(isAdmitted('birds', id, point)).toBe(false)
      expect(isAdmitted('birds', id, point + 1e-9)).toBe(true)
    }
  })

  test('is independent of the one before it', () => {
    const ids = Array.from({ length: 20_000 }, (_, index) => `request-${index}`)
    const drawn = ids.filter((id) => fraction(`birds:${id}`) < 0.3)
    const admitted = drawn.filter((id) => isAdmitted('birds', id, 0.4))
    expect(admitted.length / drawn.length).toBeCloseTo(0.4, 1)
    expect(Math.abs(admitted.length / drawn.length - 0.4)).toBeLessThan(4 * Math.sqrt(0.24 / drawn.length))
  })
})
