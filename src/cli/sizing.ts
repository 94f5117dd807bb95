/** `ballast plan`: how many verdicts, requests, days and judge tokens an experiment will take, before or while it runs. */
import { Command, InvalidArgumentError } from 'commander'
import { readExperiment } from './sizing-data.ts'
import { drawSizing } from './sizing-text.ts'
import { type SizingOptions, size } from './sizing-view.ts'

const FIXED_ALPHA = 0.05
const DEFAULT_POWER = 0.9

export function sizingCommand(): Command {
  return new Command('plan')
    .description('Say how many verdicts, requests and days it takes to tell two rates apart.')
    .option('--rate <rate>', "the control's rate, between 0 and 1", between(0, 1))
    .option('--to <rate>', "the treatment's rate to be told from it; by default half", between(0, 1))
    .option('--alpha <chance>', 'of finding a difference where there is none', between(0, 1), FIXED_ALPHA)
    .option('--power <chance>', 'of finding the one there is', between(0, 1), DEFAULT_POWER)
    .option('--sample <share>', 'share of the answers that is judged', between(0, 1, true))
    .option('--weights <weights>', 'of the arms, the control first, as in 9:1 (default: 1:1)', readWeights)
    .option('--requests-per-day <number>', 'that reach the experiment', positive)
    .option('--tokens-per-verdict <number>', 'that the judge reads and writes', positive)
    .option('--price-per-million <amount>', 'of such tokens', positive)
    .option('--experiment <name>', 'take rate, weights and sampling from it')
    .option('-c, --config <file>', 'the configuration it stands in', 'ballast.yaml')
    .option('--json', 'print it as JSON', false)
    .addHelpText(
      'after',
      `
An experiment that is looked at all the time may end at any time: about half end
by the number called typical, and after the cap it is called inconclusive.

Examples:
  ballast plan --rate 0.05 --to 0.02 --sample 0.1 --requests-per-day 20000
  ballast plan --experiment birds --tokens-per-verdict 900 --price-per-million 0.4`,
    )
    .action(plan)
}

async function plan(options: SizingOptions): Promise<void> {
  const experiment =
    options.experiment === undefined ? null : await readExperiment(options.config, options.experiment)
  const sizing = size(options, experiment)
  process.stdout.write(options.json ? `${JSON.stringify(sizing, null, 2)}\n` : drawSizing(sizing))
}

function between(least: number, most: number, orMost = false): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text)
    if (value > least && (value < most || (orMost && value === most))) return value
    const percent = text.endsWith('%') ? ' Write 5% as 0.05.' : ''
    throw new InvalidArgumentError(
      orMost
        ? `It is above ${least} and at most ${most}.${percent}`
        : `It lies between ${least} and ${most}.${percent}`,
    )
  }
}

function positive(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (value > 0 && value < Infinity) return value
  throw new InvalidArgumentError('It is a number above 0.')
}

function readWeights(text: string): number[] {
  const weights = text.split(':').map((part) => (part.trim() === '' ? Number.NaN : Number(part)))
  if (weights.length > 1 && weights.every((weight) => weight > 0 && weight < Infinity)) return weights
  throw new InvalidArgumentError('They are numbers above 0, the control first, as in 9:1 or 2:1:1.')
}
