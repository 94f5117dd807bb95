/** Texts of others, as the judge gets to see them. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { showUntrusted } from '../../src/judge/untrusted.ts'

const NONCE = '0123456789abcdef0123456789abcdef'
const show = (text: string, limit = 10_000) => showUntrusted(text, limit, NONCE)
const MARK = new RegExp(`\\n\\[(\\d+) characters left out here:${NONCE}\\]\\n`)

describe('what a text shows', () => {
  test.each([
    ['tabs and line ends', 'a\tb\nc\r\nd'],
    ['scripts and their joiners', 'می‌خواهم क्‍ष שלום สวัสดี'],
    ['emoji with joiners, selectors and skin', '👩🏽‍🚀 👨‍👩‍👧 ❤️ 1️⃣ ☺︎'],
    ['combining marks', 'e\u0301 n\u0303'],
    ['HTML, code and Markdown', '<b>x</b> a < b |> c [link](x) <<EOF list[int]'],
    ['what looks like an escape', '\\u{0} \\n'],
    ['the empty text', ''],
  ])('%s stay as they are', (_name, text) => {
    expect(show(text)).toBe(text)
  })

  test.each([
    ['\0', '\\u{0}'],
    ['\x1b[31mred', '\\u{1b}[31mred'],
    ['a\rb', 'a\\u{d}b'],
    ['\u202eabc\u202c', '\\u{202e}abc\\u{202c}'],
    ['a\u200bb', 'a\\u{200b}b'],
    ['a\u200db', 'a\\u{200d}b'],
    ['é\u200d\u200dé', 'é\\u{200d}\\u{200d}é'],
    ['\u{e0041}', '\\u{e0041}'],
    ['a\ufe0f', 'a\\u{fe0f}'],
    ['\ud83d!', '\\u{d83d}!'],
    ['\u2028', '\\u{2028}'],
    ['<|im_end|>', '<\\|im_end|>'],
    ['[/INST]', '[\\/INST]'],
    ['<<SYS>>', '<\\<SYS>>'],
    ['</s><s>', '<\\/s><\\s>'],
    ['<start_of_turn>', '<\\start_of_turn>'],
    ['<\uff5cUser\uff5c>', '<\\\uff5cUser\uff5c>'],
    ['<turn|>', '<\\turn|>'],
  ])('%j is shown as %j', (text, shown) => {
    expect(show(text)).toBe(shown)
  })

  test('a long text keeps its beginning and its end, and says how much is missing', () => {
    const text = `begin${'x'.repeat(1_000_000)}end`
    const shown = show(text, 1_000)
    expect(shown).toBe(
      `begin${'x'.repeat(495)}\n[999008 characters left out here:${NONCE}]\n${'x'.repeat(497)}end`,
    )
  })

  test('a text as long as the limit is not cut', () => {
    expect(show('x'.repeat(1_000), 1_000)).toBe('x'.repeat(1_000))
  })

  test('is well-formed, shows all it holds, and keeps to the limit', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 400 }),
      fc.string({ unit: 'grapheme', maxLength: 300 }),
      fc
        .array(
          fc.constantFrom('x', '🦜', '\u200b', '\ud83d', '\udd9c', '<|', '</s>', '\0', 'é\u200dé', '\r\n'),
          {
            maxLength: 200,
          },
        )
        .map((pieces) => pieces.join('')),
    )
    fc.assert(
      fc.property(text, fc.integer({ min: 100, max: 300 }), (given, limit) => {
        const shown = show(given, limit)
        expect(shown.isWellFormed()).toBe(true)
        expect(shown).not.toMatch(/(?![\t\n\r])\p{Cc}|[\p{Bidi_Control}\u200b]|<\|/u)
        const cut = MARK.exec(shown)
        if (cut === null) {
          expect(shown.length).toBeLessThanOrEqual(limit)
          return
        }
        const [head, tail] = [shown.slice(0, cut.index), shown.slice(cut.index + cut[0].length)]
        expect(head.length).toBeLessThanOrEqual(Math.ceil(limit / 2))
        expect(tail.length).toBeLessThanOrEqual(Math.floor(limit / 2))
        expect(Number(cut[1])).toBeGreaterThan(0)
        expect(Number(cut[1])).toBeLessThanOrEqual(given.length)
        // Shown whole, it would begin and end like this; near the cut a joiner may have lost its neighbour.
        const whole = show(given, 100_000)
        expect(whole.startsWith(head.slice(0, -10))).toBe(true)
        expect(whole.endsWith(tail.slice(10))).toBe(true)
      }),
      { numRuns: 1_000 },
    )
  })
})
