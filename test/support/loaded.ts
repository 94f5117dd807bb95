/** Runs the `ballast` command and tells what its threads loaded. */
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ballast } from './command.ts'

const RECORDER = pathToFileURL(join(import.meta.dirname, 'record-loaded.ts')).href
const SRC = pathToFileURL(join(import.meta.dirname, '../../src/')).href

/** Started; `loaded` is to be called when it has ended. */
export function ballastRecorded(args: readonly string[], input = '') {
  const folder = mkdtempSync(join(tmpdir(), 'ballast-loaded-'))
  const environment = { RECORD_LOADED: folder, NODE_OPTIONS: `--import ${RECORDER}` }
  return { ...ballast(args, environment, input), loaded: () => read(folder) }
}

/** Packages by name, Node's own as `node:…`, sources as `src/…`: of the main thread, and of the others. */
function read(folder: string) {
  const names = (files: readonly string[]) => [
    ...new Set(
      files.flatMap((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')) as string[]).map(nameOf),
    ),
  ]
  const [main, threads] = ['main', 'thread'].map((kind) =>
    names(readdirSync(folder).filter((file) => file.startsWith(kind))),
  )
  return { main: main!, threads: threads! }
}

function nameOf(url: string): string {
  const packaged = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)
  return packaged?.[1] ?? url.replace(SRC, 'src/')
}
