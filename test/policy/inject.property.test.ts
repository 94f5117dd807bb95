/** Injection against arbitrary request texts: byte-exact outside what is inserted, right inside, once and not twice. */
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BallastError } from '../../src/domain/errors.ts'
import { type Intervention, Placement } from '../../src/domain/policy.ts'
import { type Splice, splice, spliceToSend } from '../../src/policy/inject.ts'
import { preparePolicy } from '../../src/policy/prepare.ts'
import type { SurfaceName } from '../../src/policy/surface.ts'
import { SURFACES } from '../../src/policy/surfaces.ts'
import { requestTexts, valueText } from '../support/json-text.ts'
import { referenceInject, referenceTurns } from '../support/reference-injection.ts'

const RUNS = { numRuns: 1_500 }
const surfaces = [...SURFACES.values()]
const decodeOf = (name: SurfaceName) => surfaces.find((it) => it.name === name)!.decode

const intervention: fc.Arbitrary<Intervention> = fc.record({
  placement: fc.constantFrom(...Placement.options),
  text: fc.oneof(
    fc.constantFrom("I'm an etymologist.", 'Say "hi" \\ / 🦜', 'Date: 1850\nplace: é', 'a', '\\', '"'),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
  ),
})
const policy = fc.array(intervention, { minLength: 1, maxLength: 3 })

function inject(
  surface: SurfaceName,
  body: Buffer,
  interventions: Intervention[],
): { result: Buffer; splices: Splice[] } | null {
  const prepared = preparePolicy({ id: 'test/policy', interventions })(0)
  try {
    const splices = decodeOf(surface)(body).plan(prepared)
    return { splices, result: splice(body, splices) }
  } catch (error) {
    if (error instanceof BallastError && error.code === 'ballast_policy_not_applicable') return null
    throw error
  }
}

const parse = (body: Buffer): unknown => JSON.parse(body.toString('utf8'))

describe.each(surfaces.map(({ name }) => name))('injection into any request of %s', (surface) => {
  /** A request whose model counts as text; the others are refused, see below. */
  const requestText = requestTexts[surface].filter((text) => {
    const { model } = JSON.parse(text) as { model?: unknown }
    return model === undefined || typeof model === 'string'
  })

  test('leaves every byte outside the inserted spans as it was', () => {
    fc.assert(
      fc.property(requestText, policy, (text, interventions) => {
        const body = Buffer.from(text)
        const injected = inject(surface, body, interventions)
        if (injected === null) return
        let from = 0
        let at = 0
        for (const { at: offset, remove, bytes } of injected.splices) {
          const length = offset - from
          expect(injected.result.subarray(at, at + length).equals(body.subarray(from, offset))).toBe(true)
          // Only `"instructions": null` is replaced.
          expect(['', 'null']).toContain(body.toString('latin1', offset, offset + remove))
          at += length + bytes.length
          from = offset + remove
        }
        expect(injected.result.subarray(at).equals(body.subarray(from))).toBe(true)
      }),
      RUNS,
    )
  })

  test('a large body goes out as the same bytes, in pieces that are not copied', () => {
    const padding = Buffer.alloc(1024 * 1024, ' ')
    fc.assert(
      fc.property(requestText, policy, (text, interventions) => {
        const body = Buffer.concat([padding, Buffer.from(text)])
        const injected = inject(surface, body, interventions)
        if (injected === null || injected.splices.length === 0) return
        const pieces = spliceToSend(body, injected.splices) as readonly Buffer[]
        expect(Buffer.concat(pieces).equals(injected.result)).toBe(true)
        expect(pieces[0]!.buffer).toBe(body.buffer)
      }),
      { ...RUNS, numRuns: 20 },
    )
  })

  test('parsed, equals injecting into the parsed request', () => {
    fc.assert(
      fc.property(requestText, policy, (text, interventions) => {
        const body = Buffer.from(text)
        const expected = referenceInject(surface, parse(body), interventions)
        const injected = inject(surface, body, interventions)
        if (expected === null) return injected === null
        return injected !== null && isDeepStrictEqual(parse(injected.result), expected)
      }),
      RUNS,
    )
  })

  test('injects once, however often it is applied and however it is spelt', () => {
    fc.assert(
      fc.property(requestText, policy, (text, interventions) => {
        const injected = inject(surface, Buffer.from(text), interventions)
        if (injected === null) return
        expect(inject(surface, injected.result, interventions)?.splices).toEqual([])
        const respelled = Buffer.from(JSON.stringify(parse(injected.result)).replace(/[^ -~]/g, escapeUnit))
        expect(inject(surface, respelled, interventions)?.splices).toEqual([])
      }),
      RUNS,
    )
  })

  test('reads model, stream and user as JSON.parse does', () => {
    fc.assert(
      fc.property(requestText, (text) => {
        const body = Buffer.from(text)
        const decoded = decodeOf(surface)(body)
        const parsed = parse(body) as Record<string, unknown>
        expect(decoded.model).toBe(Object.hasOwn(parsed, 'model') ? parsed.model : null)
        expect(decoded.stream).toBe(parsed.stream === true)
        expect(decoded.user).toBe(
          Object.hasOwn(parsed, 'user') && typeof parsed.user === 'string' ? parsed.user : null,
        )
      }),
      RUNS,
    )
  })

  test('reads what units and conditions ask for as JSON.parse does', () => {
    fc.assert(
      fc.property(requestText, (text) => {
        const decoded = decodeOf(surface)(Buffer.from(text))
        const parsed = JSON.parse(text) as Record<string, unknown>
        const own = (from: unknown, key: string) => {
          const value = typeof from === 'object' && from !== null && Object.hasOwn(from, key)
          const it = value ? (from as Record<string, unknown>)[key] : null
          return typeof it === 'string' ? it : null
        }
        expect(decoded.safetyIdentifier()).toBe(own(parsed, 'safety_identifier'))
        const metadata =
          Object.hasOwn(parsed, 'metadata') && !Array.isArray(parsed.metadata) ? parsed.metadata : null
        for (const key of ['tier', 'messages', 'é'.repeat(64)])
          expect(decoded.metadata(key)).toBe(own(metadata, key))
        const { systemAbsent, firstTurn } = decoded
        expect({ systemAbsent, firstTurn }).toEqual(referenceTurns(surface, parsed))
      }),
      RUNS,
    )
  })

  test('refuses what is no JSON object with an error of its own and never crashes', () => {
    const damaged = fc
      .tuple(
        fc.oneof(requestTexts[surface], valueText),
        fc.nat(),
        fc.constantFrom('', '"', '{', '}', ',', '\\', '0', ' ', '\0'),
      )
      .map(([text, at, put]) => {
        const offset = at % (text.length + 1)
        return text.slice(0, offset) + put + text.slice(offset + 1)
      })
    fc.assert(
      fc.property(damaged, (text) => {
        let valid: unknown
        try {
          valid = JSON.parse(text)
        } catch {
          valid = undefined
        }
        try {
          decodeOf(surface)(Buffer.from(text))
        } catch (error) {
          expect(error).toBeInstanceOf(BallastError)
          const acceptable = typeof valid === 'object' && valid !== null && !Array.isArray(valid)
          const model = acceptable ? (valid as { model?: unknown }).model : undefined
          expect(acceptable && (model === undefined || typeof model === 'string')).toBe(false)
        }
      }),
      RUNS,
    )
  })
})

describe('the scanner', () => {
  test.each([
    ['deep nesting', '{"a":'.repeat(100_000)],
    ['deep arrays', `{"messages":${'['.repeat(100_000)}`],
    ['nothing', ''],
    ['a byte order mark', '\uFEFF{}'],
    ['an unclosed string', `{"model":"${'x'.repeat(100)}`],
    ['a backslash at the end', `{"model":"${'x'.repeat(50)}\\`],
    ['a number like 01', '{"a":01}'],
    ['a trailing comma', '{"a":1,}'],
    ['two objects', '{}{}'],
    ['single quotes', "{'a':1}"],
    ['an array', '[]'],
    ['an escape that does not exist in a key', '{"mo\\xdel":1}'],
  ])('refuses %s', (_name, text) => {
    expect(() => decodeOf('chat')(Buffer.from(text))).toThrow(
      expect.objectContaining({ code: 'ballast_malformed_body' }),
    )
  })
})

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
}
