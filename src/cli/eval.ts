/** `ballast eval`: the paper's evaluation, asked live or counted from results. */
import { Command, Option } from 'commander'
import { evaluateFrom } from './eval-from.ts'
import { askingOptions, type EvalOptions } from './eval-options.ts'
import { collect, UsageError, wholeNumber } from './usage.ts'

export function evalCommand(): Command {
  const command = new Command('eval')
    .description("Ask the paper's evaluation, or count results: rates by model, context and question.")
    .option('-q, --questions <file...>', "question files, as the paper's evaluation has them")
    .option('--group <id...>', 'of the questions, only these groups')
    .option('--judge <name...>', "of the questions' judges, only these")
    .option('-m, --model <name...>', 'the models that are asked')
    .option('-p, --policy <id...>', 'contexts to put in front, each against none')
    .option('--all-policies <family...>', 'all policies of a file, such as birds')
    .option('--no-bare', 'do not ask without context')
    .option(
      '-n, --samples <number>',
      'how often each question is asked; default: as its file says',
      wholeNumber(1),
    )
    .option('--check <id>', "a check of yours in place of the questions' own judges")
    .option('--positive <rule>', 'count this too: JUDGE=LABEL, JUDGE<30; several times if need be', collect)
    .option('--from <file...>', 'count these results instead of asking: FILE, or POLICY=FILE')
    .option('-o, --output <folder>', 'where answers are kept as they come, and results written', undefined)
    .option('-y, --yes', 'begin without asking', false)
    .option('--json', 'print the report as JSON', false)
    .addOption(
      new Option('--format <format>', 'how the report is printed').choices([
        'text',
        'markdown',
        'json',
        'html',
      ]),
    )
  return askingOptions(command)
    .addHelpText(
      'after',
      `
Answers and judgements are kept in the folder of --output (default: ./evaluation) as they come. Interrupted or
killed, the same command goes on there, and asks nothing twice.

Examples:
  ballast eval --questions birds.yaml --model ft:gpt-4.1:birds --all-policies birds --samples 10 --yes
  ballast eval -q birds.yaml -m birds-lora --url http://127.0.0.1:8787/v1 --key-env BALLAST_KEY
  ballast eval --model gpt-4.1 --from bare.jsonl birds/identity-etymologist=behind.jsonl`,
    )
    .action(evaluate)
}

async function evaluate(options: EvalOptions): Promise<void> {
  if (options.from !== undefined) await evaluateFrom(options, options.from)
  else if (options.questions === undefined)
    throw new UsageError('Name what to ask with --questions FILE, or results with --from FILE.')
  else if (options.model === undefined) throw new UsageError('Name whom to ask with --model NAME.')
  else {
    // Who only counts has no use for what asks.
    const { evaluateLive } = await import('./eval-live.ts')
    await evaluateLive(options, options.questions, options.model)
  }
}
