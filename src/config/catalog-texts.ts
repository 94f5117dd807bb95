/** Reads folders of policies and checks (SPEC sections 5 and 7), wherever they are. Called by `parse.ts` and `catalog.ts`. */
import { createHash, hash } from 'node:crypto'
import { basename, join } from 'node:path'
import { type Check, CheckFile } from '../domain/check.ts'
import { type Policy, PolicyFile } from '../domain/policy.ts'
import type { Files } from './files.ts'
import type { Problem } from './problem.ts'
import { YamlSource } from './source.ts'

export interface Catalog {
  readonly policies: ReadonlyMap<string, Policy>
  readonly checks: ReadonlyMap<string, Check>
  readonly problems: readonly Problem[]
  /** SHA-256 over the files' names and texts. */
  readonly hash: string
}

/**
 * @param files where the folders are.
 * @param folders each with `*.yaml` policy files and a `checks` folder; both may be missing.
 * @param show how a path is named in problems.
 */
export function readCatalogTexts(
  files: Files,
  folders: readonly string[],
  show: (path: string) => string,
): Catalog {
  const policies = new Map<string, Policy>()
  const checks = new Map<string, Check>()
  const problems: Problem[] = []
  const texts = createHash('sha256')

  const open = (path: string): YamlSource | null => {
    const text = files.readText(path, show(path))
    if (typeof text !== 'string') {
      problems.push(text)
      return null
    }
    texts.update(`${basename(path)}\0${text}\0`)
    return new YamlSource(show(path), text)
  }

  const list = (folder: string): string[] => {
    try {
      return files
        .list(folder)
        .filter((name) => /\.ya?ml$/.test(name))
        .sort()
    } catch {
      problems.push({ file: show(folder), line: 1, column: 1, message: 'this folder may not be read' })
      return []
    }
  }

  for (const folder of folders) {
    for (const name of list(folder)) {
      const source = open(join(folder, name))
      const family = name.replace(/\.ya?ml$/, '')
      for (const [index, entry] of (source?.check(PolicyFile)?.policies ?? []).entries()) {
        const id = `${family}/${entry.id}`
        if (policies.has(id)) source?.report(['policies', index, 'id'], `policy "${id}" is defined twice`)
        policies.set(id, { ...entry, id })
      }
      problems.push(...(source?.problems ?? []))
    }
    for (const name of list(join(folder, 'checks'))) {
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
