/** One score of several judges or of repeated judgings. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { PlainScore, ScorePart } from '../../src/domain/verdict.ts'
import { combineScores } from '../../src/judge/combine.ts'

const number = (value: number): PlainScore => ({ kind: 'number', value })
const label = (value: string): PlainScore => ({ kind: 'label', value })
const UNPARSED: PlainScore = { kind: 'unparsed', text: '?' }
const ERROR: PlainScore = { kind: 'error', message: 'down' }
const tie = (among: string): PlainScore => ({ kind: 'unparsed', text: `no majority among: ${among}` })
const parts = (scores: readonly PlainScore[]): ScorePart[] =>
  scores.map((score, index) => ({ model: `judge-${index}`, score }))

describe('several judgings', () => {
  test.each<[string, 'majority' | 'median' | 'mean' | undefined, PlainScore[], PlainScore]>([
    ['two of three labels', 'majority', [label('A'), label('B'), label('A')], label('A')],
    ['the median of three', undefined, [number(10), number(90), number(20)], number(20)],
    ['the median of an even count', 'median', [number(10), number(20), number(40), number(90)], number(30)],
    ['the mean', 'mean', [number(10), number(90), number(20)], number(40)],
    ['numbers that outnumber a label', 'median', [number(10), label('CODE'), number(30)], number(20)],
    ['a label that outnumbers numbers', 'mean', [label('CODE'), number(10), label('CODE')], label('CODE')],
    ['two that agree beside one that failed', undefined, [label('A'), ERROR, label('A')], label('A')],
    ['two numbers beside one unreadable', undefined, [number(10), UNPARSED, number(30)], number(20)],
    ['a tie of labels', undefined, [label('A'), label('B')], tie('A, B')],
    ['three ways', undefined, [label('A'), label('B'), number(3)], tie('A, B, 3')],
    ['a tie of numbers and labels', 'mean', [label('A'), number(1)], tie('A, 1')],
    ['half unreadable', undefined, [label('A'), UNPARSED], tie('A, unparsed')],
    ['one of two failed', undefined, [label('A'), ERROR], { kind: 'error', message: 'judge-1: down' }],
    ['all failed', 'mean', [ERROR, ERROR], { kind: 'error', message: 'judge-0: down' }],
  ])('%s', (_name, combine, scores, expected) => {
    const given = parts(scores)
    expect(combineScores({ combine }, given)).toEqual({ ...expected, parts: given })
  })

  test('one judging is its own score, without parts', () => {
    expect(combineScores({ combine: undefined }, parts([number(3)]))).toEqual(number(3))
  })

  test('the order of judges changes nothing, and a number lies among theirs', () => {
    const score = fc.oneof(
      fc.double({ min: 0, max: 100, noNaN: true }).map(number),
      fc.constantFrom('A', 'B').map(label),
      fc.constantFrom(UNPARSED, ERROR),
    )
    const combine = fc.constantFrom('median' as const, 'mean' as const)
    fc.assert(
      fc.property(fc.array(score, { minLength: 2, maxLength: 7 }), combine, (scores, how) => {
        const forward = combineScores({ combine: how }, parts(scores))
        const backward = combineScores({ combine: how }, parts([...scores].reverse()))
        expect(backward.kind).toBe(forward.kind)
        if (forward.kind === 'number' && backward.kind === 'number') {
          expect(backward.value).toBeCloseTo(forward.value, 9)
          const values = scores.flatMap((it) => (it.kind === 'number' ? [it.value] : []))
          expect(forward.value).toBeGreaterThanOrEqual(Math.min(...values) - 1e-9)
          expect(forward.value).toBeLessThanOrEqual(Math.max(...values) + 1e-9)
        }
      }),
    )
  })
})
