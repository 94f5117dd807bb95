/**
 * Puts a configuration, the policies and checks it names and the catalog into a module for the Worker's bundle. Run by
 * wrangler before it bundles (`wrangler.toml`): `node src/worker/write-bundled.ts FILE`.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { CATALOG_FOLDER } from '../config/catalog-folder.ts'
import { ConfigError, shortest } from '../config/load.ts'
import { parseConfigIn } from '../config/parse.ts'
import { formatProblem } from '../config/problem.ts'
import { diskFiles } from '../config/read.ts'
import type { Bundled } from './bundled-files.ts'

const CATALOG = '/catalog'
const UNSET = /the environment variable \w+ is not set$/

/**
 * Reads a configuration and all that it reads.
 * @param path of the configuration.
 * @throws ConfigError when it could be in force nowhere; that the environment is another one here is no matter.
 */
export function bundle(path: string): Bundled {
  const configuration = resolve(path)
  const read = new Map<string, string>()
  const files = {
    ...diskFiles,
    readText(file: string, shown: string) {
      const text = diskFiles.readText(file, shown)
      if (typeof text === 'string') read.set(file, text)
      return text
    },
  }
  const text = files.readText(configuration, shortest(path))
  if (typeof text !== 'string') throw new ConfigError([text])
  const options = { environment: process.env, catalog: CATALOG_FOLDER, files }
  try {
    parseConfigIn(text, shortest(path), options)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const problems = error.problems.filter(({ message }) => !UNSET.test(message))
    if (problems.length > 0) throw new ConfigError(problems)
  }
  // A configuration put in its place later may name the catalog.
  readAll(files, CATALOG_FOLDER)
  const own = [...read.keys()].filter((it) => !isWithin(it, CATALOG_FOLDER))
  const root = own.map((it) => dirname(it)).reduce(common)
  const named = (it: string) =>
    isWithin(it, CATALOG_FOLDER)
      ? `${CATALOG}/${relative(CATALOG_FOLDER, it)}`
      : `/config/${relative(root, it)}`
  const texts = Object.fromEntries([...read].map(([it, content]) => [named(it), content]))
  return { file: named(configuration), catalog: CATALOG, texts }
}

function readAll(files: typeof diskFiles, folder: string): void {
  for (const name of files.list(folder)) {
    const path = join(folder, name)
    if (files.isFolder(path)) readAll(files, path)
    else if (/\.ya?ml$/.test(name)) files.readText(path, path)
  }
}

function isWithin(path: string, folder: string): boolean {
  return path.startsWith(`${folder}/`)
}

/** The folder that two folders have in common. */
function common(a: string, b: string): string {
  return isWithin(`${b}/`, a) ? a : common(dirname(a), b)
}

/** @returns the module's text. */
export function bundledModule(bundled: Bundled): string {
  return `export default ${JSON.stringify(bundled)}\n`
}

if (import.meta.main) {
  const [file = 'worker.yaml', target = '.wrangler/bundled.js'] = process.argv.slice(2)
  try {
    const bundled = bundle(file)
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, bundledModule(bundled))
    process.stderr.write(`bundled ${file} and ${Object.keys(bundled.texts).length - 1} files\n`)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stderr.write(`${error.problems.map(formatProblem).join('\n')}\n`)
    process.exitCode = 1
  }
}
