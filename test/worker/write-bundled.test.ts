/** What goes into a Worker's bundle of a configuration: all that it reads, by names that tell of no machine. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { ConfigError } from '../../src/config/load.ts'
import { parseConfigIn } from '../../src/config/parse.ts'
import { bundledFiles } from '../../src/worker/bundled-files.ts'
import { bundle } from '../../src/worker/write-bundled.ts'

function folderWith(files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), 'ballast-bundle-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, name, '..'), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  return folder
}

const YAML = (rest = '') => `
policies: [catalog, ../shared]
upstreams: {u: {base_url: "\${BUNDLE_TEST_URL}"}}
routes: [{model: "*", upstream: u, policy: own/hello}]
${rest}`
const OWN = 'policies: [{id: hello, interventions: [{placement: system, text: Hello.}]}]\n'

test('a bundled configuration is parsed as it is on disk, its own policies and the catalog among it', () => {
  const folder = folderWith({ 'app/worker.yaml': YAML(), 'shared/own.yaml': OWN })
  const { file, catalog, texts } = bundle(join(folder, 'app/worker.yaml'))
  const environment = { BUNDLE_TEST_URL: 'https://api.example.com/v1' }
  const config = parseConfigIn(texts[file]!, file, { environment, catalog, files: bundledFiles(texts) })
  expect([...config.policies.keys()]).toContain('own/hello')
  expect([...config.policies.keys()]).toContain('birds/identity-etymologist')
  expect(config.checks.size).toBeGreaterThan(5)
  expect(config.upstreams.u?.base_url).toBe('https://api.example.com/v1')
  expect(JSON.stringify(texts)).not.toContain(folder)
})

test('a configuration that could be in force nowhere is not bundled; what the environment lacks is no matter', () => {
  const folder = folderWith({ 'app/worker.yaml': YAML('rotes: []\n'), 'shared/own.yaml': OWN })
  const wrong = () => bundle(join(folder, 'app/worker.yaml'))
  expect(wrong).toThrow(ConfigError)
  expect(wrong).toThrow(/rotes/)
  expect(wrong).not.toThrow(/BUNDLE_TEST_URL/)
})

test('a folder that was not bundled is a problem, not an empty one', () => {
  const folder = folderWith({ 'app/worker.yaml': YAML(), 'shared/own.yaml': OWN })
  const { file, catalog, texts } = bundle(join(folder, 'app/worker.yaml'))
  const options = {
    environment: { BUNDLE_TEST_URL: 'https://a.example/v1' },
    catalog,
    files: bundledFiles(texts),
  }
  const other = texts[file]!.replace('../shared', './elsewhere')
  expect(() => parseConfigIn(other, file, options)).toThrow(/there is no folder/)
})
