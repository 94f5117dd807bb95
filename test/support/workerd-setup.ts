/** Skips on workerd what the table of exceptions names, with its reason. Run before each file of the project `workerd`. */
import { afterAll, beforeEach } from 'vitest'
import { EXCEPTIONS } from './workerd-exceptions.ts'

interface Named {
  readonly name: string
  readonly suite?: Named | undefined
}

const met = new Set<string>()
/** What is run of the file; where a name was asked for, not every exception is met. */
let [file, seen] = ['', 0]

function fullName({ name, suite }: Named): string {
  return suite === undefined || suite.name === '' ? name : `${fullName(suite)} > ${name}`
}

function matches(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}

beforeEach(({ task, skip }) => {
  file = task.file.name.replace(/^test\//, '')
  seen++
  const name = fullName(task)
  for (const [pattern, reason] of Object.entries(EXCEPTIONS[file] ?? {})) {
    if (!matches(pattern, name)) continue
    met.add(pattern)
    skip(reason)
  }
})

afterAll(() => {
  if (process.argv.includes('-t') || seen === 0) return
  const stale = Object.keys(EXCEPTIONS[file] ?? {}).filter((pattern) => !met.has(pattern))
  if (stale.length > 0) throw new Error(`exceptions that no test of ${file} meets: ${stale.join('; ')}`)
})
