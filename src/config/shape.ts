/** What a schema knows: the keys a mapping may have. Used by `source.ts` for hints and by `json-schema.ts`. */
import type { z } from 'zod'

type Schema = z.core.$ZodType

/** @returns the keys that a schema takes in the mapping that `path` leads to; none where it leads to no such mapping. */
export function keysAt(schema: Schema, path: readonly PropertyKey[]): string[] {
  let reached = alternatives(schema)
  for (const key of path) reached = reached.flatMap((it) => step(it, key)).flatMap(alternatives)
  return [...new Set(reached.flatMap((it) => Object.keys(shapeOf(it))))]
}

/** Without what only wraps it; each member of a union by itself. */
function alternatives(schema: Schema): Schema[] {
  const { def } = (schema as z.core.$ZodTypes)._zod
  switch (def.type) {
    case 'optional':
    case 'nullable':
    case 'default':
    case 'prefault':
    case 'readonly':
    case 'nonoptional':
    case 'catch':
      return alternatives(def.innerType)
    case 'pipe':
      return [...alternatives(def.in), ...alternatives(def.out)]
    case 'union':
      return def.options.flatMap(alternatives)
    case 'lazy':
      return alternatives(def.getter())
    case 'intersection':
      return [...alternatives(def.left), ...alternatives(def.right)]
    default:
      return [schema]
  }
}

function step(schema: Schema, key: PropertyKey): Schema[] {
  const { def } = (schema as z.core.$ZodTypes)._zod
  switch (def.type) {
    case 'object': {
      const inner = def.shape[String(key)]
      return inner === undefined ? [] : [inner]
    }
    case 'record':
      return [def.valueType]
    case 'array':
      return [def.element]
    case 'tuple':
      return [...def.items]
    default:
      return []
  }
}

function shapeOf(schema: Schema): Readonly<Record<string, Schema>> {
  const { def } = (schema as z.core.$ZodTypes)._zod
  return def.type === 'object' ? def.shape : {}
}
