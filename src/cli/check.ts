/** `ballast check`: says what is wrong or doubtful in a configuration, and prints what it will do. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { styleText } from 'node:util'
import { Command } from 'commander'
import { type Config, ConfigError, shortest } from '../config/load.ts'
import { formatProblem, type Problem } from '../config/problem.ts'
import { YamlSource } from '../config/source.ts'
import type { Score } from '../domain/verdict.ts'
import { findWrongExamples } from '../judge/examples.ts'
import { compilePlan } from '../policy/compile.ts'
import { warnings as trainingWarnings } from '../policy/warnings.ts'
import { openConfig } from './catalog.ts'
import { viewPlan } from './plan.ts'
import { drawPlan } from './plan-text.ts'
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
    return {
      problems: placeExamples(config),
      warnings: placeWarnings(config, file),
      plan: viewPlan(config),
    }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { problems: error.problems, warnings: [], plan: null }
  }
}

/** Warnings with their lines. The file is read again for them: a configuration does not keep its places. */
function placeWarnings(config: Config, file: string): Problem[] {
  const source = new YamlSource(file, readFileSync(fromHere(file), 'utf8'), process.env)
  for (const { path, message } of findWarnings(config)) source.report(path, message)
  return [...source.problems, ...trainingWarnings(config)].sort(
    (a, b) => a.line - b.line || a.column - b.column,
  )
}

/** Examples that their checks do not bear out, with their lines. `serve` does not mind them. */
function placeExamples({ checks, folders }: Config): Problem[] {
  return [...checks.values()].flatMap((check) => {
    const wrong = findWrongExamples(check)
    const file = folders
      .flatMap((folder) => ['yaml', 'yml'].map((ending) => join(folder, 'checks', `${check.id}.${ending}`)))
      .find((path) => existsSync(path))
    if (wrong.length === 0 || file === undefined) return []
    const source = new YamlSource(shortest(file), readFileSync(file, 'utf8'))
    for (const { index, scores, verdict } of wrong) {
      const read = Object.entries(scores).map(([rubric, score]) => `${rubric}: ${scoreInWords(score)}`)
      const message = `is "${check.examples[index]!.verdict}", but the check makes "${verdict}" of its replies (${read.join(', ')})`
      source.report(['examples', index, 'verdict'], message)
    }
    return source.problems
  })
}

function scoreInWords(score: Score): string {
  return score.kind === 'number' || score.kind === 'label' ? String(score.value) : 'cannot be read'
}
