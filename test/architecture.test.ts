/** Holds the layers: imports go down only, adapters stand alone, nothing goes round in a circle. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

const SRC = join(import.meta.dirname, '../src')

/** What each layer may import besides itself; the top may import everything. */
const LAYERS: Record<string, readonly string[] | 'everything'> = {
  'node.ts': 'everything',
  node: 'everything',
  'worker.ts': 'everything',
  worker: 'everything',
  cli: 'everything',
  http: ['pipeline', 'judge', 'policy', 'domain'],
  pipeline: ['policy', 'domain'],
  judge: ['policy', 'domain'],
  stats: ['policy', 'domain'],
  eval: ['judge', 'stats', 'policy', 'domain'],
  sandbox: ['policy', 'domain'],
  policy: ['domain'],
  config: ['domain'],
  adapters: ['domain'],
  domain: [],
}

/** An `import()` whose file these tests cannot read. */
const COMPUTED_IMPORT = /\bimport\s*\((?!\s*'[^']+'\s*\))/

interface Import {
  readonly from: string
  readonly to: string
}

function sourceFiles(): string[] {
  return readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
}

function specifiers(text: string): string[] {
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1]!)
}

function imports(): { internal: Import[]; external: Import[] } {
  const internal: Import[] = []
  const external: Import[] = []
  for (const from of sourceFiles()) {
    for (const specifier of specifiers(readFileSync(join(SRC, from), 'utf8'))) {
      if (specifier.startsWith('.'))
        internal.push({ from, to: relative(SRC, resolve(SRC, dirname(from), specifier)) })
      else external.push({ from, to: specifier })
    }
  }
  return { internal, external }
}

const layerOf = (file: string) => file.split('/')[0]!

/** An adapter may be several files: `store-sqlite.ts` and `store-queries.ts` are of the family `store`. */
const familyOf = (file: string) => file.split('/')[1]!.split(/[-.]/)[0]

/** Imports that go against the layers, as `from -> to`. */
function violations(found: readonly Import[]): string[] {
  return found
    .filter(({ from, to }) => {
      const [above, below] = [layerOf(from), layerOf(to)]
      if (above === 'adapters' && below === 'adapters') return familyOf(from) !== familyOf(to)
      const allowed = LAYERS[above]
      return above !== below && allowed !== 'everything' && allowed?.includes(below) !== true
    })
    .map(({ from, to }) => `${from} -> ${to}`)
}

function cycles(found: readonly Import[]): string[] {
  const next = Map.groupBy(found, ({ from }) => from)
  const done = new Set<string>()
  const circles: string[] = []
  const visit = (file: string, path: readonly string[]) => {
    if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' -> '))
    else if (!done.has(file)) {
      for (const { to } of next.get(file) ?? []) visit(to, [...path, file])
      done.add(file)
    }
  }
  for (const file of next.keys()) visit(file, [])
  return circles
}

describe('architecture', () => {
  const { internal, external } = imports()

  test('every file belongs to a layer', () => {
    expect(sourceFiles().filter((file) => LAYERS[layerOf(file)] === undefined)).toEqual([])
    expect(internal.length).toBeGreaterThan(50)
  })

  test('imports go down only, and adapters do not import each other', () => {
    expect(violations(internal)).toEqual([])
  })

  test('there are no import cycles', () => {
    expect(cycles(internal)).toEqual([])
  })

  test('an import() names its file, so that it is held to the layers as well', () => {
    const unread = sourceFiles().filter((file) => COMPUTED_IMPORT.test(readFileSync(join(SRC, file), 'utf8')))
    expect(unread).toEqual([])
    expect(internal).toContainEqual({ from: 'cli/main.ts', to: 'cli/check.ts' })
  })

  test('the domain knows a schema library and nothing else', () => {
    expect(external.filter(({ from, to }) => layerOf(from) === 'domain' && to !== 'zod')).toEqual([])
  })

  test('HTTP statuses of errors are known in http/errors.ts alone', () => {
    const knowing = sourceFiles().filter((file) =>
      /\b(404|422|502|504)\b/.test(readFileSync(join(SRC, file), 'utf8')),
    )
    const own = knowing.filter(
      (file) =>
        !['adapters', 'sandbox'].includes(layerOf(file)) &&
        !['http/health.ts', 'http/api/routes.ts'].includes(file),
    )
    expect(own).toEqual(['http/errors.ts'])
  })

  test('these tests can fail', () => {
    const upwards = { from: 'domain/errors.ts', to: 'http/errors.ts' }
    const across = { from: 'adapters/judge-openai.ts', to: 'adapters/store-sqlite.ts' }
    const sideways = { from: 'judge/worker.ts', to: 'pipeline/record.ts' }
    expect(violations([upwards, across, sideways])).toHaveLength(3)
    expect(
      cycles([
        { from: 'a', to: 'b' },
        { from: 'b', to: 'c' },
        { from: 'c', to: 'a' },
      ]),
    ).toEqual(['a -> b -> c -> a'])
    expect(
      specifiers("import a from './a.ts'\nconst b = await import('./b.ts')\nexport * from './c.ts'"),
    ).toHaveLength(3)
    expect(
      'await import(name)\nawait import(`./${name}.ts`)'.match(new RegExp(COMPUTED_IMPORT, 'g')),
    ).toHaveLength(2)
    expect("await import(\n  './a.ts'\n)").not.toMatch(COMPUTED_IMPORT)
  })
})
