/** The vectors of assignment on workerd: a unit must come into the same arm there. */
import { join } from 'node:path'
import { build } from 'esbuild'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { expect, onTestFinished, test } from 'vitest'
import vectors from '../vectors/assignment.json' with { type: 'json' }

test('workerd assigns every vector as Node does', async () => {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, '../support/assignment-worker.ts')],
    bundle: true,
    format: 'esm',
    target: 'es2024',
    external: ['node:*'],
    write: false,
  })
  const workerd = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: outputFiles[0]!.text,
      compatibilityDate: '2026-07-01',
      compatibilityFlags: ['nodejs_compat'],
    }),
  )
  onTestFinished(() => workerd.dispose())
  const answer = await (await workerd.dispatchFetch('http://localhost/')).json()
  const count = Object.values(vectors).reduce((sum, it) => sum + (Array.isArray(it) ? it.length : 0), 0)
  expect(answer).toEqual({ userAgent: 'Cloudflare-Workers', vectors: count, wrong: [] })
  expect(count).toBeGreaterThan(100)
})
