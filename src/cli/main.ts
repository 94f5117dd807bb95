#!/usr/bin/env node
/** The `ballast` command. One file a subcommand; here are only their list and what ends the process. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command, CommanderError } from 'commander'
import { ConfigError } from '../config/load.ts'
import { armsCommand } from './arms.ts'
import { calibrateCommand } from './calibrate.ts'
import { checkCommand } from './check.ts'
import { datasetCommand } from './dataset.ts'
import { demoCommand } from './demo.ts'
import { evalCommand } from './eval.ts'
import { explainCommand } from './explain.ts'
import { judgeCommand } from './judge.ts'
import { labelCommand } from './label.ts'
import { policiesCommand } from './policies.ts'
import { probeCommand } from './probe.ts'
import { reportCommand } from './report.ts'
import { samplesCommand } from './samples.ts'
import { sandboxCommand } from './sandbox.ts'
import { serveCommand } from './serve.ts'
import { sizingCommand } from './sizing.ts'
import { UsageError } from './usage.ts'

const FAILED = 1
const CALLED_WRONGLY = 2

async function main(): Promise<void> {
  const program = new Command('ballast')
    .version(readVersion(), '--version', 'print the version')
    .description(
      'An OpenAI-compatible proxy that injects intervention context, compares policies and measures the trait.',
    )
    .addCommand(serveCommand(), { isDefault: true })
    .addCommand(judgeCommand())
    .addCommand(demoCommand())
    .addCommand(checkCommand())
    .addCommand(explainCommand())
    .addCommand(policiesCommand())
    .addCommand(samplesCommand())
    .addCommand(labelCommand())
    .addCommand(reportCommand())
    .addCommand(sizingCommand())
    .addCommand(calibrateCommand())
    .addCommand(datasetCommand())
    .addCommand(evalCommand())
    .addCommand(probeCommand())
    .addCommand(armsCommand())
    .addCommand(sandboxCommand())
    .addHelpText(
      'after',
      '\nExample:\n  ballast serve --config ballast.yaml\n\nExit codes: 0, 1 (it failed, or found something), 2 (it was called wrongly).',
    )
  for (const command of withSubcommands(program)) command.exitOverride()
  try {
    // Else it would be taken for an argument of the default command.
    const [first] = process.argv.slice(2)
    const names = program.commands.map((command) => command.name())
    if (first !== undefined && !first.startsWith('-') && ![...names, 'help'].includes(first)) {
      throw new UsageError(`There is no command "${first}"; there are ${names.join(', ')}.`)
    }
    await program.parseAsync()
  } catch (error) {
    process.exitCode = report(error)
  }
}

function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)]
}

function readVersion(): string {
  const file = join(import.meta.dirname, '../../package.json')
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : CALLED_WRONGLY
  const message = error instanceof Error ? error.message : String(error)
  process.stderr.write(`${message}\n`)
  if (error instanceof ConfigError) {
    const count = error.problems.length
    process.stderr.write(
      `ballast does not start: ${count === 1 ? 'a problem' : `${count} problems`} in its configuration.\n`,
    )
    return CALLED_WRONGLY
  }
  return error instanceof UsageError ? CALLED_WRONGLY : FAILED
}

// A reader such as `head` that has had enough is no fault.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

await main()
