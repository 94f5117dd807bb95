/** `npm run schema`: writes the JSON Schemas beside this file and `docs/openapi.json` anew, and names the keys that lack a description. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { jsonSchemas, undescribed } from '../src/config/json-schema.ts'
import { openApiDocument } from '../src/http/api/openapi.ts'

for (const [name, schema] of Object.entries(jsonSchemas())) {
  writeFileSync(join(import.meta.dirname, name), `${JSON.stringify(schema, null, 2)}\n`)
  for (const path of undescribed(schema)) process.stderr.write(`${name}: ${path} has no description\n`)
}
writeFileSync(
  join(import.meta.dirname, '../docs/openapi.json'),
  `${JSON.stringify(openApiDocument(), null, 2)}\n`,
)
