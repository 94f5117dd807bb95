/** `ballast arms`: how the arms of the experiments stand, what was done to them, and by whom; and doing it. */
import { Command } from 'commander'
import type { Config } from '../config/load.ts'
import { didYouMean } from '../config/near.ts'
import type { ArmEvent, Store } from '../domain/store.ts'
import { type ArmAction, recordArmAction, refusal } from '../node/arm-actions.ts'
import { applyArmEvents } from '../node/arm-events.ts'
import { type CompiledExperiment, compilePlan } from '../policy/compile.ts'
import { type ArmView, drawArms, type ExperimentArms } from './arms-text.ts'
import { openConfig } from './catalog.ts'
import { withStore } from './open-store.ts'
import { columnsOf } from './text.ts'
import { UsageError } from './usage.ts'

interface ArmsOptions {
  readonly config: string
  readonly json: boolean
}

interface ActOptions extends ArmsOptions {
  readonly reason: string
}

const ACTIONS = {
  off: 'Switch an arm off: nothing is injected for its units, and they are not counted.',
  on: 'Switch an arm on again, or end its promotion; evidence about the experiment begins anew.',
  promote: 'Give the units of all arms the policy of one, and count none of them any more.',
} as const satisfies Record<ArmAction, string>

export function armsCommand(): Command {
  const command = new Command('arms')
    .description('Show which arms are on, off or promoted, since when, by whom and why; and switch them.')
    .option('-c, --config <file>', 'the configuration, whose store is opened', 'ballast.yaml')
    .option('--json', 'print it as JSON, with the evidence', false)
    .addHelpText(
      'after',
      `
What is done is stored, and every ballast on the same store does it within about a second. What the configuration
says is off stays off. Exit codes: 0, 1 (the store failed), 2 (called wrongly).

Examples:
  ballast arms
  ballast arms off birds etymologist --reason "complaints about its tone"
  ballast arms on birds etymologist --reason "the judge had been wrong" --config ballast.yaml`,
    )
    .addCommand(
      new Command('list')
        .description('List them (the default).')
        .argument('[experiment]', 'only this one')
        .addHelpText('after', '\nExample:\n  ballast arms list birds')
        .action(async (experiment: string | undefined, _options: unknown, self: Command) =>
          list(experiment, self.optsWithGlobals<ArmsOptions>()),
        ),
      { isDefault: true },
    )
  for (const [action, description] of Object.entries(ACTIONS)) {
    command.addCommand(
      new Command(action)
        .description(description)
        .argument('<experiment>')
        .argument('<arm>')
        .requiredOption('--reason <text>', 'why; stored, and shown in reports')
        .addHelpText(
          'after',
          `\nExample:\n  ballast arms ${action} birds etymologist --reason "complaints about its tone"`,
        )
        .action(async (experiment: string, arm: string, _options: unknown, self: Command) =>
          act(action as ArmAction, experiment, arm, self.optsWithGlobals<ActOptions>()),
        ),
    )
  }
  return command
}

async function list(only: string | undefined, { config: file, json }: ArmsOptions): Promise<void> {
  const config = openConfig(file)
  const experiments = experimentsOf(config)
  const wanted = only === undefined ? experiments : [findExperiment(experiments, only)]
  await withStore(config, async (store) => print(await view(store, wanted), json))
}

async function act(action: ArmAction, name: string, arm: string, options: ActOptions): Promise<void> {
  const reason = options.reason.trim()
  if (reason === '') throw new UsageError('--reason is empty: say why, for those who look at it later.')
  const config = openConfig(options.config)
  const experiment = findExperiment(experimentsOf(config), name)
  if (!experiment.arms.some((it) => it.name === arm)) {
    const names = experiment.arms.map((it) => it.name)
    const hint = didYouMean(arm, names) || `; there are ${names.join(', ')}`
    throw new UsageError(`Experiment "${name}" has no arm "${arm}"${hint}.`)
  }
  const refused = refusal(action, experiment, arm)
  if (refused !== null) throw new UsageError(refused)
  await withStore(config, async (store) => {
    await recordArmAction(store, { experiment: name, arm, action, reason })
    print(await view(store, [experiment]), options.json)
  })
}

/** As the configuration has them, before anything was done to them. */
function experimentsOf(config: Config): readonly CompiledExperiment[] {
  return compilePlan(config).experiments
}

function findExperiment(experiments: readonly CompiledExperiment[], name: string): CompiledExperiment {
  const found = experiments.find((it) => it.name === name)
  if (found !== undefined) return found
  const names = experiments.map((it) => it.name)
  const there = names.length === 0 ? '; there are none' : `; there are ${names.join(', ')}`
  throw new UsageError(`Experiment "${name}" does not exist${didYouMean(name, names) || there}.`)
}

async function view(store: Store, experiments: readonly CompiledExperiment[]): Promise<ExperimentArms[]> {
  applyArmEvents({ experiments }, await store.armEvents())
  return await Promise.all(
    experiments.map(async ({ name, arms, switches }) => ({
      experiment: name,
      arms: arms.map(
        (arm): ArmView => ({ arm: arm.name, policy: arm.policyId, ...switches.state(arm.name) }),
      ),
      history: (await store.armHistory(name)).map(({ arm, action, by, at, reason, evidence }: ArmEvent) => ({
        arm,
        action,
        by,
        at: new Date(at).toISOString(),
        reason,
        evidence: evidence === null ? null : (JSON.parse(evidence) as unknown),
      })),
    })),
  )
}

function print(experiments: readonly ExperimentArms[], json: boolean): void {
  process.stdout.write(
    json
      ? experiments.map((it) => `${JSON.stringify(it)}\n`).join('')
      : drawArms(experiments, columnsOf(process.stdout)),
  )
}
