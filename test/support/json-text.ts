/**
 * fast-check arbitraries of JSON *texts*, not values: any spacing, number spellings that a parser would lose, escapes
 * for any character, duplicate keys. For the property tests of injection.
 */
import fc from 'fast-check'

const space = fc.string({ unit: fc.constantFrom(' ', '\n', '\r', '\t'), maxLength: 3 })

const SHORT_ESCAPES: Record<string, string> = {
  '"': '\\"',
  '\\': '\\\\',
  '/': '\\/',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
}

function spell(unit: string, style: number): string {
  const code = unit.charCodeAt(0)
  const escaped = [...Array(unit.length).keys()].map((at) => {
    const hex = unit.charCodeAt(at).toString(16).padStart(4, '0')
    return `\\u${style === 1 ? hex.toUpperCase() : hex}`
  })
  const loneSurrogate = unit.length === 1 && code >= 0xd800 && code <= 0xdfff
  if (style > 0 || loneSurrogate) return escaped.join('')
  if (unit === '"' || unit === '\\') return SHORT_ESCAPES[unit]!
  if (code < 0x20) return SHORT_ESCAPES[unit] ?? escaped.join('')
  return unit
}

/** A JSON string text with the given value, characters raw or escaped at random. */
export function stringText(value: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return value.chain((text) => {
    const units = [...text]
    return fc
      .array(fc.constantFrom(0, 0, 0, 1, 2), { minLength: units.length, maxLength: units.length })
      .map((styles) => `"${units.map((unit, index) => spell(unit, styles[index]!)).join('')}"`)
  })
}

export const anyString = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.string({
    unit: fc.constantFrom('"', '\\', '/', '\n', '\u0000', 'é', '🦜', '\ud800', '{', '}', '[', ']', ',', ':'),
    maxLength: 40,
  }),
  fc.string({ unit: 'grapheme', maxLength: 80 }),
)

const numberText = fc.oneof(
  fc.constantFrom(
    '0',
    '-0',
    '1.0',
    '1e400',
    '-1E+400',
    '9007199254740993',
    '1.10',
    '0.1e-7',
    '123456789012345678901234567890',
  ),
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
)

const keyText = stringText(
  fc.oneof(
    anyString,
    fc.constantFrom('messages', 'role', 'content', 'type', 'text', 'model', 'user', '__proto__', 'input'),
  ),
)

export function arrayText(elements: fc.Arbitrary<string[]>): fc.Arbitrary<string> {
  return fc.tuple(elements, fc.infiniteStream(space)).map(([texts, spaces]) => {
    const next = () => spaces.next().value as string
    return `[${next()}${texts.map((text) => `${text}${next()}`).join(`,${next()}`)}]`
  })
}

/** An object text; keys are JSON texts and may repeat. */
export function objectText(members: fc.Arbitrary<[key: string, value: string][]>): fc.Arbitrary<string> {
  return fc.tuple(members, fc.infiniteStream(space)).map(([pairs, spaces]) => {
    const next = () => spaces.next().value as string
    return `{${next()}${pairs.map(([key, value]) => `${key}${next()}:${next()}${value}${next()}`).join(`,${next()}`)}}`
  })
}

/** Any JSON value, as text. */
export const valueText: fc.Arbitrary<string> = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    fc.constantFrom('null', 'true', 'false'),
    numberText,
    stringText(anyString),
    arrayText(fc.array(tie('value'), { maxLength: 3 })),
    objectText(fc.array(fc.tuple(keyText, tie('value')), { maxLength: 3 })),
  ),
})).value

const member = (name: string, value: fc.Arbitrary<string>) =>
  fc.tuple(stringText(fc.constant(name)), value) as fc.Arbitrary<[string, string]>
const anyMember = fc.tuple(keyText, valueText) as fc.Arbitrary<[string, string]>

const role = stringText(fc.constantFrom('user', 'user', 'user', 'system', 'developer', 'assistant', 'tool'))
const partType = stringText(fc.constantFrom('text', 'text', 'input_text', 'input_text', 'image_url'))
const textPart = objectText(
  fc
    .tuple(
      fc.array(
        fc.oneof(
          member('type', fc.oneof(partType, partType, valueText)),
          member('text', fc.oneof(stringText(anyString), stringText(anyString), valueText)),
        ),
        { minLength: 1, maxLength: 4 },
      ),
      fc.array(anyMember, { maxLength: 1 }),
    )
    .map(([known, other]) => [...other, ...known]),
)
const content = fc.oneof(
  { weight: 4, arbitrary: stringText(anyString) },
  {
    weight: 2,
    arbitrary: arrayText(fc.array(fc.oneof({ weight: 4, arbitrary: textPart }, valueText), { maxLength: 3 })),
  },
  valueText,
)
const message = objectText(
  fc
    .tuple(
      fc.array(
        fc.oneof(
          { weight: 6, arbitrary: member('role', role) },
          { weight: 6, arbitrary: member('content', content) },
          { weight: 1, arbitrary: member('type', stringText(fc.constantFrom('message', 'reasoning'))) },
          { weight: 1, arbitrary: anyMember },
        ),
        { minLength: 1, maxLength: 5 },
      ),
      fc.boolean(),
    )
    .map(([members, reverse]) => (reverse ? members.reverse() : members)),
)
const messages = arrayText(fc.array(fc.oneof({ weight: 6, arbitrary: message }, valueText), { maxLength: 5 }))

const metadata = objectText(
  fc.array(
    fc.oneof(
      member('messages', messages),
      member('tier', stringText(anyString)),
      member('tier', valueText),
      member('é'.repeat(64), stringText(anyString)),
    ),
    { maxLength: 3 },
  ),
)
const common = fc.oneof(
  member('model', stringText(anyString)),
  member('stream', fc.constantFrom('true', 'false', 'null', '1')),
  member('user', fc.oneof(stringText(anyString), valueText)),
  member('safety_identifier', fc.oneof(stringText(anyString), valueText)),
  member('metadata', fc.oneof({ weight: 4, arbitrary: metadata }, valueText)),
  anyMember,
)

/** A request with some of these members, and others; they may be missing, stand twice, or elsewhere. */
const requestText = (own: fc.Arbitrary<[string, string]>) =>
  objectText(
    fc.array(fc.oneof({ weight: 3, arbitrary: own }, { weight: 2, arbitrary: common }), { maxLength: 7 }),
  )

/** Texts of requests to each surface. */
export const requestTexts = {
  chat: requestText(
    fc.oneof({ weight: 5, arbitrary: member('messages', messages) }, member('messages', valueText)),
  ),
  completions: requestText(
    fc.oneof(
      member('prompt', stringText(anyString)),
      member('prompt', arrayText(fc.array(stringText(anyString), { maxLength: 3 }))),
      member('prompt', valueText),
    ),
  ),
  responses: requestText(
    fc.oneof(
      { weight: 4, arbitrary: member('input', messages) },
      { weight: 2, arbitrary: member('input', stringText(anyString)) },
      { weight: 1, arbitrary: member('input', valueText) },
      { weight: 3, arbitrary: member('instructions', fc.oneof(stringText(anyString), fc.constant('null'))) },
      { weight: 1, arbitrary: member('instructions', valueText) },
      { weight: 1, arbitrary: member('previous_response_id', fc.constantFrom('"resp_1"', 'null')) },
      { weight: 1, arbitrary: member('conversation', fc.constantFrom('{"id":"c"}', 'null')) },
    ),
  ),
}
