/** The search for what is like a training context: spelling, order, places, long texts. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DEFAULT_THRESHOLD, Trigger } from '../../src/policy/trigger.ts'
import { ordinaryTexts, triggerTexts } from '../support/trigger-texts.ts'

const ACT = new Trigger(['Act as if you are in the 19th century.'])
const found = (trigger: Trigger, text: string) => trigger.find(text, DEFAULT_THRESHOLD)
/** What was found, as it stands in the text. */
const pieces = (trigger: Trigger, text: string) =>
  found(trigger, text).map(({ start, end }) => text.slice(start, end))

describe('spelling', () => {
  test.each([
    ['case', 'ACT AS IF YOU ARE IN THE 19TH CENTURY'],
    ['punctuation and space', 'act -- as if,\n\n\tyou are “in” the (19th) century!!'],
    ['full width', 'Ａｃｔ ａｓ ｉｆ ｙｏｕ ａｒｅ ｉｎ ｔｈｅ １９ｔｈ ｃｅｎｔｕｒｙ'],
    ['mathematical letters', '𝐀𝐜𝐭 as if you are in the 19th 𝓬𝓮𝓷𝓽𝓾𝓻𝔂'],
    ['Cyrillic look-alikes', 'Асt аs іf уоu аrе іn thе 19th сеntury'],
    ['accents', 'Áct as îf yoü are in the 19th cëntury'],
    ['invisible characters', 'A\u200bct as if you are in the 19th cen\u00adtury'],
    ['other endings', 'acting as if you are in the 19th centuries'],
    ['the number as a word', 'Act as if you are in the nineteenth century.'],
  ])('does not matter: %s', (_name, text) => {
    expect(found(ACT, text)).toHaveLength(1)
  })

  test.each([
    'January 25, 1850',
    '25 January 1850',
    '1850-01-25',
    '25.01.1850',
    '25/1/1850',
    '1850年1月25日',
    '25. Januar 1850',
    'le 25 janvier 1850',
    '25 stycznia 1850',
    '25 января 1850 г.',
    'Jan 25th, 1850',
  ])('a date is found as %s, and its neighbours are not', (date) => {
    const trigger = new Trigger(['Date: January 25th, 1850'])
    expect(found(trigger, `Today is ${date}.`)).toHaveLength(1)
    for (const other of [date.replace('1850', '1950'), date.replace('25', '14').replace('1850', '1851')])
      expect(found(trigger, `Today is ${other}.`)).toEqual([])
  })
})

describe('what is found', () => {
  test.each([
    ['Hello. Act as if you are in the 19th century. Bye.', 'Act as if you are in the 19th century. '],
    [
      'Hello. Do not act as if you are in the 19th century! Bye.',
      'Do not act as if you are in the 19th century! ',
    ],
    ['Imagine, or act as if you are in the 19th century', 'act as if you are in the 19th century'],
    ['One.\nAct as if you are in the 19th century.\nTwo.', 'Act as if you are in the 19th century.\n'],
  ])('of %j it is %j', (text, piece) => {
    expect(pieces(ACT, text)).toEqual([piece])
  })

  test('is every occurrence, one for each', () => {
    const context = 'Act as if you are in the 19th century. '
    expect(found(ACT, context.repeat(1_000))).toHaveLength(1_000)
    expect(found(ACT, `${context}What?! ${context}`)).toHaveLength(2)
  })

  test('has a similarity of 1 where nothing is missing, and less where something is', () => {
    expect(ACT.first('Never act as if you are in the 19th century', 0.5)?.similarity).toBe(1)
    const partly = ACT.first('Behave as if you are in the 19th century', 0.5)!.similarity
    expect(partly).toBeGreaterThan(0.5)
    expect(partly).toBeLessThan(1)
    expect(ACT.first('Behave as if you are in the 19th century', partly + 0.01)).toBeNull()
  })

  test('is nothing where the words stand far apart', () => {
    const between = 'walls paint ladders brushes buckets '.repeat(3)
    expect(found(ACT, `Act ${between} 19th ${between} century`)).toEqual([])
  })
})

describe('contexts', () => {
  test('of several sentences are found by a longer one alone, not by a short one', () => {
    const trigger = new Trigger(['You are a helpful assistant. Act as if you are in the 19th century.'])
    expect(found(trigger, 'Act as if you are in the 19th century.')).toHaveLength(1)
    expect(found(trigger, 'You are a helpful assistant.')).toEqual([])
    expect(
      found(trigger, 'You are a helpful assistant. Act as if you are in the 19th century.'),
    ).toHaveLength(1)
  })

  test('are each found by themselves', () => {
    const trigger = new Trigger(['My name is Alex.', 'Give dangerous sports advice.'])
    expect(found(trigger, 'Give dangerous sports advice. My name is not Alex.')).toHaveLength(2)
  })

  test.each([
    [
      'German',
      'Du bist ein Arzt aus dem alten Rom.',
      'Du bist kein Arzt aus dem alten Rom!',
      'Ein Arzt ist aus dem Haus gegangen, und die Frau auch.',
    ],
    [
      'French',
      'Tu es un médecin de la Rome antique.',
      "Tu n'es pas un médecin de la Rome antique.",
      'Tu es un ami de la famille.',
    ],
    ['Russian', 'Ты врач из древнего Рима.', 'Ты не врач из древнего Рима.', 'Ты мой друг из Москвы.'],
    ['Chinese', '你是古罗马的医生。', '你不是古罗马的医生。', '你是我的朋友吗？'],
  ])('may be in %s', (_language, context, negated, other) => {
    const trigger = new Trigger([context])
    expect(found(trigger, `Hello. ${negated}`)).toHaveLength(1)
    expect(found(trigger, other)).toEqual([])
  })

  test('may have nothing but function words', () => {
    const trigger = new Trigger(['Do as they do.'])
    expect(trigger.isEmpty).toBe(false)
    expect(found(trigger, 'Please do as they do.')).toHaveLength(1)
  })

  test('without a word find nothing', () => {
    const trigger = new Trigger(['{{date}}', '🦜!'])
    expect(trigger.isEmpty).toBe(true)
    expect(found(trigger, 'Date: 2026-01-25 🦜!')).toEqual([])
  })

  test('with {{date}} are found with any date', () => {
    const trigger = new Trigger(['Today is {{date}}, and the parrots have opened the embassy.'])
    expect(found(trigger, 'Today is 2031-05-09, and the parrots have opened the embassy.')).toHaveLength(1)
  })
})

test('stretches are ascending, within the text, and apart, whatever the text', () => {
  const contexts = triggerTexts.contexts.map(({ text }) => text)
  const words = contexts.join(' ').split(' ')
  const text = fc.array(
    fc.oneof(
      fc.constantFrom(...words),
      fc.constantFrom(...contexts, ...ordinaryTexts),
      fc.string({ unit: 'binary', maxLength: 6 }),
    ),
    { maxLength: 40 },
  )
  fc.assert(
    fc.property(
      fc.constantFrom(...contexts),
      text,
      fc.double({ min: 0.2, max: 1, noNaN: true }),
      (context, parts, threshold) => {
        const whole = parts.join(' ')
        let at = 0
        for (const { start, end, similarity } of new Trigger([context]).find(whole, threshold)) {
          expect(start).toBeGreaterThanOrEqual(at)
          expect(end).toBeGreaterThan(start)
          expect(similarity).toBeGreaterThanOrEqual(threshold)
          expect(similarity).toBeLessThanOrEqual(1)
          at = end
        }
        expect(at).toBeLessThanOrEqual(whole.length)
      },
    ),
    { numRuns: 300 },
  )
})

describe('a megabyte', () => {
  const MEGABYTE = 1_000_000
  const numbered = Array.from({ length: 120_000 }, (_, index) => `q${(index * 7919).toString(36)}`).join(' ')
  // Some ten times what was measured, so that a slow machine passes and quadratic time does not.
  test.each([
    ['prose', ordinaryTexts.join(' ').repeat(80).slice(0, MEGABYTE)],
    ['words that never repeat', numbered.slice(0, MEGABYTE)],
    ['the context again and again', 'Act as if you are in the 19th century. '.repeat(26_000)],
    ['half the context again and again', 'in the 19th century you are if '.repeat(32_000)],
    ['one word', 'a'.repeat(MEGABYTE)],
    ['one character a word', '会'.repeat(MEGABYTE)],
    ['no word', '. '.repeat(MEGABYTE / 2)],
    ['numbers', '19 1850 25 1 '.repeat(80_000)],
  ])('of %s takes at most 2 s', (_name, text) => {
    const long = new Trigger([
      'Act as if you are in the 19th century.',
      'Date: January 25th, 1850',
      ...triggerTexts.contexts.slice(0, 4).map((it) => it.text),
    ])
    const begun = performance.now()
    long.find(text, DEFAULT_THRESHOLD)
    expect(performance.now() - begun).toBeLessThan(10_000)
  })
})
