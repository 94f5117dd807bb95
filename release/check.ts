/**
 * `npm run release:check`: refuses a release whose tag, versions and changelog do not agree. `--notes` prints the
 * changelog's section on it. Run by `.github/workflows/release.yml` on a tag, and before one by whoever sets it:
 *
 *   node release/check.ts [--tag v0.2.0] [--notes]
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { releaseReadiness } from './readiness.ts'

const read = (file: string) => readFileSync(join(import.meta.dirname, '..', file), 'utf8')
const { values } = parseArgs({
  options: { tag: { type: 'string' }, notes: { type: 'boolean', default: false } },
})

const { version, problems, notes } = releaseReadiness({
  tag: values.tag ?? null,
  packageJson: read('package.json'),
  packageLock: read('package-lock.json'),
  changelog: read('CHANGELOG.md'),
})
for (const problem of problems) process.stderr.write(`${problem}\n`)
if (problems.length > 0) process.exitCode = 1
else process.stdout.write(values.notes ? `${notes}\n` : `${version} can be released\n`)
