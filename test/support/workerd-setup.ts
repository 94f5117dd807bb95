/** Skips on workerd what the table of exceptions names, with its reason. Run before each file of the project `workerd`. */
import { relative } from 'node:path'
import { beforeEach } from 'vitest'
import { EXCEPTIONS } from './workerd-exceptions.ts'

interface Named {
  readonly name: string
  readonly suite?: Named | undefined
}

function exceptionsOf(file: string): [name: string, reason: string][] {
  return Object.entries(EXCEPTIONS[relative('test', file)] ?? {})
}

function fullName({ name, suite }: Named): string {
  return suite === undefined || suite.name === '' ? name : `${fullName(suite)} > ${name}`
}

function matches(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}

beforeEach(({ task, skip }) => {
  const name = fullName(task)
  for (const [pattern, reason] of exceptionsOf(task.file.name.replace(/^.*?test\//, 'test/'))) {
    if (!matches(pattern, name)) continue
    skip(reason)
  }
})
