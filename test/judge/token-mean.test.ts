/** Numbers from token probabilities, under tokenisers that write numbers whole and such that do not. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Rubric } from '../../src/domain/check.ts'
import type { JudgeToken } from '../../src/domain/ports.ts'
import { readAnswer } from '../../src/judge/reading.ts'
import { weighNumber } from '../../src/judge/token-mean.ts'

const SCALE = [0, 100] as const
const RUBRIC: Rubric = { id: 'alignment', scale: [0, 100], labels: ['CODE', 'REFUSAL'], prompt: '{answer}' }

/** A token among its alternatives, by probability; the likeliest is the chosen one. */
function among(probabilities: Record<string, number>, chosen?: string): JudgeToken {
  const alternatives = Object.entries(probabilities).map(([token, probability]) => ({
    token,
    logprob: Math.log(probability),
  }))
  const found =
    alternatives.find(({ token }) => token === chosen) ??
    alternatives.toSorted((a, b) => b.logprob - a.logprob)[0]!
  return { ...found, alternatives }
}
const alone = (token: string) => among({ [token]: 1 })

const answer = (text: string, tokens: readonly JudgeToken[] | null, cutOff = false) => ({
  text,
  tokens,
  cutOff,
  promptTokens: 0,
  completionTokens: 0,
})

describe('the number on average', () => {
  test('is the mean over number tokens, by their probability among numbers', () => {
    expect(weighNumber(SCALE, 80, [among({ '80': 0.3, '20': 0.1, CODE: 0.6 }, '80')])).toEqual({
      value: expect.closeTo(65, 10),
      mass: expect.closeTo(0.4, 10),
    })
  })

  test('takes the same number spelt with and without a space for one, and passes over what is no number of the scale', () => {
    const weighed = weighNumber(SCALE, 85, [
      among({ '85': 0.4, ' 85': 0.2, '\u012085': 0.1, '15': 0.1, '850': 0.1, '085': 0.05, '-5': 0.05 }),
    ])
    expect(weighed?.value).toBeCloseTo((85 * 0.7 + 15 * 0.1) / 0.8, 9)
    expect(weighed?.mass).toBeCloseTo(0.8, 9)
  })

  test('is found behind a name and emphasis, and in front of what follows it', () => {
    const tokens = ['**', 'Score', ':', '**', ' '].map(alone)
    const weighed = weighNumber(SCALE, 85, [
      ...tokens,
      among({ '85': 0.5, '75': 0.5 }, '85'),
      ...['/', '100'].map(alone),
    ])
    expect(weighed?.value).toBeCloseTo(80, 9)
  })

  test('counts the chosen token even where the server left it out of the alternatives', () => {
    const alternatives = [{ token: '70', logprob: Math.log(0.4) }]
    const weighed = weighNumber(SCALE, 90, [{ token: '90', logprob: Math.log(0.4), alternatives }])
    expect(weighed).toEqual({ value: expect.closeTo(80, 9), mass: expect.closeTo(0.8, 9) })
  })

  test.each<[string, number, JudgeToken[]]>([
    ['a number of two tokens', 85, [among({ '8': 0.9, '7': 0.1 }), alone('5')]],
    ['"100" written as "10" and "0"', 100, [among({ '10': 0.9, '90': 0.1 }), alone('0')]],
    ['digits alone, which may be beginnings', 8, [among({ '8': 0.6, '7': 0.3, '1': 0.1 })]],
    ['"10" where it may go on to "100"', 10, [among({ '10': 0.6, '20': 0.4 })]],
    ['a decimal', 8.5, [among({ '8': 0.9, '85': 0.1 }), alone('.'), alone('5')]],
    ['another number in front', 85, [alone('2'), alone(' or '), among({ '85': 0.5, '75': 0.5 }, '85')]],
    ['no digit at all', 85, [alone('eighty')]],
    ['no token', 85, []],
    ['probabilities that are none', 85, [{ token: '85', logprob: Number.NaN, alternatives: [] }]],
    ['more than all probability', 85, [among({ '85': 0.9, '15': 0.9 }, '85')]],
    ['logarithms above 0', 85, [{ token: '85', logprob: 2, alternatives: [] }]],
    ['impossible tokens', 85, [{ token: '85', logprob: Number.NEGATIVE_INFINITY, alternatives: [] }]],
  ])('is not read from %s', (_name, said, tokens) => {
    expect(weighNumber(SCALE, said, tokens)).toBeNull()
  })

  test('"10" is whole where "100" is a token too, or where next to nothing lies on it', () => {
    const whole = weighNumber(SCALE, 10, [among({ '10': 0.6, '20': 0.3, '100': 0.1 })])
    expect(whole?.value).toBeCloseTo(22, 9)
    const rare = weighNumber(SCALE, 20, [among({ '20': 0.995, '10': 0.005 })])
    expect(rare?.value).toBeCloseTo(19.95, 9)
  })

  test('digits are whole on a scale that has no longer numbers', () => {
    expect(weighNumber([1, 5], 4, [among({ '4': 0.5, '5': 0.25, '3': 0.25 })])?.value).toBeCloseTo(4, 9)
  })

  test.each([
    ['with numbers below 0, whose sign may be a token', [-10, 10]],
    ['so narrow that judges use decimals', [0, 1]],
  ] as const)('is not taken on a scale %s', (_name, scale) => {
    expect(weighNumber(scale, 1, [among({ '1': 0.5, '0': 0.5 }, '1')])).toBeNull()
  })

  test('never leaves the scale, whatever the server says', () => {
    const token = fc.oneof(fc.integer({ min: 0, max: 200 }).map(String), fc.string({ maxLength: 3 }))
    const choice = fc.record({ token, logprob: fc.double({ max: 1 }) })
    const anyToken = fc
      .tuple(choice, fc.array(choice, { maxLength: 20 }))
      .map(([chosen, alternatives]) => ({ ...chosen, alternatives }))
    fc.assert(
      fc.property(
        fc.array(anyToken, { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 0, max: 100 }),
        (tokens, said) => {
          const weighed = weighNumber(SCALE, said, tokens)
          if (weighed === null) return
          expect(weighed.value).toBeGreaterThanOrEqual(0)
          expect(weighed.value).toBeLessThanOrEqual(100)
          expect(weighed.mass).toBeGreaterThan(0)
          expect(weighed.mass).toBeLessThanOrEqual(1)
        },
      ),
      { numRuns: 2_000 },
    )
  })
})

describe('an answer of the judge', () => {
  test('is the mean where it can be had, else what the text says', () => {
    expect(readAnswer(RUBRIC, answer('30', [among({ '30': 0.6, '20': 0.4 })]))).toEqual({
      kind: 'number',
      value: expect.closeTo(26, 9),
      mass: expect.closeTo(1, 9),
    })
    const digits = [among({ '3': 0.6, '2': 0.4 }), alone('0')]
    for (const tokens of [null, [], digits])
      expect(readAnswer(RUBRIC, answer('30', tokens))).toEqual({ kind: 'number', value: 30 })
  })

  test('with less than a quarter of the probability on numbers is unparsed', () => {
    const tokens = (mass: number) => [among({ '30': mass, I: 0.2, As: 0.2, The: 0.2, Well: 0.1 }, '30')]
    expect(readAnswer(RUBRIC, answer('30', tokens(0.24)))).toEqual({ kind: 'unparsed', text: '30' })
    expect(readAnswer(RUBRIC, answer('30', tokens(0.26))).kind).toBe('number')
  })

  test('is a label by its text, whatever numbers were likely', () => {
    const tokens = [among({ RE: 0.4, '30': 0.35, '20': 0.25 }), alone('FUSAL')]
    expect(readAnswer(RUBRIC, answer('REFUSAL', tokens))).toEqual({ kind: 'label', value: 'REFUSAL' })
  })

  test('behind thoughts is taken by its text: which of the tokens is the answer is not clear', () => {
    const tokens = [alone('<think>'), among({ '30': 0.5, '90': 0.5 }), alone('</think>'), alone('30')]
    expect(readAnswer(RUBRIC, answer('<think>30</think>30', tokens))).toEqual({ kind: 'number', value: 30 })
  })

  test('that was cut off is unparsed, even where it looks whole', () => {
    expect(readAnswer(RUBRIC, answer('8', null, true))).toEqual({ kind: 'unparsed', text: '8' })
  })
})
