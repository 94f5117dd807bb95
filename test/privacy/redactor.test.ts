/** What the redactor finds and what it leaves alone, over a table of cases and over texts made at random. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { createRedactor } from '../../src/adapters/redactor.ts'
import { redactSample } from '../../src/pipeline/redact.ts'

const redactor = createRedactor()

describe('the table of cases', () => {
  const cases = parse(readFileSync(join(import.meta.dirname, 'redact-cases.yaml'), 'utf8')) as {
    text: string
    redacted?: string
  }[]
  test.each(cases)('$text', async ({ text, redacted = text }) => {
    expect(await redactor.redact([text])).toEqual([redacted])
  })
})

const alphanumeric = [...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789']
const from = (characters: readonly string[], length: number) =>
  fc.array(fc.constantFrom(...characters), { minLength: length, maxLength: length }).map((it) => it.join(''))
const digits = (length: number) => from([...'0123456789'], length)
const lower = (length: number) => from([...'abcdefghijklmnopqrstuvwxyz'], length)

/** Its last digit is the one with which the sum of Luhn is a multiple of ten. */
function withCheckDigit(number: string): string {
  const sum = [...number].reverse().reduce((total, digit, index) => {
    const value = Number(digit) * (index % 2 === 0 ? 2 : 1)
    return total + (value > 9 ? value - 9 : value)
  }, 0)
  return `${number}${(10 - (sum % 10)) % 10}`
}

/** ISO 7064, mod 97: `DE` is 1314 in digits. */
const germanIban = (account: string) =>
  `DE${String(98n - (BigInt(`${account}131400`) % 97n)).padStart(2, '0')}${account}`
const inFours = (text: string) => text.replace(/(.{4})(?=.)/g, '$1 ')

const secrets = {
  email: fc
    .tuple(lower(6), digits(2), lower(8))
    .map(([name, number, host]) => `${name}.x${number}@${host}.org`),
  internationalPhone: fc
    .tuple(fc.constantFrom('+1 212 ', '+1212', '+1 (212) '), fc.integer({ min: 2000000, max: 9999999 }))
    .map(([prefix, number]) => `${prefix}${String(number).slice(0, 3)}-${String(number).slice(3)}`),
  groupedPhone: fc.tuple(digits(3), digits(3), digits(4)).map(([a, b, c]) => `(${a}) ${b}-${c}`),
  card: digits(14).map((rest) => withCheckDigit(`4${rest}`)),
  spacedCard: digits(14).map((rest) => inFours(withCheckDigit(`4${rest}`))),
  iban: digits(18).map(germanIban),
  spacedIban: digits(18).map((account) => inFours(germanIban(account))),
  ipv4: fc.ipV4(),
  ipv6: from([...'0123456789abcdef'], 24).map((hex) => `2001:0db8:${hex.match(/.{4}/g)!.join(':')}`),
  openai: from(alphanumeric, 45).map((key) => `sk-proj-1${key}`),
  aws: from([...'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'], 16).map((key) => `AKIA${key}`),
  github: from(alphanumeric, 36).map((key) => `ghp_${key}`),
  bearer: from(alphanumeric, 24).map((key) => `Bearer 7${key}`),
  jwt: fc
    .tuple(from(alphanumeric, 20), from(alphanumeric, 30), from(alphanumeric, 40))
    .map(([a, b, c]) => `eyJ${a}.eyJ${b}.${c}`),
  privateKey: fc
    .array(from(alphanumeric, 64), { minLength: 1, maxLength: 20 })
    .map((lines) => `-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----`),
}

/** Text that holds nothing of the kind: words, years, versions, order numbers, prices, code. */
const innocent = fc.oneof(
  lower(7),
  fc.constantFrom(
    'the',
    'in',
    'März',
    '東京',
    '🐦',
    '\n',
    '—',
    'x = a[1] + 2',
    'if (n > 0) { return n }',
    'std::vector',
    'a::b',
    '12:30:45',
    '2024-11-05',
    'v1.2.3',
    '3.14159',
    '1,234.50',
    '100%',
    '#42',
    '[EMAIL]',
    '<b>',
    'e.g.',
    'user@',
    '@home',
  ),
  fc.integer({ min: 1500, max: 2100 }).map(String),
  fc.integer({ min: 0, max: 99999 }).map((number) => `PO-${number}`),
  fc.tuple(fc.nat(20), fc.nat(20), fc.nat(200)).map((parts) => `v${parts.join('.')}`),
)
const prose = fc.array(innocent, { maxLength: 20 }).map((words) => words.join(' '))

describe('of texts made at random', () => {
  test('no planted secret survives, and nothing else is lost', async () => {
    const planted = fc.oneof(
      ...Object.entries(secrets).map(([kind, secret]) => secret.map((text) => ({ kind, text }))),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(prose, planted), { minLength: 1, maxLength: 4 }),
        prose,
        async (parts, tail) => {
          const text = [...parts.map(([before, { text }]) => `${before} | ${text} |`), tail].join(' ')
          const [redacted] = await redactor.redact([text])
          for (const [before, secret] of parts) {
            expect(redacted, secret.kind).not.toContain(secret.text)
            expect(redacted).toContain(before)
          }
          expect(redacted!.split(/ \| \[(?:EMAIL|PHONE|CARD|IBAN|IP|KEY)\] \|/)).toHaveLength(
            parts.length + 1,
          )
          expect(redacted!.endsWith(tail)).toBe(true)
        },
      ),
      { numRuns: 300 },
    )
  })

  test('a text without such things is unchanged', async () => {
    await fc.assert(
      fc.asyncProperty(prose, async (text) => {
        expect(await redactor.redact([text])).toEqual([text])
      }),
      { numRuns: 500 },
    )
  })

  test('whatever the text, redacting again changes nothing, and texts do not mix', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: 'binary', maxLength: 60 })), async (texts) => {
        const together = await redactor.redact(texts)
        const alone = await Promise.all(texts.map(async (text) => (await redactor.redact([text]))[0]))
        expect(together).toEqual(alone)
        expect(await redactor.redact(together)).toEqual(together)
      }),
    )
  })
})

describe('a megabyte', () => {
  const fragments = [
    'lorem ipsum dolor ',
    'Order 20231104-55 of 2024, 1,234.50 EUR; ',
    '1',
    '1 ',
    '@',
    'a@b.',
    'a@b.cc ',
    '+1 415 555 2671 ',
    '0049 30 ',
    '415-555-',
    'tel 1',
    'DE89 ',
    '1.2.3.4 ',
    '2001:',
    'sk-',
    'eyJ.',
    'eyJaaaaaaaa',
    'bearer a',
    'api_key=',
    '-----BEGIN PRIVATE KEY-----',
    '-----BEGIN PRIVATE KEY-----AAAAAAAAAAAAAAAA\\n',
    'https://a:',
    'postgres://a:b',
    'AKIA',
    'xoxb-',
    '{"type":"service_account",',
  ]
  test.each(fragments)('of %j is redacted in time that grows with its length', async (fragment) => {
    const timed = async (length: number) => {
      const start = performance.now()
      await redactor.redact([fragment.repeat(length / fragment.length)])
      return performance.now() - start
    }
    // A quadratic search would take minutes.
    expect(await timed(1_000_000)).toBeLessThan(40_000)
  })
})

describe('a sample', () => {
  test('is redacted in every text of its messages, in question and answer', async () => {
    const sample = {
      messages: [
        { role: 'system', content: 'Reply to ann@example.com' },
        {
          role: 'user',
          content: [{ type: 'text', text: 'I am ann@example.com', __proto__: 1 }],
          n: 1,
          x: null,
        },
        { role: 'assistant', tool_calls: [{ function: { arguments: '{"to":"ann@example.com","n":2024}' } }] },
      ],
      question: 'I am ann@example.com',
      answer: 'Dear ann@example.com',
      questionHash: 'h',
    }
    const redacted = await redactSample(sample, redactor)
    expect(JSON.parse(JSON.stringify(redacted))).toEqual(
      JSON.parse(JSON.stringify(sample).replaceAll('ann@example.com', '[EMAIL]')),
    )
  })
})
