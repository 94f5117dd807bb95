/** Verdicts in the order of their requests, whatever the order they arrive in, and never more than may be held. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type OrderedVerdict, VerdictOrder } from '../../src/stats/verdict-order.ts'

const verdict = (requestedAt: number, requestId = String(requestedAt)): OrderedVerdict => ({
  requestedAt,
  requestId,
  arm: 'control',
  positive: false,
})

/** Requests with the time their judging took. */
const judged = fc.uniqueArray(
  fc.record({
    requestedAt: fc.integer({ min: 0, max: 1000 }),
    took: fc.integer({ min: 0, max: 300 }),
    id: fc.nat(99_999),
  }),
  { selector: ({ id }) => id, maxLength: 100, size: 'max' },
)

function inOrder(all: readonly OrderedVerdict[]): OrderedVerdict[] {
  return all.toSorted((x, y) => x.requestedAt - y.requestedAt || (x.requestId < y.requestId ? -1 : 1))
}

describe('VerdictOrder', () => {
  it('lets go in the order of the requests what was judged in time, and counts the rest as late', () => {
    fc.assert(
      fc.property(judged, fc.integer({ min: 0, max: 300 }), (requests, wait) => {
        const order = new VerdictOrder({ wait })
        const arrivals = requests.toSorted((x, y) => x.requestedAt + x.took - y.requestedAt - y.took)
        const released = arrivals.flatMap(({ requestedAt, took, id }) => {
          const before = order.release(requestedAt + took - 0.5)
          order.add(verdict(requestedAt, String(id)))
          return before
        })
        released.push(...order.release(10_000))
        const inTime = requests.filter(({ took }) => took <= wait)
        expect(released).toEqual(
          inOrder(inTime.map(({ requestedAt, id }) => verdict(requestedAt, String(id)))),
        )
        expect(order.late).toBe(requests.length - inTime.length)
        expect(order.size).toBe(0)
      }),
    )
  })

  it('holds no more than its capacity after a release, and stays in order', () => {
    fc.assert(
      fc.property(judged, fc.integer({ min: 1, max: 10 }), (requests, capacity) => {
        const order = new VerdictOrder({ wait: 1e9, capacity })
        const released = requests.flatMap(({ requestedAt, id }) => {
          order.add(verdict(requestedAt, String(id)))
          const released = order.release(2000)
          expect(order.size).toBeLessThanOrEqual(capacity)
          return released
        })
        const times = released.map(({ requestedAt }) => requestedAt)
        expect(times).toEqual(times.toSorted((x, y) => x - y))
        expect(released.length + order.late + order.size).toBe(requests.length)
      }),
    )
  })

  it('lets go nothing when the clock goes back, and nothing twice', () => {
    const order = new VerdictOrder({ wait: 10 })
    order.add(verdict(5))
    expect(order.release(15)).toHaveLength(1)
    expect(order.release(15)).toHaveLength(0)
    expect(order.add(verdict(5, 'again'))).toBe(false)
    order.add(verdict(6))
    expect(order.release(3)).toHaveLength(0)
    expect(order.late).toBe(1)
  })

  it('continues identically after it was written to JSON and read back', () => {
    fc.assert(
      fc.property(judged, judged, fc.integer({ min: 0, max: 1500 }), (before, after, now) => {
        const order = new VerdictOrder({ wait: 100, capacity: 20 })
        for (const { requestedAt, id } of before) order.add(verdict(requestedAt, String(id)))
        order.release(now)
        const restored = VerdictOrder.restore(JSON.parse(JSON.stringify(order.serialise())))
        for (const { requestedAt, id } of after)
          expect(restored.add(verdict(requestedAt, `+${id}`))).toBe(order.add(verdict(requestedAt, `+${id}`)))
        expect(restored.release(1200)).toEqual(order.release(1200))
        expect(restored.serialise()).toEqual(order.serialise())
      }),
    )
  })

  it('refuses what is no wait, no capacity, no time and no state', () => {
    for (const wait of [-1, Number.NaN, Infinity])
      expect(() => new VerdictOrder({ wait })).toThrow(RangeError)
    for (const capacity of [0, 1.5]) expect(() => new VerdictOrder({ wait: 1, capacity })).toThrow(RangeError)
    const order = new VerdictOrder({ wait: 1 })
    expect(() => order.add(verdict(Number.NaN))).toThrow(RangeError)
    expect(() => VerdictOrder.restore({ ...order.serialise(), version: 0 })).toThrow(/at version/)
  })
})
