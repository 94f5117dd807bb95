/**
 * JSON Schema of the files people write, from the definitions that check them, so that editors complete and check what
 * ballast will take. Written to `schema/` by `npm run schema`.
 */
import { z } from 'zod'
import { CheckFile } from '../domain/check.ts'
import { PolicyFile } from '../domain/policy.ts'
import { ConfigFile } from './schema.ts'

export type JsonSchema = z.core.JSONSchema.BaseSchema

/** What ballast puts the environment into; in the file it is this text, whatever it may be afterwards. */
const FROM_ENVIRONMENT = { type: 'string', pattern: '\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}' } as const
/** What narrows a text; the text from the environment is not known yet. */
const NARROWING = ['pattern', 'format', 'minLength', 'maxLength', 'enum', 'const'] as const

/** @returns the schemas by file name. Draft 7, which editors' YAML servers know best. */
export function jsonSchemas(): Readonly<Record<string, JsonSchema>> {
  return {
    'ballast.schema.json': describeFile(ConfigFile, 'ballast.yaml, the configuration of ballast', true),
    'policies.schema.json': describeFile(PolicyFile, 'A family of policies of ballast', false),
    'check.schema.json': describeFile(CheckFile, 'A check of ballast', false),
  }
}

/** @returns where keys stand that have no description, as paths. */
export function undescribed(schema: JsonSchema, path = ''): string[] {
  const here = Object.entries(schema.properties ?? {}).flatMap(([key, value]) => {
    const property = value as JsonSchema
    const own = property.description === undefined ? [`${path}/${key}`] : []
    return [...own, ...undescribed(property, `${path}/${key}`)]
  })
  const items = Array.isArray(schema.items) ? schema.items : [schema.items]
  const inner = [...(schema.anyOf ?? []), ...items, schema.additionalProperties]
  return [
    ...here,
    ...inner.flatMap((it) => (typeof it === 'object' ? undescribed(it as JsonSchema, `${path}/*`) : [])),
  ]
}

function describeFile(definition: z.ZodType, title: string, environment: boolean): JsonSchema {
  const { $schema, ...rest } = z.toJSONSchema(definition, {
    io: 'input',
    target: 'draft-7',
    // What only the loader can see, such as references, it goes on to check.
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum
      if (environment) takeEnvironment(zodSchema, jsonSchema)
    },
  })
  return { $schema: $schema!, title, ...rest } as JsonSchema
}

function takeEnvironment(definition: z.core.$ZodType, schema: JsonSchema): void {
  const { def } = (definition as z.core.$ZodTypes)._zod
  const preprocessed = def.type === 'pipe' && (def.in as z.core.$ZodTypes)._zod.def.type === 'transform'
  if (schema.type === 'integer' && preprocessed) {
    // It takes digits as text, which is what the environment holds.
    const { type, minimum } = schema
    delete schema.type
    delete schema.minimum
    const digits = { type: 'string', pattern: '^[0-9]+$' } as const
    schema.anyOf = [{ type, ...(minimum === undefined ? {} : { minimum }) }, digits, FROM_ENVIRONMENT]
  } else if (schema.type === 'string') {
    const narrowing = NARROWING.filter((key) => schema[key] !== undefined)
    if (narrowing.length === 0) return
    const narrowed: JsonSchema = { type: 'string' }
    for (const key of narrowing) {
      Object.assign(narrowed, { [key]: schema[key] })
      delete schema[key]
    }
    delete schema.type
    schema.anyOf = [narrowed, FROM_ENVIRONMENT]
  }
}
