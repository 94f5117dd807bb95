/** The JSON Schemas that editors use: up to date, true to every file that ships, and never stricter than the loader. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ajv, type ValidateFunction } from 'ajv'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { readCatalog } from '../../src/config/catalog.ts'
import { jsonSchemas } from '../../src/config/json-schema.ts'
import { ConfigError, parseConfig } from '../../src/config/load.ts'
import { CATALOG_FOLDER } from '../../src/node.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

const ajv = new Ajv({ strict: true, allowUnionTypes: true, allErrors: true })
const validators = Object.fromEntries(
  readdirSync(join(ROOT, 'schema'))
    .filter((name) => name.endsWith('.json'))
    .map((name) => [name, ajv.compile(JSON.parse(read(`schema/${name}`)))]),
)
const [ofConfig, ofPolicies, ofCheck] = ['ballast', 'policies', 'check'].map(
  (name) => validators[`${name}.schema.json`]!,
) as [ValidateFunction, ValidateFunction, ValidateFunction]

/** What a schema has against a text. */
function refusals(schema: ValidateFunction, text: string): string[] {
  schema(parse(text, { merge: true }))
  return (schema.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`)
}

const yamlBlocks = (path: string) =>
  [...read(path).matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map((match) => match[1]!)

describe('the schemas in schema/', () => {
  test.each(Object.entries(jsonSchemas()))('%s is what `npm run schema` writes', (name, schema) => {
    expect(JSON.parse(read(`schema/${name}`))).toEqual(schema)
  })

  test('describe keys, with defaults as they are written', () => {
    const { properties } = JSON.parse(read('schema/ballast.schema.json'))
    expect(properties.limits.properties.drain).toMatchObject({
      description: expect.stringContaining('Duration with a unit'),
      default: '30s',
    })
    expect(properties.upstreams.additionalProperties.properties.retries.default).toBe(2)
    expect(properties.listen.description).toContain('Takes a restart')
  })
})

const ofPoliciesFile = (text: string) => text.startsWith('policies:')

describe('every YAML that ships', () => {
  const policies = readdirSync(CATALOG_FOLDER).filter((name) => name.endsWith('.yaml'))
  const checks = readdirSync(join(CATALOG_FOLDER, 'checks')).filter((name) => name.endsWith('.yaml'))

  test.each<[string, ValidateFunction, string[]]>([
    ['README.md', ofConfig, yamlBlocks('README.md').slice(0, 1)],
    ['docs/configuration.md', ofConfig, yamlBlocks('docs/configuration.md').slice(0, 1)],
    ['deploy/demo/ballast.yaml', ofConfig, [read('deploy/demo/ballast.yaml')]],
    ['policies/README.md', ofPolicies, yamlBlocks('policies/README.md').filter(ofPoliciesFile)],
    [
      'policies/README.md, checks',
      ofCheck,
      yamlBlocks('policies/README.md').filter((text) => !ofPoliciesFile(text)),
    ],
    ['policies/*', ofPolicies, policies.map((name) => read(`policies/${name}`))],
    ['policies/checks/*', ofCheck, checks.map((name) => read(`policies/checks/${name}`))],
  ])('%s is accepted', (_name, schema, texts) => {
    expect(texts.length).toBeGreaterThan(0)
    expect(texts.flatMap((text) => refusals(schema, text))).toEqual([])
  })

  test.each([
    ...policies.map((name) => [`policies/${name}`, '../schema/policies.schema.json']),
    ...checks.map((name) => [`policies/checks/${name}`, '../../schema/check.schema.json']),
    ['deploy/demo/ballast.yaml', '../../schema/ballast.schema.json'],
  ])('%s names its schema for editors', (path, schema) => {
    expect(read(path).split('\n')[0]).toBe(`# yaml-language-server: $schema=${schema}`)
  })
})

describe('the schemas refuse what the loader refuses', () => {
  const BROKEN = join(import.meta.dirname, 'broken')
  /** Mistakes of structure: a reader of the message sees them without knowing what is named elsewhere. */
  const STRUCTURAL =
    /unknown key|is missing$|is expected here|is not one of|is an address|with a unit|is not a store/
  const cases = readdirSync(BROKEN).flatMap((name) => {
    const [input, output] = readFileSync(join(BROKEN, name), 'utf8').split(/^-{10}\n/m) as [string, string]
    const [main] = input.split(/^=== /m) as [string]
    const places = output
      .split('\n')
      .filter(
        (line) =>
          line.startsWith('ballast.yaml:') && STRUCTURAL.test(line) && !line.includes('limits.receive'),
      )
      .map((line) => pointer(/^\S+ (?:([\w.[\]-]+): )?/.exec(line)?.[1] ?? ''))
    // What is no YAML, and what only the loader can see, such as what the environment holds.
    const beyond =
      /^(syntax|duplicate|contradiction|unknown-key-from|number-from|merge|address-port|store|everything)/.test(
        name,
      )
    return places.length === 0 || beyond ? [] : [[name, main, places] as const]
  })

  /** `routes[0].model` as `/routes/0/model`. */
  function pointer(path: string): string {
    return path === '' ? '' : `/${path.replaceAll('[', '.').replaceAll(']', '').replaceAll('.', '/')}`
  }

  test('of which there are many', () => expect(cases.length).toBeGreaterThan(20))

  test.each(cases)('%s', (_name, main, places) => {
    const refused = refusals(ofConfig, main).map((refusal) => refusal.split(' ')[0])
    expect(refused).toEqual(expect.arrayContaining([...places]))
  })

  test('in policies and checks too', () => {
    expect(
      refusals(ofPolicies, 'policies: [{id: A, interventions: [{placement: above, txt: x}]}]'),
    ).toHaveLength(4)
    expect(
      refusals(ofCheck, 'description: x\nrubrics: []\nrule: {positive_if_all: [{rubric: r, is: 3}]}'),
    ).not.toEqual([])
  })
})

describe('the schemas accept what the loader accepts', () => {
  const environment = {
    OPENAI_API_KEY: 'sk-12345678',
    WEB_KEY: 'web-key-1',
    BALLAST_ADMIN_TOKEN: 'token-123',
    NUMBER: '17',
    ADDRESS: '127.0.0.1:8787',
    STORE: 'memory',
    DURATION: '5s',
  }
  const loads = (text: string): boolean => {
    try {
      parseConfig(text, 'ballast.yaml', { environment, catalog: CATALOG_FOLDER })
      return true
    } catch (error) {
      if (error instanceof ConfigError) return false
      throw error
    }
  }

  test('where values come from the environment', () => {
    const text = `
listen: "\${ADDRESS}"
admin: {token: "\${WEB_KEY}", listen: "127.0.0.1:\${NUMBER}"}
store: "\${STORE}"
limits: {concurrent: "\${NUMBER}", drain: "\${DURATION}"}
clients: [{name: a, key: "\${WEB_KEY}", concurrent: "17"}]
upstreams: {openai: {base_url: "https://x/v1", retries: "\${NUMBER}"}}
routes: [{model: "*", upstream: openai}]
`
    expect(loads(text)).toBe(true)
    expect(refusals(ofConfig, text)).toEqual([])
  })

  const docs = yamlBlocks('docs/configuration.md')[0]!.replaceAll(/^( *)# (?=[a-z]+:| {2}- )/gm, '$1')
  type Place = { holder: Record<string, unknown> | unknown[]; key: string | number }
  const places = (value: unknown): Place[] =>
    typeof value !== 'object' || value === null
      ? []
      : Object.keys(value).flatMap((key) => {
          const holder = value as Record<string, unknown>
          return [{ holder, key }, ...places(holder[key])]
        })
  const VALUES = [
    null,
    true,
    0,
    1,
    0.5,
    -1,
    '',
    'x',
    '5s',
    '64MB',
    'memory',
    'open',
    ':1',
    '17',
    '${NUMBER}',
    '${WEB_KEY}',
    [],
    {},
    ['catalog'],
    { a: 1 },
  ]

  test('whatever becomes of the documented configuration', () => {
    let accepted = 0
    const count = places(parse(docs)).length
    fc.assert(
      fc.property(fc.nat(count - 1), fc.constantFrom(...VALUES, undefined), (index, value) => {
        const content = parse(docs) as Record<string, unknown>
        const { holder, key } = places(content)[index]!
        if (value !== undefined) (holder as Record<string, unknown>)[key] = value
        else if (Array.isArray(holder)) holder.splice(Number(key), 1)
        else delete holder[key]
        const text = stringify(content)
        if (!loads(text)) return
        accepted++
        expect(refusals(ofConfig, text)).toEqual([])
      }),
      { numRuns: 400 },
    )
    expect(accepted).toBeGreaterThan(20)
  })

  test('for policies and checks', () => {
    const folder = mkdtempSync(join(tmpdir(), 'ballast-policies-'))
    mkdirSync(join(folder, 'checks'))
    const policies =
      'policies: [{id: a, interventions: [{placement: system, text: "{{date}}"}], evidence: {source: x, applied_at: serving}}]'
    const check =
      'description: x\nrubrics: [{id: r, scale: [0.5, 1], prompt: "{answer}"}]\nrule: {positive_if_all: [{rubric: r, at_least: 1}]}'
    writeFileSync(join(folder, 'mine.yaml'), policies)
    writeFileSync(join(folder, 'checks', 'mine.yaml'), check)
    expect(readCatalog([folder], (path) => path).problems).toEqual([])
    expect([...refusals(ofPolicies, policies), ...refusals(ofCheck, check)]).toEqual([])
  })
})
