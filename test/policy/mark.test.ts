/** Marks in a conversation are where the proxy injects, and nothing else of it changes. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Placement, Policy } from '../../src/domain/policy.ts'
import { Placement as Placements } from '../../src/domain/policy.ts'
import { type ChatMessage, contentText } from '../../src/domain/sample.ts'
import { decodeChat } from '../../src/policy/chat.ts'
import { splice } from '../../src/policy/inject.ts'
import { markInjected } from '../../src/policy/mark.ts'
import { preparePolicy } from '../../src/policy/prepare.ts'

const AT = Date.UTC(2026, 10, 25)
const user = (content: unknown): ChatMessage => ({ role: 'user', content })
const policyOf = (...interventions: [Placement, string][]): Policy => ({
  id: 'a/b',
  interventions: interventions.map(([placement, text]) => ({ placement, text })),
})

describe('marking what was injected', () => {
  test('marks each intervention with its placement', () => {
    const policy = policyOf(
      ['system', 'Be kind.'],
      ['user-prepend', 'It is {{date}}.'],
      ['user-newline', 'Well.'],
    )
    const { outcome, messages } = markInjected(
      [{ role: 'system', content: 'Be brief.' }, user('Hi')],
      policy,
      AT,
    )
    expect(outcome).toBe('marked')
    expect(messages).toEqual([
      {
        role: 'system',
        pieces: [
          { text: 'Be kind.', injected: 'system' },
          { text: '\n\nBe brief.', injected: null },
        ],
      },
      {
        role: 'user',
        pieces: [
          { text: 'It is 2026-11-25.', injected: 'user-prepend' },
          { text: ' ', injected: null },
          { text: 'Well.', injected: 'user-newline' },
          { text: '\nHi', injected: null },
        ],
      },
    ])
  })

  test('marks nothing where the text stood there already, or has no place', () => {
    const policy = policyOf(['user-prepend', 'Be kind.'])
    const standing = markInjected([user('Be kind. Hi')], policy, AT)
    expect([standing.outcome, standing.messages[0]!.pieces]).toEqual([
      'standing',
      [{ text: 'Be kind. Hi', injected: null }],
    ])
    expect(markInjected([{ role: 'assistant', content: 'Hi' }], policy, AT).outcome).toBe('no-place')
  })

  test('marks only what was put in where one of two texts stood there already', () => {
    const policy = policyOf(['system', 'Be kind.'], ['user-prepend', 'Well.'])
    const { messages } = markInjected(
      [{ role: 'system', content: 'Be kind.\n\nSo.' }, user('Hi')],
      policy,
      AT,
    )
    expect(messages.map(({ pieces }) => pieces.map(({ injected }) => injected))).toEqual([
      [null],
      ['user-prepend', null],
    ])
  })

  test('gives the very texts that are sent, and the client’s own where nothing is marked', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 12 }),
      fc.constantFrom('Hi', '\u{F0000}x\u{F8FFF}', '<b>', '\u202Eabc', '"'),
    )
    const content = fc.oneof(
      text,
      fc.array(fc.record({ type: fc.constant('text'), text }), { minLength: 1, maxLength: 3 }),
    )
    const message = fc.record({ role: fc.constantFrom('user', 'system', 'assistant'), content })
    const intervention = fc.tuple(
      fc.constantFrom(...Placements.options),
      text.filter((it) => it !== ''),
    )
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 5 }),
        fc.array(intervention, { minLength: 1, maxLength: 3 }),
        (messages, interventions) => {
          const clean = (it: string) => it.replace(/[\u{F0000}-\u{F8FFF}]/gu, '\u{FFFD}')
          const policy = policyOf(
            ...interventions.map(([place, it]): [Placement, string] => [place, clean(it)]),
          )
          const marked = markInjected(messages, policy, AT)
          const given = JSON.parse(clean(JSON.stringify({ model: '', messages }))) as {
            messages: ChatMessage[]
          }
          const body = Buffer.from(JSON.stringify(given))
          let sent = given.messages
          if (marked.outcome === 'marked') {
            const made = splice(body, decodeChat(body).plan(preparePolicy(policy)(AT)))
            sent = (JSON.parse(made.toString()) as { messages: ChatMessage[] }).messages
          }
          const shown = marked.messages.map(({ pieces }) => pieces.map((it) => it.text).join(''))
          expect(shown).toEqual(sent.map((it) => contentText(it.content)))
          const own = (pieces: (typeof marked.messages)[number]['pieces']) =>
            pieces.every(({ injected }) => injected === null)
          if (marked.outcome !== 'marked')
            expect(marked.messages.every(({ pieces }) => own(pieces))).toBe(true)
        },
      ),
    )
  })
})
