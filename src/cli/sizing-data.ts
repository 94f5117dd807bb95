/** What `ballast plan --experiment` takes from configuration and store. */
import type { Config } from '../config/load.ts'
import { baselineOf } from '../policy/rules.ts'
import { openConfig } from './catalog.ts'
import { type Measured, measuredExperiments } from './measured.ts'
import { openStoreForReading } from './open-store.ts'
import { readDetailedReport } from './report-data.ts'
import { UsageError } from './usage.ts'
import { modelsOf } from './warnings.ts'

export interface SizedExperiment {
  /** The control first; those that are on and judged. */
  readonly arms: readonly { readonly arm: string; readonly weight: number; readonly sample: number }[]
  /** The control's, of what decisions count; null where it is 0, 1 or unknown. */
  readonly rate: number | null
  /** Why there is no rate, where it is more than that none was seen. */
  readonly why: string | null
  /** Of all verdicts, the share that decisions count; 1 without any. */
  readonly counted: number
  /** Requests to judge models that one verdict takes. */
  readonly judgeRequests: number
}

/** @throws UsageError where the experiment has nothing to compare. */
export async function readExperiment(file: string, name: string): Promise<SizedExperiment> {
  const config = openConfig(file)
  const [measured] = measuredExperiments(config, [name]) as [Measured]
  const { experiment } = measured
  const baseline = baselineOf(experiment.arms)
  const arms = [baseline, ...experiment.arms.filter((arm) => arm !== baseline)]
    .filter(
      ({ name, weight, sampleRate }) => weight > 0 && sampleRate > 0 && !experiment.switches.isOff(name),
    )
    .map(({ name, weight, sampleRate }) => ({ arm: name, weight, sample: sampleRate }))
  if (!experiment.randomized || arms.length < 2 || arms[0]!.arm !== baseline.name) {
    throw new UsageError(
      `Experiment "${name}" compares nothing: it takes a control and another arm that are on, with a weight and a "sample" above 0.`,
    )
  }
  return { arms, judgeRequests: judgeRequests(config, measured), ...(await observed(config, measured)) }
}

/** Without a store there is a plan all the same, if somebody says the rate. */
async function observed(
  config: Config,
  measured: Measured,
): Promise<Pick<SizedExperiment, 'rate' | 'why' | 'counted'>> {
  const store = await openStoreForReading(config).catch((error: unknown) =>
    error instanceof Error ? error.message : String(error),
  )
  if (typeof store === 'string') return { rate: null, why: store.replace(/\.$/, ''), counted: 1 }
  try {
    const { arms } = await readDetailedReport(store, measured, config.decisions.wait, Date.now())
    const control = arms[measured.experiment.arms.indexOf(baselineOf(measured.experiment.arms))]!
    const { positives, total } = control.decisive
    const rate = positives > 0 && positives < total ? positives / total : null
    const all = arms.reduce((sum, { uncounted }) => sum + uncounted.unreadable.of, 0)
    const counted = arms.reduce((sum, { decisive }) => sum + decisive.total, 0)
    return { rate, why: null, counted: all === 0 || counted === 0 ? 1 : counted / all }
  } finally {
    await store.close()
  }
}

function judgeRequests({ judge }: Config, { check }: Measured): number {
  return check.rubrics.reduce(
    (sum, rubric) =>
      sum + Math.max(1, modelsOf(rubric, judge).length) * (rubric.repeat ?? judge?.repeat ?? 1),
    0,
  )
}
