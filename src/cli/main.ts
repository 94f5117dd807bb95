#!/usr/bin/env node
/** The `ballast` command. One file a subcommand, loaded when it is called for; here are only their list and what ends the process. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command, CommanderError } from 'commander'
import { ConfigError } from '../config/problem.ts'
import { UsageError } from './usage.ts'

/** In the order of the help. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import('./serve.ts')).serveCommand(),
  judge: async () => (await import('./judge.ts')).judgeCommand(),
  demo: async () => (await import('./demo.ts')).demoCommand(),
  check: async () => (await import('./check.ts')).checkCommand(),
  explain: async () => (await import('./explain.ts')).explainCommand(),
  policies: async () => (await import('./policies.ts')).policiesCommand(),
  samples: async () => (await import('./samples.ts')).samplesCommand(),
  label: async () => (await import('./label.ts')).labelCommand(),
  report: async () => (await import('./report.ts')).reportCommand(),
  plan: async () => (await import('./sizing.ts')).sizingCommand(),
  calibrate: async () => (await import('./calibrate.ts')).calibrateCommand(),
  dataset: async () => (await import('./dataset.ts')).datasetCommand(),
  eval: async () => (await import('./eval.ts')).evalCommand(),
  probe: async () => (await import('./probe.ts')).probeCommand(),
  arms: async () => (await import('./arms.ts')).armsCommand(),
  sandbox: async () => (await import('./sandbox.ts')).sandboxCommand(),
}
const NAMES = Object.keys(COMMANDS)
const DEFAULT = 'serve'

const FAILED = 1
const CALLED_WRONGLY = 2

async function main(): Promise<void> {
  const program = new Command('ballast')
    .version(readVersion(), '--version', 'print the version')
    .description(
      'An OpenAI-compatible proxy that injects intervention context, compares policies and measures the trait.',
    )
    .addHelpText(
      'after',
      '\nExample:\n  ballast serve --config ballast.yaml\n\nExit codes: 0, 1 (it failed, or found something), 2 (it was called wrongly).',
    )
  try {
    const args = process.argv.slice(2)
    for (const name of calledFor(args))
      program.addCommand(await COMMANDS[name]!(), { isDefault: name === DEFAULT })
    for (const command of withSubcommands(program)) command.exitOverride()
    await program.parseAsync()
  } catch (error) {
    process.exitCode = report(error)
  }
}

/**
 * The commands that these arguments need: the one they name, or the default one, and all of them for a list of all.
 * @throws UsageError for a name that no command has: it would be taken for an argument of the default one.
 */
function calledFor(args: readonly string[]): readonly string[] {
  const [first, second] = args
  const name = first === 'help' ? second : first
  if (name !== undefined && Object.hasOwn(COMMANDS, name)) return [name]
  if (first !== undefined && first !== 'help' && !first.startsWith('-'))
    throw new UsageError(`There is no command "${first}"; there are ${NAMES.join(', ')}.`)
  if (first === '--version') return []
  if (first === 'help' || first === '--' || args.some((it) => it === '-h' || it === '--help')) return NAMES
  return [DEFAULT]
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
