/**
 * Broken configurations, one file a case in `broken/`: the configuration (`=== path` begins a further file), a line of
 * dashes, and what must be said of it. BALLAST_WRITE_CASES=1 writes down what is said; read it before you keep it.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ConfigError, loadConfigFile } from '../../src/config/load.ts'
import { CATALOG_FOLDER } from '../../src/node.ts'

const CASES = join(import.meta.dirname, 'broken')
const DASHES = '----------\n'

/** What comes from the environment; whatever holds the word SECRET must never be shown. */
const ENVIRONMENT: Record<string, string> = {
  PORT: '8787',
  ADMIN_TOKEN: 'SECRET-admin-token-1',
  OPENAI_API_KEY: 'SECRET-openai-key-1',
  WEB_KEY: 'SECRET-web-key',
  WEB_KEY_2: 'SECRET-web-key-SECRET-2',
  LINES: 'SECRET-line-1\nSECRET-line-2',
  WORD: 'SECRET-word',
  URL: 'https://SECRET-user:SECRET-password@example.com/v1',
  FOLDER: '../there/./SECRET-folder',
}

const cases = readdirSync(CASES)
  .filter((name) => name.endsWith('.txt'))
  .map((name) => name.replace(/\.txt$/, ''))

/** Latin-1 throughout: a case need not be UTF-8. */
function readCase(name: string): { input: string; expected: string } {
  const text = readFileSync(join(CASES, `${name}.txt`), 'latin1')
  const cut = text.lastIndexOf(DASHES)
  return { input: text.slice(0, cut), expected: text.slice(cut + DASHES.length) }
}

/** Writes a case's files into a folder of their own. @returns the folder. */
function unpack(input: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'ballast-broken-'))
  const [main, ...others] = input.split(/^(?==== )/m)
  writeFileSync(join(folder, 'ballast.yaml'), main!, 'latin1')
  for (const section of others) {
    const [, path, text] = /^=== (\S+)\n([\s\S]*)$/.exec(section)!
    mkdirSync(dirname(join(folder, path!)), { recursive: true })
    writeFileSync(join(folder, path!), text!, 'latin1')
  }
  return folder
}

/** What is said, with the case's folder left out. */
function said(text: string, folder: string): string {
  return text
    .replaceAll(`${folder}/`, '')
    .replaceAll(dirname(folder), 'PARENT')
    .replaceAll(`${CATALOG_FOLDER}/`, 'catalog/')
}

function problemsOf(folder: string): string {
  try {
    loadConfigFile(join(folder, 'ballast.yaml'), { environment: ENVIRONMENT, catalog: CATALOG_FOLDER })
    return ''
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return said(`${error.message}\n`, folder)
  }
}

describe('a broken configuration', () => {
  test('there are at least sixty', () => {
    expect(cases.length).toBeGreaterThanOrEqual(60)
  })

  test.each(cases)('%s: every problem is named, at its line and column', (name) => {
    const { input, expected } = readCase(name)
    const found = problemsOf(unpack(input))
    expect(found).toMatch(/^(?:[\w./-]+:[1-9]\d*:[1-9]\d*: \S.*\n)+$/)
    expect(found).not.toMatch(/SECRET/i)
    if (process.env.BALLAST_WRITE_CASES === '1')
      writeFileSync(join(CASES, `${name}.txt`), `${input}${DASHES}${found}`, 'latin1')
    else expect(found).toBe(expected)
  })
})

/** A port that nothing listens on. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false))
    socket.on('close', () => socket.destroy())
  })
}

describe('ballast serve with a broken configuration', () => {
  test.each([
    'unknown-key-near',
    'environment-in-the-wrong-place',
    'syntax-text-behind-quotes',
    'checks-rule-broken',
    'key-with-line-end',
  ])('%s: says the same, ends with 2, and has listened nowhere', async (name) => {
    const { input, expected } = readCase(name)
    const folder = unpack(input)
    const port = await freePort()
    const child = spawn(process.execPath, ['src/cli/main.ts', '-c', join(folder, 'ballast.yaml')], {
      cwd: join(import.meta.dirname, '../..'),
      env: { ...process.env, ...ENVIRONMENT, PORT: String(port) },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => {
        output += chunk
      })
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
    let running = true
    void ended.then(() => {
      running = false
    })
    const listened: boolean[] = []
    while (running) {
      listened.push(await answers(port))
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    expect(await ended).toBe(2)
    expect(listened).not.toContain(true)
    const count = expected.trim().split('\n').length
    const last = `ballast does not start: ${count === 1 ? 'a problem' : `${count} problems`} in its configuration.\n`
    expect(said(output, folder)).toBe(expected + last)
    expect(output).not.toMatch(/SECRET/)
  })
})

describe('a file that is no configuration by its size', () => {
  test('is not read to its end', () => {
    const folder = unpack(`listen: 127.0.0.1:0\n${'# as good as nothing\n'.repeat(60_000)}`)
    expect(problemsOf(folder)).toBe('ballast.yaml:1:1: is larger than 1 MiB\n')
    expect(() => loadConfigFile('/dev/zero', { environment: {}, catalog: CATALOG_FOLDER })).toThrow(
      '/dev/zero:1:1: is larger than 1 MiB',
    )
  })

  test('but a long one is read, and its problems found quickly', () => {
    const route = (index: number) => `  - {model: "m-${index}", upstream: opnai}\n`
    const routes = Array.from({ length: 5_000 }, (_, index) => route(index)).join('')
    const begun = performance.now()
    const found = problemsOf(unpack(`upstreams: {openai: {base_url: "https://x/v1"}}\nroutes:\n${routes}`))
    expect(found.split('\n')[4_999]).toMatch(/^ballast\.yaml:5002:\d+: routes\[4999\]\.upstream: /)
    expect(performance.now() - begun).toBeLessThan(40_000)
  })
})

describe('aliases and merges', () => {
  test('are taken as YAML means them', () => {
    const folder = unpack(`upstreams:
  openai: &provider {base_url: "https://api.openai.com/v1", retries: 1, timeout: &times {connect: 1s}}
  backup: {<<: *provider, base_url: "https://example.com/v1"}
  third: {base_url: "https://example.org/v1", timeout: *times}
routes: [{model: "*", upstream: openai}]
`)
    const config = loadConfigFile(join(folder, 'ballast.yaml'), { environment: {}, catalog: CATALOG_FOLDER })
    expect(config.upstreams.backup).toMatchObject({ base_url: 'https://example.com/v1', retries: 1 })
    expect(config.upstreams.third).toMatchObject({ timeout: { connect: 1_000 }, retries: 2 })
  })
})
