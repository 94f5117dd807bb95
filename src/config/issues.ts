/** Puts what a schema found into words: what is wrong, at which path, and what was probably meant. Called by `source.ts`. */
import type { z } from 'zod'
import { didYouMean, nearest } from './near.ts'
import type { Path } from './place.ts'
import { keysAt } from './shape.ts'

type Issue = z.core.$ZodIssue

export interface Finding {
  readonly path: Path
  /** The key of the mapping at `path` that is wrong itself; null where a value is. */
  readonly key: string | null
  readonly message: string
}

/** @param value what was checked against the schema. */
export function findingsOf(issues: readonly Issue[], schema: z.core.$ZodType, value: unknown): Finding[] {
  const found = issues.flatMap((issue) => read(issue, [], schema, value))
  // A key that was misspelled is not missing as well.
  const meant = new Set(found.map(({ path, meant }) => idOf(path, meant)))
  return found.filter(({ path, missing }) => missing === undefined || !meant.has(idOf(path, missing)))
}

interface Read extends Finding {
  /** The key that is missing from the mapping at `path`. */
  readonly missing?: string
  /** The key that was probably meant. */
  readonly meant?: string
}

const idOf = (path: Path, key: string | undefined) => JSON.stringify([...path.map(String), key ?? null])

function read(issue: Issue, base: Path, schema: z.core.$ZodType, value: unknown): Read[] {
  const path = [...base, ...issue.path]
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = keysAt(schema, path)
      return issue.keys.map((key) => {
        const meant = nearest(key, known)
        const message = `unknown key "${key}"${didYouMean(key, known)}`
        return { path, key, message, ...(meant === null ? {} : { meant }) }
      })
    }
    case 'invalid_key': {
      const key = String(path.at(-1))
      const reason = issue.issues[0]?.message ?? 'is not a valid name'
      return [{ path: path.slice(0, -1), key, message: `"${key}" ${reason}` }]
    }
    case 'invalid_union': {
      // The alternative that got furthest tells most about what was meant.
      const [deepest] = [...issue.errors].sort((a, b) => depthOf(b) - depthOf(a))
      if (deepest !== undefined && depthOf(deepest) > 0)
        return deepest.flatMap((it) => read(it, path, schema, value))
      return [{ path, key: null, message: describeUnion(issue.errors, valueAt(value, path)) }]
    }
    default: {
      const given = valueAt(value, path)
      if (issue.code === 'invalid_type' && given === undefined && path.length > 0) {
        const missing = String(path.at(-1))
        return [{ path: path.slice(0, -1), key: null, message: `"${missing}" is missing`, missing }]
      }
      return [{ path, key: null, message: describe(issue, given) }]
    }
  }
}

function depthOf(alternative: readonly Issue[]): number {
  return Math.max(0, ...alternative.map((issue) => issue.path.length + ('keys' in issue ? 1 : 0)))
}

const TYPE_NAMES: Record<string, string> = {
  string: 'text',
  object: 'a mapping',
  record: 'a mapping',
  array: 'a list',
  tuple: 'a list',
  number: 'a number',
  boolean: 'true or false',
}

/** What a schema expects, where an issue says no more than that. */
function expectation(issue: Issue): string | null {
  // A message of the schema's own says more than the type.
  if (issue.code === 'invalid_type' && issue.message.startsWith('Invalid input'))
    return TYPE_NAMES[issue.expected] ?? issue.expected
  if (issue.code === 'invalid_value' && issue.values.length === 1) return `"${String(issue.values[0])}"`
  return null
}

function describe(issue: Issue, given: unknown): string {
  const expected = expectation(issue)
  if (expected !== null) return `${expected} is expected here`
  if (issue.code === 'invalid_value') {
    const values = issue.values.map(String)
    return `is not one of ${values.join(', ')}${hint(given, values)}`
  }
  if (issue.code === 'too_big' && issue.origin === 'array') return `has more than ${issue.maximum} entries`
  if (issue.code === 'too_small' && issue.message.startsWith('Too small') && issue.origin === 'array')
    return `has fewer than ${issue.minimum} entries`
  if (issue.code === 'custom') {
    // What a schema cannot find by itself comes with the names there are.
    const { given: name, known } = (issue.params ?? {}) as { given?: string; known?: readonly string[] }
    return `${issue.message}${hint(name, known ?? [])}`
  }
  return issue.message
}

function hint(given: unknown, known: readonly unknown[]): string {
  return typeof given === 'string' ? didYouMean(given, known.map(String)) : ''
}

function describeUnion(alternatives: readonly (readonly Issue[])[], given: unknown): string {
  const issues = alternatives.flat()
  const expected = issues.map(expectation)
  if (expected.includes(null))
    return [...new Set(issues.map((issue) => describe(issue, given)))].join(', or ')
  const values = issues.flatMap((issue) => (issue.code === 'invalid_value' ? issue.values : []))
  return `${[...new Set(expected)].join(' or ')} is expected here${hint(given, values)}`
}

function valueAt(value: unknown, path: Path): unknown {
  let reached = value
  for (const key of path) reached = (reached as Record<PropertyKey, unknown> | null | undefined)?.[key]
  return reached
}
