/** The options of `ballast eval`, and those of them that all commands have that ask models and judges. */
import type { Command } from 'commander'
import type { EvalFormat } from './eval-output.ts'
import { collect, perMinute, wholeNumber } from './usage.ts'

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
  readonly format?: EvalFormat
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
