/** What the commands load: users wait for it at every call. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { configFile } from './support/command.ts'
import { ballastRecorded } from './support/loaded.ts'
import { postgres, usePostgres } from './support/postgres.ts'
import { describeWith } from './support/requires.ts'

const JUDGE = 'judge: {upstream: up, model: m}'
const yaml = (store: string, settings = '') => `
listen: 127.0.0.1:0
admin: {listen: 127.0.0.1:0}
store: "${store}"
upstreams: {up: {base_url: "http://127.0.0.1:9/v1"}}
routes:
  - {model: "ft:*", upstream: up, experiment: birds}
  - {model: "*", upstream: up}
experiments:
  birds:
    arms: {control: {weight: 1}, etymologist: {weight: 1, policy: birds/identity-etymologist}}
    check: nineteenth-century
    sample: 0
${settings}
`
const newStore = () => `sqlite:${join(mkdtempSync(join(tmpdir(), 'ballast-loading-')), 'ballast.db')}`
const REQUEST = '{"model":"ft:x","user":"u","messages":[{"role":"user","content":"Hi"}]}'

const STORES = ['kysely', 'node:sqlite', 'pg', 'pg-boss']
const SERVING = ['undici', 'hono', '@hono/node-server', 'prom-client', 'rate-limiter-flexible', 'pino']
const ASKING = ['openai', 'p-queue', '@inquirer/core']

async function loadedBy(
  args: readonly string[],
  input = '',
): Promise<{ code: number | null; main: string[] }> {
  const { finished, loaded } = ballastRecorded(args, input)
  const { code } = await finished
  return { code, main: loaded().main }
}

/** Started, and stopped as soon as it serves. */
async function loadedByServing(file: string) {
  const { child, finished, says, loaded } = ballastRecorded(['serve', '--config', file])
  await says(/ballast serves/)
  child.kill('SIGTERM')
  expect((await finished).code).toBe(0)
  return loaded()
}

/** Of these, what was loaded. */
const among = (loaded: readonly string[], names: readonly string[]) =>
  names.filter((it) => loaded.includes(it))

describe('what a command loads', () => {
  test('--version: what parses arguments, and no command', async () => {
    const { code, main } = await loadedBy(['--version'])
    expect(code).toBe(0)
    expect(main.filter((it) => !it.startsWith('node:')).sort()).toEqual([
      'commander',
      'src/cli/main.ts',
      'src/cli/usage.ts',
      'src/config/problem.ts',
    ])
  })

  test('--help loads every command, and not what they do their work with', async () => {
    const { code, main } = await loadedBy(['--help'])
    expect(code).toBe(0)
    expect(main).toContain('src/cli/sandbox.ts')
    expect(among(main, [...STORES, 'openai', 'undici', 'prom-client', '@inquirer/core'])).toEqual([])
  })

  test.each([['check'], ['explain'], ['policies', 'list'], ['plan', '--rate', '0.1']])(
    '%s loads nothing that serves, stores or asks',
    async (...args) => {
      const configured = ['check', 'explain', 'policies'].includes(args[0]!)
      const config = configured ? ['--config', configFile(yaml(newStore(), JUDGE))] : []
      const { code, main } = await loadedBy([...args, ...config], REQUEST)
      expect(code).toBe(0)
      expect(among(main, [...STORES, ...SERVING, ...ASKING])).toEqual([])
      // No other command.
      expect(main).not.toContain('src/cli/serve.ts')
    },
  )

  test('what reads a store loads that store, and nothing that serves or asks', async () => {
    const file = configFile(yaml(newStore(), JUDGE))
    for (const args of [['arms'], ['report'], ['samples', 'list']]) {
      const { main } = await loadedBy([...args, '--config', file])
      expect(among(main, STORES), args.join(' ')).toEqual(['kysely', 'node:sqlite'])
      expect(among(main, [...SERVING, ...ASKING]), args.join(' ')).toEqual([])
    }
  })
})

describe('what ballast serve loads', () => {
  test('its back office alone loads the store and what asks the judge', async () => {
    const { main, threads } = await loadedByServing(configFile(yaml(newStore(), JUDGE)))
    expect(among(main, [...STORES, 'openai'])).toEqual([])
    expect(among(threads, [...STORES, 'openai', 'undici'])).toEqual([
      'kysely',
      'node:sqlite',
      'openai',
      'undici',
    ])
    expect(among(threads, ['hono', 'prom-client', 'pino', 'yaml', 'commander'])).toEqual([])
  })

  test('without a judge nothing that asks one', async () => {
    const { main, threads } = await loadedByServing(configFile(yaml('memory')))
    expect(among(main, [...STORES, 'openai'])).toEqual([])
    expect(among(threads, [...STORES, 'openai', 'undici'])).toEqual(['kysely', 'node:sqlite'])
  })

  test('a configuration that cannot be used is told before what serves is loaded', async () => {
    const { code, main } = await loadedBy(['serve', '--config', configFile('routes: 7')])
    expect(code).toBe(2)
    expect(among(main, [...STORES, ...ASKING, 'undici', 'hono', 'prom-client'])).toEqual([])
  })
})

describeWith(postgres, 'what ballast serve loads for Postgres', () => {
  const server = usePostgres()

  test('its driver, and not SQLite', async () => {
    const { main, threads } = await loadedByServing(configFile(yaml(await server().database())))
    expect(among(main, STORES)).toEqual([])
    expect(among(threads, STORES)).toEqual(['kysely', 'pg', 'pg-boss'])
  })
})
