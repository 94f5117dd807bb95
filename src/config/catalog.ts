/** Reads folders of policies and checks (SPEC sections 5 and 7). Called by `load.ts`. */
import { createHash, hash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { type Check, CheckFile } from '../domain/check.ts'
import { type Policy, PolicyFile } from '../domain/policy.ts'
import { type Problem, YamlSource } from './source.ts'

export interface Catalog {
  readonly policies: ReadonlyMap<string, Policy>
  readonly checks: ReadonlyMap<string, Check>
  readonly problems: readonly Problem[]
  /** SHA-256 over the files' names and texts. */
  readonly hash: string
}

/**
 * @param folders each with `*.yaml` policy files and a `checks` folder; both may be missing.
 * @param show how a path is named in problems.
 */
export function readCatalog(folders: readonly string[], show: (path: string) => string): Catalog {
  const policies = new Map<string, Policy>()
  const checks = new Map<string, Check>()
  const problems: Problem[] = []
  const texts = createHash('sha256')

  const open = (path: string): YamlSource | null => {
    try {
      const text = readFileSync(path, 'utf8')
      texts.update(`${basename(path)}\0${text}\0`)
      return new YamlSource(show(path), text)
    } catch (error) {
      problems.push(unreadable(show(path), error))
      return null
    }
  }

  for (const folder of folders) {
    for (const name of yamlFiles(folder) ?? []) {
      const source = open(join(folder, name))
      const family = name.replace(/\.ya?ml$/, '')
      for (const [index, entry] of (source?.check(PolicyFile)?.policies ?? []).entries()) {
        const id = `${family}/${entry.id}`
        if (policies.has(id)) source?.report(['policies', index, 'id'], `policy "${id}" is defined twice`)
        policies.set(id, { ...entry, id })
      }
      problems.push(...(source?.problems ?? []))
    }
    for (const name of yamlFiles(join(folder, 'checks')) ?? []) {
      const source = open(join(folder, 'checks', name))
      const check = source?.check(CheckFile)
      const id = name.replace(/\.ya?ml$/, '')
      if (checks.has(id)) source?.report([], `check "${id}" is defined twice`)
      if (check !== undefined) checks.set(id, { ...check, id, version: checkVersion(check) })
      problems.push(...(source?.problems ?? []))
    }
  }
  return { policies, checks, problems, hash: texts.digest('hex') }
}

function checkVersion({ rubrics, rule }: Pick<Check, 'rubrics' | 'rule'>): string {
  return hash('sha256', JSON.stringify({ rubrics, rule }), 'hex').slice(0, 16)
}

function yamlFiles(folder: string): string[] | null {
  try {
    return readdirSync(folder)
      .filter((name) => /\.ya?ml$/.test(name))
      .sort()
  } catch {
    return null
  }
}

export function unreadable(file: string, error: unknown): Problem {
  const code = (error as { code?: unknown }).code
  const reason =
    code === 'ENOENT'
      ? 'does not exist'
      : code === 'EACCES'
        ? 'may not be read'
        : code === 'EISDIR'
          ? 'is a folder'
          : `cannot be read (${String(code)})`
  return { file, line: 1, column: 1, message: reason }
}
