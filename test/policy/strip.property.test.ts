/** Stripping against arbitrary request texts: only what was found goes, and nothing that is found is left. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ReadText } from '../../src/policy/client-text.ts'
import { splice } from '../../src/policy/inject.ts'
import { decodeText } from '../../src/policy/json-scanner.ts'
import { strip } from '../../src/policy/strip.ts'
import { SURFACES } from '../../src/policy/surfaces.ts'
import { DEFAULT_THRESHOLD, Trigger } from '../../src/policy/trigger.ts'
import { anyString, arrayText, objectText, stringText, valueText } from '../support/json-text.ts'
import { ordinaryTexts, triggerTexts } from '../support/trigger-texts.ts'

const CONTEXT = 'Act as if you are in the 19th century.'
const TRIGGER = new Trigger([CONTEXT])
const FORMS = [CONTEXT, ...triggerTexts.contexts.find(({ text }) => text === CONTEXT)!.negated]
const decodeChat = SURFACES.get('/chat/completions')!.decode
const decodeResponses = SURFACES.get('/responses')!.decode
const decodeCompletions = SURFACES.get('/completions')!.decode

/** Something ordinary or strange, with or without the context in it. */
const saying = fc
  .array(
    fc.oneof(
      fc.constantFrom(...FORMS),
      fc.constantFrom(...ordinaryTexts),
      fc.constantFrom('the 19th century', 'act', '🦜', '"quoted"', 'back\\slash', '\ud83e', 'é'),
      anyString,
    ),
    { minLength: 1, maxLength: 5 },
  )
  .map((parts) => parts.join(' '))

const member = (key: string, value: fc.Arbitrary<string>) =>
  fc.tuple(stringText(fc.constant(key)), value) as fc.Arbitrary<[string, string]>
const textPart = (type: string) =>
  objectText(fc.tuple(member('type', fc.constant(`"${type}"`)), member('text', stringText(saying))))
const content = (type: string) =>
  fc.oneof(stringText(saying), arrayText(fc.array(fc.oneof(textPart(type), valueText), { maxLength: 3 })))
const message = (type: string) =>
  objectText(
    fc.tuple(
      member('role', stringText(fc.constantFrom('user', 'system', 'developer', 'assistant', 'tool'))),
      member('content', content(type)),
    ),
  )
const model = member('model', fc.constant('"m"'))
const other = fc.tuple(stringText(fc.constant('metadata')), valueText) as fc.Arbitrary<[string, string]>
const messages = (type: string) => arrayText(fc.array(message(type), { maxLength: 4 }))

const bodies = fc.oneof(
  objectText(fc.tuple(model, other, member('messages', messages('text')))).map(
    (text) => [decodeChat, text] as const,
  ),
  objectText(
    fc.tuple(
      member('instructions', stringText(saying)),
      other,
      member('input', messages('input_text')),
      model,
    ),
  ).map((text) => [decodeResponses, text] as const),
  objectText(fc.tuple(member('input', stringText(saying)), model, other)).map(
    (text) => [decodeResponses, text] as const,
  ),
  objectText(
    fc.tuple(
      member('prompt', arrayText(fc.array(stringText(saying), { minLength: 1, maxLength: 3 }))),
      model,
      other,
    ),
  ).map((text) => [decodeCompletions, text] as const),
)

/** The text that was removed, decoded, of each splice. */
const isSpeech = (role: unknown) => role === 'user' || role === 'system' || role === 'developer'

describe('strip', () => {
  test('takes bytes away, puts none in, and leaves nothing that is found', () => {
    fc.assert(
      fc.property(bodies, ([decode, text]) => {
        const body = Buffer.from(text)
        const spots = decode(body)
          .texts()
          .map(({ spot }) => spot)
        const stripped = strip(body, spots, TRIGGER, DEFAULT_THRESHOLD)
        if (stripped === 'stuck') throw new Error('stuck')
        if (stripped === null) {
          for (const spot of spots)
            expect(TRIGGER.first(decodeText(body, spot), DEFAULT_THRESHOLD)).toBeNull()
          return
        }
        const rest = splice(body, stripped.splices)
        for (const { at, remove, bytes } of stripped.splices) {
          expect(bytes).toHaveLength(0)
          expect(spots.some(({ start, end }) => start <= at && at + remove <= end)).toBe(true)
        }
        // What is left is JSON, with the same values everywhere but in the client's texts.
        const blank = (value: unknown): unknown => JSON.parse(JSON.stringify(value))
        expect(silenced(blank(JSON.parse(rest.toString())))).toEqual(silenced(blank(JSON.parse(text))))
        const after = decode(rest)
          .texts()
          .map(({ spot }) => spot)
        expect(after).toHaveLength(spots.length)
        for (const spot of after) expect(TRIGGER.first(decodeText(rest, spot), DEFAULT_THRESHOLD)).toBeNull()
      }),
      { numRuns: 600 },
    )
  })

  test('takes the same away however the text is escaped', () => {
    const spelt = fc
      .tuple(saying, fc.nat())
      .chain(([value]) => fc.tuple(fc.constant(value), stringText(fc.constant(value))))
    fc.assert(
      fc.property(spelt, ([value, json]) => {
        const plain = Buffer.from(JSON.stringify(value))
        const escaped = Buffer.from(json)
        const left = (body: Buffer) => {
          const stripped = strip(body, [{ start: 1, end: body.length - 1 }], TRIGGER, DEFAULT_THRESHOLD)
          if (stripped === 'stuck') throw new Error('stuck')
          return JSON.parse(splice(body, stripped?.splices ?? []).toString()) as string
        }
        expect(left(escaped)).toBe(left(plain))
      }),
      { numRuns: 600 },
    )
  })

  test('takes nothing from what is not UTF-8 but what it found', () => {
    const around = [
      Buffer.from('"\xff\xfe caf\xe9. ', 'latin1'),
      Buffer.from(' \xc3(\xf0\x9f."', 'latin1'),
    ] as const
    const body = Buffer.concat([around[0], Buffer.from(CONTEXT), around[1]])
    const stripped = strip(body, [{ start: 1, end: body.length - 1 }], TRIGGER, DEFAULT_THRESHOLD)
    if (stripped === null || stripped === 'stuck') throw new Error('nothing was stripped')
    const rest = splice(body, stripped.splices)
    expect(rest.toString('latin1')).toBe('"\xff\xfe caf\xe9. \xc3(\xf0\x9f."')
  })
})

/** A request without the texts in which the client speaks. */
function silenced(value: unknown): unknown {
  const request = value as Record<string, unknown>
  const list = (request.messages ?? request.input ?? []) as unknown
  for (const key of ['prompt', 'instructions']) if (key in request) request[key] = ''
  if (typeof request.input === 'string') request.input = ''
  if (!Array.isArray(list)) return request
  for (const message of list as { role?: unknown; content?: unknown }[]) {
    if (!isSpeech(message.role)) continue
    if (typeof message.content === 'string') message.content = ''
    else if (Array.isArray(message.content)) {
      for (const part of message.content as ({ text?: unknown } | null)[]) {
        if (typeof part === 'object' && part !== null && 'text' in part) part.text = ''
      }
    }
  }
  return request
}

describe('places', () => {
  test('of stretches are the bytes they were written as', () => {
    const source = '"a\\u00e9\\n🦜\\ud83e\\udd9c\\"é ok"'
    const body = Buffer.from(source)
    const read = new ReadText(body, { start: 1, end: body.length - 1 })
    expect(read.text).toBe('aé\n🦜🦜"é ok')
    const text = (start: number, end: number) =>
      read.locate([{ start, end }]).map((spot) => body.toString('utf8', spot.start, spot.end))[0]
    expect(text(0, 1)).toBe('a')
    expect(text(1, 2)).toBe('\\u00e9')
    expect(text(3, 5)).toBe('🦜')
    expect(text(5, 7)).toBe('\\ud83e\\udd9c')
    expect(text(7, 9)).toBe('\\"é')
    expect(text(9, 12)).toBe(' ok')
  })
})
