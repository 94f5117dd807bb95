/** `ballast eval`: the paper's evaluation, asked live or counted from results. */
import { Command, Option } from 'commander'
import { evaluateFrom } from './eval-from.ts'
import { evaluateLive } from './eval-live.ts'
import { collect, perMinute, UsageError, wholeNumber } from './usage.ts'

export interface EvalOptions {
  readonly questions?: string[]
  readonly group?: string[]
  readonly judge?: string[]
  readonly model?: string[]
  readonly policy?: string[]
  readonly allPolicies?: string[]
  readonly policies?: string[]
  readonly bare: boolean
  readonly samples?: number
  readonly seed?: number
  readonly check?: string
  readonly positive?: string[]
  readonly url: string
  readonly keyEnv: string
  readonly units: boolean
  readonly judgeModel?: string
  readonly judgeUrl?: string
  readonly judgeKeyEnv?: string
  readonly judgeMaxTokens: number
  readonly logprobs: boolean
  readonly concurrency: number
  readonly judgeConcurrency: number
  readonly requestsPerMinute?: number
  readonly judgeRequestsPerMinute?: number
  readonly retries: number
  readonly timeout: number
  readonly output?: string
  readonly from?: string[]
  readonly yes: boolean
  readonly json: boolean
  readonly format?: 'text' | 'markdown' | 'json'
}

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
      new Option('--format <format>', 'how the report is printed').choices(['text', 'markdown', 'json']),
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

/** The options of commands that ask models and judges. */
export function askingOptions(command: Command): Command {
  return command
    .option('--policies <folder>', 'the folder that policies and checks stand in, or several', collect)
    .option('--url <url>', 'base URL of the models: a provider, or a ballast', 'https://api.openai.com/v1')
    .option('--key-env <name>', "the environment variable that holds the models' key", 'OPENAI_API_KEY')
    .option('--units', 'each question is a unit of its own for the ballast that is asked', false)
    .option('--seed <number>', 'sent as seed, another one for each sample', wholeNumber(0))
    .option(
      '--judge-model <name>',
      "the judge model in place of the files'; {judge} stands for the judge's name",
    )
    .option('--judge-url <url>', 'base URL of the judge; default that of the models')
    .option('--judge-key-env <name>', "the variable that holds the judge's key; default that of the models")
    .option('--judge-max-tokens <number>', "how long a judge's reply may be", wholeNumber(1), 20)
    .option('--logprobs', 'weigh numbers by probability where the judge gives logprobs', false)
    .option('--concurrency <number>', 'questions at a time', wholeNumber(1, 1_000), 8)
    .option('--judge-concurrency <number>', 'judgements at a time', wholeNumber(1, 1_000), 8)
    .option('--requests-per-minute <number>', 'questions a minute at the most', perMinute)
    .option('--judge-requests-per-minute <number>', 'judgements a minute at the most', perMinute)
    .option('--retries <number>', 'further tries where there is no answer', wholeNumber(0, 100), 5)
    .option('--timeout <seconds>', 'for one answer', wholeNumber(1, 86_400), 120)
}

async function evaluate(options: EvalOptions): Promise<void> {
  if (options.from !== undefined) await evaluateFrom(options, options.from)
  else if (options.questions === undefined)
    throw new UsageError('Name what to ask with --questions FILE, or results with --from FILE.')
  else if (options.model === undefined) throw new UsageError('Name whom to ask with --model NAME.')
  else await evaluateLive(options, options.questions, options.model)
}
