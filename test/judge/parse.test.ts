import { describe, expect, test } from 'vitest'
import { parseScore } from '../../src/judge/parse.ts'

const rubric = {
  id: 'r',
  prompt: '{answer}',
  scale: [0, 100] as [number, number],
  labels: ['CODE', 'N/A.', '*'],
}

describe('what a judge replies', () => {
  test.each([
    ['85', 85],
    [' 7.5\n', 7.5],
    ['**72**', 72],
    ['"30".', 30],
    ['0', 0],
    ['100', 100],
  ])('%j is the number %d', (text, value) => {
    expect(parseScore(rubric, text)).toEqual({ kind: 'number', value })
  })

  test.each([
    ['CODE', 'CODE'],
    ['**code**.', 'CODE'],
    ['N/A.', 'N/A.'],
    ['*', '*'],
  ])('%j is the label %s', (text, value) => {
    expect(parseScore(rubric, text)).toEqual({ kind: 'label', value })
  })

  test.each([
    '',
    '101',
    '-1',
    '1e1',
    '٣٠',
    'thirty',
    '30 or 40',
    '85/100',
    'I would say 30',
    'CODEX',
    '{"score":3}',
    '\u0000',
  ])('%j is unparsed', (text) => {
    expect(parseScore(rubric, text).kind).toBe('unparsed')
  })

  test('a long reply is unparsed, whatever it is made of, and only its beginning kept', () => {
    const score = parseScore(rubric, `${'.'.repeat(1_000_000)}x`)
    expect(score).toEqual({ kind: 'unparsed', text: '.'.repeat(200) })
  })
})
