/** Makes an experiment's report (SPEC section 10) of what the store holds. Pure; called through `node.ts`. */
import type { Check } from '../domain/check.ts'
import type { ArmTally, DecisiveVerdict, Tally } from '../domain/ports.ts'
import type { ArmReport, Comparison, Decision, Report } from '../domain/report.ts'
import { noVerdicts, type VerdictCounts } from '../domain/verdict.ts'
import type { CompiledArm, CompiledExperiment } from '../policy/compile.ts'
import { ArmComparison } from './arm-comparisons.ts'
import { betaBinomialInterval } from './beta-binomial.ts'
import type { BlockEProcess } from './block-e-process.ts'
import { sampleRatioLogE, sampleRatioP } from './sample-ratio.ts'

/** Error rate of every bound and decision. */
export const ALPHA = 0.05

export interface ReportInput {
  readonly experiment: Pick<CompiledExperiment, 'name' | 'arms' | 'assignment' | 'switches' | 'randomized'>
  readonly check: Pick<Check, 'id' | 'version'>
  readonly exposures: readonly ArmTally[]
  readonly tallies: readonly Tally[]
  /** In the order of the requests. */
  readonly verdicts: readonly DecisiveVerdict[]
}

/**
 * Only what belongs together is counted together: verdicts on the present wording of check and policies, and units under
 * the present arms, weights and switches. What was counted before a change stays in the store.
 */
export function buildReport({ experiment, check, exposures, tallies, verdicts }: ReportInput): Report {
  const hashes = new Map(experiment.arms.map(({ name, policyHash }) => [name, policyHash]))
  const present = tallies.filter(
    (it) => it.checkVersion === check.version && it.policyHash === hashes.get(it.arm),
  )
  const arms = experiment.arms.map(({ name, policyId }): ArmReport => {
    const own = present.filter(({ arm }) => arm === name)
    const drawn = own.filter(({ extra }) => !extra)
    const counts = verdictsOf(drawn)
    const judged = counts.positive + counts.negative
    const exposed = exposures.filter(({ arm }) => arm === name)
    return {
      arm: name,
      policy: policyId,
      units: sum(
        exposed.filter(({ assignment }) => assignment === experiment.assignment).map(({ units }) => units),
      ),
      exposures: sum(exposed.map((it) => it.exposures)),
      samples: samplesOf(drawn),
      verdicts: counts,
      rate: {
        estimate: judged === 0 ? null : counts.positive / judged,
        ...betaBinomialInterval(counts.positive, judged, ALPHA),
      },
      ...extraOf(own.filter(({ extra }) => extra)),
    }
  })
  const baseline = baselineOf(experiment.arms)
  // Where chance did not choose, a difference between the arms, or their sizes, says nothing.
  const compared = experiment.randomized ? experiment.arms : []
  const ratio = experiment.randomized ? ratioOf(experiment, arms) : 0
  return {
    experiment: experiment.name,
    check: check.id,
    arms,
    comparisons: compared
      .filter((arm) => arm !== baseline)
      .map((arm) => compare(arm.name, baseline.name, verdicts)),
    sample_ratio: { p: sampleRatioP(ratio), log_e: ratio },
  }
}

function verdictsOf(tallies: readonly Tally[]): VerdictCounts {
  const counts = noVerdicts()
  for (const { kind, count } of tallies) if (kind !== 'sample') counts[kind] += count
  return counts
}

function samplesOf(tallies: readonly Tally[]): number {
  return sum(tallies.filter(({ kind }) => kind === 'sample').map(({ count }) => count))
}

function extraOf(tallies: readonly Tally[]): Pick<ArmReport, 'extra'> {
  if (tallies.length === 0) return {}
  return { extra: { samples: samplesOf(tallies), verdicts: verdictsOf(tallies) } }
}

/** Over the arms that are on: one that is off gets no units while it is. */
function ratioOf({ arms, switches }: ReportInput['experiment'], reports: readonly ArmReport[]): number {
  const on = arms.flatMap((arm, index) =>
    switches.isOff(arm.name) ? [] : [{ weight: arm.weight, units: reports[index]!.units }],
  )
  if (on.every(({ weight }) => weight === 0)) return 0
  return sampleRatioLogE(
    on.map(({ units }) => units),
    on.map(({ weight }) => weight),
  )
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, it) => total + it, 0)
}

/** What the others are compared with: the first arm that injects nothing, else the first arm. */
export function baselineOf<A extends Pick<CompiledArm, 'policyId'>>(arms: readonly A[]): A {
  return arms.find(({ policyId }) => policyId === null) ?? arms[0]!
}

function compare(arm: string, against: string, verdicts: readonly DecisiveVerdict[]): Comparison {
  const comparison = new ArmComparison()
  const judged = { [arm]: [0, 0] as [number, number], [against]: [0, 0] as [number, number] }
  for (const row of verdicts) {
    const counts = judged[row.arm]
    if (counts === undefined) continue
    comparison.add(row.arm === arm ? 'treatment' : 'control', row.positive)
    counts[0] += row.positive ? 1 : 0
    counts[1]++
  }
  const rate = ([positives, total]: [number, number]) => (total === 0 ? null : positives / total)
  const [treated, control] = [rate(judged[arm]!), rate(judged[against]!)]
  return {
    arm,
    against,
    difference: {
      estimate: treated === null || control === null ? null : treated - control,
      ...comparison.differenceInterval(ALPHA),
    },
    log_e_better: comparison.evidence.logEBetter,
    log_e_worse: comparison.evidence.logEWorse,
    decision: decideFrom(comparison.evidence),
  }
}

/** Once the evidence of a direction has reached 1/alpha it stays proven, whatever comes later (Ville 1939). */
function decideFrom(evidence: BlockEProcess): Decision {
  const threshold = Math.log(1 / ALPHA)
  if (evidence.maxLogEWorse >= threshold) return 'worse'
  return evidence.maxLogEBetter >= threshold ? 'better' : 'undecided'
}
