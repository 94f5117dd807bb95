/**
 * Text -> frozen configuration, or every problem with its place (SPEC section 6), wherever its files are. Called by
 * `load.ts`, which has them on disk, and by the Worker, which has them in its bundle.
 */
import { createHash } from 'node:crypto'
import { dirname, relative, resolve } from 'node:path'
import type { Check } from '../domain/check.ts'
import type { Policy } from '../domain/policy.ts'
import { readCatalogTexts } from './catalog-texts.ts'
import type { Files } from './files.ts'
import { ConfigError, type Place, type Problem } from './problem.ts'
import { checkReferences } from './references.ts'
import { checkRestart, type FixedValues } from './restart.ts'
import { ConfigFile, type ConfigValues } from './schema.ts'
import { type Path, YamlSource } from './source.ts'
import { readTrainedManifests } from './trained-manifest.ts'

export interface Config extends Omit<ConfigValues, 'policies'> {
  readonly policies: ReadonlyMap<string, Policy>
  readonly checks: ReadonlyMap<string, Check>
  /** SHA-256 over the configuration's, the policies' and the manifests' text, first 16 hex digits; without what the environment holds. */
  readonly hash: string
  /** Absolute paths of the folders that policies and checks came from. */
  readonly folders: readonly string[]
  /** Where a value of the configuration stands: for what is said of it later. */
  place(path: Path): Place
}

export interface LoadOptions {
  /** Where `${NAME}` is looked up. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The folder that `policies: catalog` stands for. */
  readonly catalog: string
  /** The configuration in force, if there is one: what cannot change while it runs is a problem. */
  readonly running?: FixedValues
}

export interface ParseOptions extends LoadOptions {
  readonly files: Files
  /** That paths in the configuration are relative to; left out: its file's. */
  readonly folder?: string
}

/**
 * @param file the name shown in problems.
 * @throws ConfigError
 */
export function parseConfigIn(text: string, file: string, options: ParseOptions): Config {
  const source = new YamlSource(file, text, options.environment)
  const base = options.folder ?? dirname(resolve(file))
  const values = source.check(ConfigFile)
  const noted = source.problems.length
  const folders = policyFolders(source, base, options)
  const catalog = readCatalogTexts(options.files, folders, (path) => shortest(path))
  const foldersFound = source.problems.length === noted
  const whole = catalog.problems.length === 0 && foldersFound
  const trained = readTrainedManifests(options.files, source, base, whole ? catalog.policies : null)
  if (source.value !== undefined) checkReferences(source, values, catalog, foldersFound)
  const store = values?.store.replace(
    /^sqlite:(?!:memory:)(.*)$/,
    (_, path: string) => `sqlite:${resolve(base, path)}`,
  )
  if (values !== undefined && store !== undefined && options.running !== undefined)
    checkRestart(source, { ...values, store }, options.running)
  const problems = [...source.problems, ...catalog.problems]
  if (values === undefined || store === undefined || problems.length > 0)
    throw new ConfigError(sortProblems(problems), folders)
  const hash = createHash('sha256').update(text).update(catalog.hash)
  for (const manifest of trained.texts) hash.update(manifest)
  const policies = new Map([...catalog.policies, ...trained.policies.map((it) => [it.id, it] as const)])
  const routes = values.routes.map((route) => {
    const id = trained.ids.get(route.trained_with ?? '')
    return id === undefined ? route : { ...route, trained_with: id }
  })
  const place = (path: Path) => source.place(path)
  return deepFreeze({
    ...values,
    routes,
    store,
    policies,
    checks: catalog.checks,
    hash: hash.digest('hex').slice(0, 16),
    folders,
    place,
  })
}

/** The folders that `policies` names; one that is none is a problem. */
function policyFolders(source: YamlSource, base: string, { catalog, files }: ParseOptions): string[] {
  const policies = (source.value as { policies?: unknown } | null | undefined)?.policies ?? 'catalog'
  return [policies].flat().flatMap((folder, index) => {
    if (typeof folder !== 'string' || folder === '') return []
    const path = folder === 'catalog' ? catalog : resolve(base, folder)
    if (!files.isFolder(path)) {
      const at = Array.isArray(policies) ? ['policies', index] : ['policies']
      source.report(at, `there is no folder ${resolve(base, source.shown(folder))}`)
    }
    return [path]
  })
}

/** A path as problems name it: from here, where that is shorter. */
export function shortest(path: string): string {
  const here = relative('.', path)
  return here.length < path.length ? here : path
}

function sortProblems(problems: readonly Problem[]): Problem[] {
  return [...problems].sort((a, b) => a.file.localeCompare(b.file) || a.line - b.line || a.column - b.column)
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !(value instanceof Map) && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const child of Object.values(value)) deepFreeze(child)
  }
  return value
}
