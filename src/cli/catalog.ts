/** The policies that a command works with: the shipped ones, those of folders, or those of a configuration. */
import { existsSync, statSync } from 'node:fs'
import { readCatalog } from '../config/catalog.ts'
import { CATALOG_FOLDER } from '../config/catalog-folder.ts'
import { type Config, loadConfigFile } from '../config/load.ts'
import { didYouMean } from '../config/near.ts'
import { formatProblem } from '../config/problem.ts'
import type { Check } from '../domain/check.ts'
import type { Policy } from '../domain/policy.ts'
import { fromHere, UsageError } from './usage.ts'

/** As in `ballast.yaml`. */
const SHIPPED = 'catalog'

export interface CatalogOptions {
  readonly policies?: readonly string[]
  readonly config?: string
}

export type Catalog = Pick<Config, 'policies' | 'checks'>

/** @throws UsageError where there is no such folder or file, or with what is wrong in a folder. @throws ConfigError */
export function openCatalog({ policies = [SHIPPED], config }: CatalogOptions): Catalog {
  if (config !== undefined) return openConfig(config)
  const folders = policies.map((name) => {
    const folder = name === SHIPPED ? CATALOG_FOLDER : fromHere(name)
    if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true) return folder
    throw new UsageError(`--policies ${name}: there is no such folder.`)
  })
  const catalog = readCatalog(folders, (path) => path)
  if (catalog.problems.length > 0) throw new UsageError(catalog.problems.map(formatProblem).join('\n'))
  return catalog
}

/** @throws UsageError where there is no such file, saying what else to do. @throws ConfigError */
export function openConfig(file: string, otherwise = ''): Config {
  if (!existsSync(fromHere(file))) {
    throw new UsageError(`There is no ${file} here. Name a configuration with --config FILE${otherwise}.`)
  }
  return loadConfigFile(fromHere(file), { environment: process.env, catalog: CATALOG_FOLDER })
}

/** @throws UsageError with the name that was probably meant. */
export function findPolicy({ policies }: Catalog, id: string): Policy {
  const policy = policies.get(id)
  if (policy !== undefined) return policy
  const meant = didYouMean(id, policies.keys())
  throw new UsageError(
    `Policy "${id}" does not exist${meant === '' ? '; `ballast policies` lists all there are.' : meant}`,
  )
}

/** @throws UsageError with the name that was probably meant. */
export function findCheck({ checks }: Catalog, id: string): Check {
  const check = checks.get(id)
  if (check !== undefined) return check
  const there = [...checks.keys()]
  throw new UsageError(
    `Check "${id}" does not exist${didYouMean(id, there) || `; there are ${there.join(', ')}`}.`,
  )
}

/** The file a policy stands in, without its ending: what stands before the slash of its id. */
export function familyOf({ id }: Policy): string {
  return id.slice(0, id.indexOf('/'))
}
