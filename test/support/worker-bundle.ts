/** Bundles the Worker as `npm run deploy:dry` does, once for all tests on workerd (`vitest.config.ts`). */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')
export const BUNDLE_FOLDER = join(ROOT, '.wrangler/test')
const OUTPUT = join(BUNDLE_FOLDER, 'wrangler.txt')
const WRANGLER = join(ROOT, 'node_modules/wrangler/bin/wrangler.js')

/** @param folder where the bundle is written. @returns what wrangler printed. */
export function bundleWorker(folder: string): string {
  return execFileSync(process.execPath, [WRANGLER, 'deploy', '--dry-run', '--outdir', folder], {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: 90_000,
    // The build step runs `node`: this one.
    env: {
      ...process.env,
      PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
      WRANGLER_SEND_METRICS: 'false',
      CI: '1',
    },
  })
}

let bundled: string | null = null

export function bundledWorker(): string {
  bundled ??= readFileSync(join(BUNDLE_FOLDER, 'worker.js'), 'utf8')
  return bundled
}

/** What wrangler printed when it bundled. */
export function wranglerOutput(): string {
  return readFileSync(OUTPUT, 'utf8')
}

/** Called by vitest before the tests of the project. */
export default function setup(): void {
  const output = bundleWorker(BUNDLE_FOLDER)
  writeFileSync(OUTPUT, output)
}
