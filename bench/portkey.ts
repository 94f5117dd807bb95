/**
 * `@portkey-ai/gateway`, the nearest peer on the same stack: installed into the benchmark's cache at first run, for it
 * is no part of ballast. Used by `targets.ts`.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Processes } from './processes.ts'
import { CACHE } from './upstream.ts'

export const PORTKEY_VERSION = '1.15.2'
/** With a later one this version of the gateway answers streams with 500. */
const NODE_SERVER_VERSION = '1.13.8'

/** @returns its program. @throws Error when it cannot be installed. */
export async function installPortkey(processes: Processes, say: (line: string) => void): Promise<string> {
  const folder = join(CACHE, `portkey-${PORTKEY_VERSION}`)
  const program = join(folder, 'node_modules/@portkey-ai/gateway/build/start-server.js')
  const marker = join(folder, 'installed')
  if (existsSync(marker) && readFileSync(marker, 'utf8') === NODE_SERVER_VERSION) return program
  say(`installing @portkey-ai/gateway ${PORTKEY_VERSION} into bench/.cache`)
  mkdirSync(folder, { recursive: true })
  const manifest = {
    private: true,
    dependencies: { '@portkey-ai/gateway': PORTKEY_VERSION },
    overrides: { '@hono/node-server': NODE_SERVER_VERSION },
  }
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  await processes.run('npm install', ['npm', 'install', '--prefix', folder, ...flags], null)
  writeFileSync(marker, NODE_SERVER_VERSION)
  return program
}
