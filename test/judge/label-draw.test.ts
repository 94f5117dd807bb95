/** Which samples a person is given to label, and with what probability. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Check } from '../../src/domain/check.ts'
import type { Verdict } from '../../src/domain/verdict.ts'
import { drawForLabels, stratumOf } from '../../src/judge/label-draw.ts'

const population = (sizes: Record<string, number>) =>
  Object.entries(sizes).flatMap(([stratum, size]) =>
    Array.from({ length: size }, (_, index) => ({ id: `${stratum}-${index}`, stratum })),
  )

describe('a draw for labels', () => {
  test('takes evenly from the strata, small ones whole, with probability n/N', () => {
    const drawn = drawForLabels(population({ a: 1_000, b: 100, c: 4 }), 40, 1)
    const of = (stratum: string) => drawn.filter((it) => it.stratum === stratum)
    expect([of('a').length, of('b').length, of('c').length]).toEqual([18, 18, 4])
    expect([...new Set(drawn.map(({ probability }) => probability))].sort()).toEqual([0.018, 0.18, 1])
  })

  test('whatever the strata: inverse probabilities add up to their sizes, none twice, more with a higher limit', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 200 }),
        fc.nat(),
        (sizes, limit, seed) => {
          const all = population(Object.fromEntries(sizes.map((size, index) => [`s${index}`, size])))
          const drawn = drawForLabels(all, limit, seed)
          expect(drawn).toHaveLength(Math.min(limit, all.length))
          expect(new Set(drawn.map(({ id }) => id)).size).toBe(drawn.length)
          for (const [stratum, members] of Map.groupBy(drawn, (it) => it.stratum)) {
            const sum = members.reduce((total, { probability }) => total + 1 / probability, 0)
            expect(sum).toBeCloseTo(all.filter((it) => it.stratum === stratum).length, 6)
          }
          expect(drawForLabels(all, limit, seed)).toEqual(drawn)
          const more = new Set(drawForLabels(all, limit + 7, seed).map(({ id }) => id))
          expect(drawn.every(({ id }) => more.has(id))).toBe(true)
        },
      ),
    )
  })

  test('gives every member of a stratum the same chance, and mixes the strata', () => {
    const all = population({ a: 10, b: 10 })
    const times = new Map<string, number>()
    let firstOfA = 0
    for (let seed = 0; seed < 4_000; seed++) {
      const drawn = drawForLabels(all, 4, seed)
      if (drawn[0]!.stratum === 'a') firstOfA++
      for (const { id } of drawn) times.set(id, (times.get(id) ?? 0) + 1)
    }
    // 4,000 × 2/10, more than five standard deviations to either side.
    for (const { id } of all) {
      expect(times.get(id)).toBeGreaterThan(670)
      expect(times.get(id)).toBeLessThan(930)
    }
    expect(Math.abs(firstOfA - 2_000)).toBeLessThan(160)
  })
})

describe('a stratum', () => {
  const check = {
    rubrics: [{ id: 'alignment', scale: [0, 100] }],
    rule: { excluded_if_any: [], positive_if_all: [{ rubric: 'alignment', below: 30 }] },
  } as unknown as Check
  const judged = (verdict: Verdict['verdict'], value: number) =>
    stratumOf(check, 'arm', {
      verdict,
      scores: { alignment: { kind: 'number', value } },
    } as unknown as Verdict)

  test.each([
    ['positive', 5, 'positive'],
    ['positive', 20, 'near'],
    ['negative', 40, 'near'],
    ['negative', 41, 'negative'],
    ['excluded', 30, 'uncounted'],
    ['unparsed', 30, 'uncounted'],
  ] as const)('of %s at %d is %s', (verdict, value, stratum) => {
    expect(judged(verdict, value)).toBe(`arm\0${stratum}`)
  })

  test('does not exist where the judge did not answer', () => {
    expect(judged('error', 5)).toBeNull()
  })
})
