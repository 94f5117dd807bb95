/** `ballast calibrate`: how often the judge errs, by labels of people, and the rates behind it. */
import { Command } from 'commander'
import { readCalibration } from './calibration-data.ts'
import { type CalibrationView, drawCalibration } from './calibration-text.ts'
import { openConfig } from './catalog.ts'
import { type Measured, measuredExperiments } from './measured.ts'
import { openStoreForReading } from './open-store.ts'
import { UsageError } from './usage.ts'

interface CalibrateOptions {
  readonly config: string
  readonly experiment: string
  readonly check?: string
  readonly json: boolean
}

export function calibrateCommand(): Command {
  return new Command('calibrate')
    .description('Say how often the judge errs, by labels of people, and correct the rates for it.')
    .requiredOption('--experiment <name>', 'whose answers were labelled')
    .option('--check <check>', 'the check that judged them; the present one by default')
    .option('-c, --config <file>', 'the configuration, which names the store', 'ballast.yaml')
    .option('--json', 'print it as JSON', false)
    .addHelpText(
      'after',
      `
Labels are those that people gave to judged answers. A route without an
experiment is called "route:PATTERN".

Example:
  ballast calibrate --experiment birds`,
    )
    .action(runCalibrate)
}

async function runCalibrate({ config: file, experiment, check, json }: CalibrateOptions): Promise<void> {
  const config = openConfig(file)
  const [found] = measuredExperiments(config, [experiment]) as [Measured]
  const measured = check === undefined ? found : { ...found, check: checkOf(config.checks, check) }
  const store = await openStoreForReading(config)
  try {
    const tallies = await store.tallies(experiment, measured.check.id)
    const { calibration, unused } = await readCalibration(store, measured, tallies)
    const view: CalibrationView = { experiment, check: measured.check.id, ...calibration, unused }
    process.stdout.write(json ? `${JSON.stringify(view, null, 2)}\n` : drawCalibration(view))
  } finally {
    await store.close()
  }
}

function checkOf(checks: ReadonlyMap<string, Measured['check']>, id: string): Measured['check'] {
  const check = checks.get(id)
  if (check !== undefined) return check
  throw new UsageError(`Check "${id}" does not exist; there are ${[...checks.keys()].join(', ')}.`)
}
