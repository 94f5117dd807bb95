/** What is deployed: small enough for every plan, and with nothing in it that a Worker has no use for. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { beforeAll, describe, expect, test } from 'vitest'
import { BUNDLE_FOLDER, bundledWorker, wranglerOutput } from '../support/worker-bundle.ts'

const LARGEST_BYTES = 1_000_000

/** Packages and files that the bundle was made of. */
let sources: string[]

beforeAll(() => {
  const map = readFileSync(join(BUNDLE_FOLDER, 'worker.js.map'), 'utf8')
  sources = (JSON.parse(map) as { sources: string[] }).sources
})

describe('the bundle', () => {
  test('is under 1 MB compressed, and wrangler says how large it is', () => {
    const bytes = gzipSync(bundledWorker()).length
    expect(bytes).toBeLessThan(LARGEST_BYTES)
    const [, told] = /Total Upload: .* \/ gzip: ([\d.]+) KiB/.exec(wranglerOutput()) ?? []
    expect(Number(told) * 1024).toBeLessThan(LARGEST_BYTES)
  })

  test.each(['pg', 'pg-boss', 'undici', 'better-sqlite3', 'commander', '@hono/node-server', 'pino'])(
    'holds nothing of %s',
    (name) => {
      expect(sources.filter((it) => it.includes(`node_modules/${name}/`))).toEqual([])
    },
  )

  test('holds no database engine of Node and reads no files', () => {
    const text = bundledWorker()
    expect(text).not.toMatch(/node:sqlite|node:worker_threads/)
    const own = sources.filter((it) => /(^|\/)src\//.test(it) && !it.includes('node_modules'))
    expect(own.length).toBeGreaterThan(60)
    for (const name of ['config/read.ts', 'adapters/store-sqlite.ts', 'adapters/upstream-undici.ts'])
      expect(own.filter((it) => it.endsWith(name))).toEqual([])
    // These tests can fail: what is in it is found.
    expect(own.some((it) => it.endsWith('pipeline/pipeline.ts'))).toBe(true)
  })

  test('is bound to all that it asks for', () => {
    for (const name of ['METRICS', 'RATES', 'OFFICE', 'SETTINGS', 'DB', 'JUDGING'])
      expect(wranglerOutput()).toContain(`env.${name} `)
  })

  test('tells nothing of the machine it was made on', () => {
    expect(bundledWorker()).not.toContain(process.cwd())
  })
})
