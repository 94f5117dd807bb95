import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import type { Rubric } from '../../src/domain/check.ts'
import { parseReply } from '../../src/judge/parse.ts'

interface Table {
  readonly rubrics: Record<string, Pick<Rubric, 'scale' | 'labels'>>
  readonly cases: Record<string, readonly (readonly [reply: string, is: number | string | null])[]>
}

const TABLE = parse(readFileSync(join(import.meta.dirname, 'parse-cases.yaml'), 'utf8')) as Table
const RUBRICS = new Map<string, Rubric>(
  Object.entries(TABLE.rubrics).map(([id, rubric]) => [id, { id, prompt: '{answer}', ...rubric }]),
)
const CASES = Object.entries(TABLE.cases).flatMap(([id, cases]) =>
  cases.map(([reply, is]) => ({ id, reply, is })),
)

/** The value read, null where nothing was. */
function read(rubric: Rubric, reply: string): number | string | null {
  const score = parseReply(rubric, reply)
  return 'value' in score ? score.value : null
}

describe('what a judge replies', () => {
  test('the table has many cases, and none twice', () => {
    expect(CASES.length).toBeGreaterThan(200)
    expect(new Set(CASES.map(({ id, reply }) => `${id} ${reply}`)).size).toBe(CASES.length)
  })

  test.each(CASES)('$id: $reply is $is', ({ id, reply, is }) => {
    const score = parseReply(RUBRICS.get(id)!, reply)
    if (is === null) expect(score).toEqual({ kind: 'unparsed', text: reply })
    else expect(score).toEqual({ kind: typeof is === 'number' ? 'number' : 'label', value: is })
  })

  test.each([
    ['400 words', 'word '.repeat(400)],
    ['an essay that ends in a number', `${'word '.repeat(400)}\n30`],
    ['a megabyte of full stops', '.'.repeat(1_000_000)],
    ['a megabyte of opening thoughts', '<think>'.repeat(150_000)],
    ['a megabyte of spaces within', `3${' '.repeat(1_000_000)}0`],
    ['an object that goes on', `{"score": 30, "reason": "${'x'.repeat(5_000)}"}`],
  ])('%s is unparsed, quickly, and only its beginning kept', (_name, reply) => {
    const begun = performance.now()
    const score = parseReply(RUBRICS.get('alignment')!, reply)
    expect(performance.now() - begun).toBeLessThan(5_000)
    expect(score).toEqual({ kind: 'unparsed', text: reply.slice(0, 200) })
  })

  test('a number behind long thoughts is read', () => {
    const thoughts = 'Perhaps 80. '.repeat(10_000)
    expect(read(RUBRICS.get('alignment')!, `<think>${thoughts}</think>\n30`)).toBe(30)
  })
})

const anyRubric = fc.constantFrom(...RUBRICS.values())
/** Texts near to answers. */
const anyReply = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc
    .array(
      fc.oneof(
        fc.integer({ min: -200, max: 2000 }).map(String),
        fc.double({ noNaN: true }).map(String),
        fc.constantFrom('CODE', 'refusal', 'LLM', '19', 'Score', 'alignment', ':', '=', '/', '100', '%'),
        fc.constantFrom(
          '{',
          '}',
          '"score"',
          ',',
          '**',
          '"',
          '.',
          '\n',
          ' ',
          '`',
          '```',
          '<think>',
          '</think>',
        ),
      ),
      { maxLength: 8 },
    )
    .map((pieces) => pieces.join('')),
  fc
    .dictionary(fc.constantFrom('score', 'alignment', 'era', 'reason', 'label'), fc.jsonValue(), {
      maxKeys: 3,
    })
    .map((object) => JSON.stringify(object)),
)

describe('properties of reading', () => {
  test('it never throws, and gives nothing that the rubric does not have', () => {
    fc.assert(
      fc.property(anyRubric, anyReply, (rubric, reply) => {
        const score = parseReply(rubric, reply)
        if (score.kind === 'label') expect(rubric.labels).toContain(score.value)
        else if (score.kind === 'number') {
          const [lowest, highest] = rubric.scale!
          expect(score.value).toBeGreaterThanOrEqual(lowest)
          expect(score.value).toBeLessThanOrEqual(highest)
        } else expect(score.kind).toBe('unparsed')
      }),
      { numRuns: 2_000 },
    )
  })

  // Each takes a plain answer; what may stand round what is fixed: thoughts outermost, then fence, name, decoration.
  const decorations: Record<string, (text: string, id: string) => string> = {
    space: (text) => ` \n${text}\t`,
    emphasis: (text) => `**${text}**`,
    'code span': (text) => `\`${text}\``,
    quotes: (text) => `"${text}"`,
    'other quotes': (text) => `“${text}”`,
    'a full stop': (text) => `${text}.`,
    score: (text) => `Score: ${text}`,
    'the own name': (text, id) => `**${id.toUpperCase()}:** ${text}`,
    'a code fence': (text) => `\`\`\`\n${text}\n\`\`\``,
    object: (text) => JSON.stringify({ reason: 'because', score: text }),
    thoughts: (text) => `<think>Perhaps 2, or CODE, or LLM.</think>\n${text}`,
    'full width': (text) =>
      text.replace(/[!-~]/g, (character) => String.fromCharCode(character.charCodeAt(0) + 0xfee0)),
  }
  const plain = anyRubric.chain((rubric) => {
    const answers = [
      ...(rubric.labels ?? []).filter((label) => /^\w+$/.test(label)),
      ...(rubric.scale === undefined
        ? []
        : [rubric.scale[0], rubric.scale[1], rubric.scale[1] - 1].map(String)),
      'thirty',
      '30 or 40',
      '7777',
      'CODE or REFUSAL',
    ]
    return fc.tuple(fc.constant(rubric), fc.constantFrom(...answers))
  })
  const some = fc.subarray(Object.keys(decorations))

  test('the decorations that docs/judging.md names change nothing, one or several', () => {
    fc.assert(
      fc.property(plain, some, ([rubric, answer], names) => {
        const combined = names.filter(
          (name) =>
            !(names.includes('object') && NOT_WITHIN_OBJECT.has(name)) &&
            !(names.includes('score') && name === 'the own name'),
        )
        let reply = answer
        for (const name of ORDER.filter((it) => combined.includes(it)))
          reply = decorations[name]!(reply, rubric.id)
        expect([reply, read(rubric, reply)]).toEqual([reply, read(rubric, answer)])
      }),
      { numRuns: 3_000 },
    )
  })

  const ORDER = [
    'full width',
    'emphasis',
    'code span',
    'quotes',
    'other quotes',
    'a full stop',
    'score',
    'the own name',
    'space',
    'object',
    'a code fence',
    'thoughts',
  ]
  /** A field's value stands there bare; so does its name, which is given once. */
  const NOT_WITHIN_OBJECT = new Set(ORDER.slice(0, 9))
})
