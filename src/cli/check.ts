/** `ballast check`: says what is wrong or doubtful in a configuration, and prints what it will do. */
import { readFileSync } from 'node:fs'
import { styleText } from 'node:util'
import { Command } from 'commander'
import { type Config, ConfigError } from '../config/load.ts'
import { formatProblem, type Problem, YamlSource } from '../config/source.ts'
import { compilePlan } from '../policy/compile.ts'
import { openConfig } from './catalog.ts'
import { drawPlan, viewPlan } from './plan.ts'
import { count } from './text.ts'
import { fromHere } from './usage.ts'
import { findWarnings } from './warnings.ts'

interface CheckOptions {
  readonly config: string
  readonly strict: boolean
  readonly json: boolean
}

const FOUND_SOMETHING = 1

export function checkCommand(): Command {
  return new Command('check')
    .description('Check a configuration, and print what it will do.')
    .option('-c, --config <file>', 'the configuration', 'ballast.yaml')
    .option('--strict', 'end with 1 for warnings too', false)
    .option('--json', 'print problems, warnings and plan as JSON', false)
    .addHelpText(
      'after',
      `
Nothing is started and nothing is sent. Exit codes: 0, 1 (it has problems), 2 (there is no such file).

Examples:
  ballast check
  ballast check --config ballast.yaml --strict --json`,
    )
    .action(check)
}

function check({ config: file, strict, json }: CheckOptions): void {
  const checked = read(file)
  const { problems, warnings, plan } = checked
  if (problems.length > 0 || (strict && warnings.length > 0)) process.exitCode = FOUND_SOMETHING
  if (json) {
    process.stdout.write(`${JSON.stringify({ file, ok: problems.length === 0, ...checked }, null, 2)}\n`)
    return
  }
  for (const problem of problems) process.stderr.write(`${formatProblem(problem)}\n`)
  const yellow = styleText('yellow', 'warning:', { stream: process.stderr })
  for (const { message, ...place } of warnings)
    process.stderr.write(`${formatProblem({ ...place, message: `${yellow} ${message}` })}\n`)
  const found = [
    count(problems.length, 'problem'),
    ...(plan === null ? [] : [count(warnings.length, 'warning')]),
  ]
  process.stderr.write(`${file}: ${found.join(', ')}.\n`)
  if (plan !== null) process.stdout.write(drawPlan(plan))
}

function read(file: string) {
  try {
    const config = openConfig(file)
    // What `serve` would do with it next.
    compilePlan(config)
    return { problems: [], warnings: placeWarnings(config, file), plan: viewPlan(config) }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { problems: error.problems, warnings: [], plan: null }
  }
}

/** Warnings with their lines. The file is read again for them: a configuration does not keep its places. */
function placeWarnings(config: Config, file: string): Problem[] {
  const source = new YamlSource(file, readFileSync(fromHere(file), 'utf8'), process.env)
  for (const { path, message } of findWarnings(config)) source.report(path, message)
  return source.problems.sort((a, b) => a.line - b.line || a.column - b.column)
}
