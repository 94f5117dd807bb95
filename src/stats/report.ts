/** Makes an experiment's report (SPEC section 10) of what the store holds. Pure; called through `node.ts`. */
import type { Check } from '../domain/check.ts'
import type { ArmReport, ArmState, Comparison, EvidenceReport, Report } from '../domain/report.ts'
import type { ArmTally, Tally } from '../domain/store.ts'
import { noVerdicts, type VerdictCounts } from '../domain/verdict.ts'
import type { CompiledExperiment } from '../policy/compile.ts'
import { baselineOf } from '../policy/rules.ts'
import { betaBinomialInterval } from './beta-binomial.ts'
import type { Evidence } from './evidence.ts'
import { sampleRatioLogE, sampleRatioP } from './sample-ratio.ts'
import { weightedRate } from './weighted-rate.ts'

/** Error rate of every bound and decision. */
export const ALPHA = 0.05

export interface ReportInput {
  readonly experiment: Pick<CompiledExperiment, 'name' | 'arms' | 'assignment' | 'switches' | 'randomized'>
  readonly check: Pick<Check, 'id' | 'version'>
  readonly exposures: readonly ArmTally[]
  readonly tallies: readonly Tally[]
  /** Null where nothing is compared: one arm, or arms that chance does not lead to. */
  readonly evidence: Evidence | null
}

/**
 * Only what belongs together is counted together: verdicts on the present wording of check and policies, and units under
 * the present arms, weights and switches. What was counted before a change stays in the store.
 *
 * Rates are of all verdicts of drawn samples; comparisons are of those that the evidence has counted.
 */
export function buildReport({ experiment, check, exposures, tallies, evidence }: ReportInput): Report {
  const hashes = new Map(experiment.arms.map(({ name, policyHash }) => [name, policyHash]))
  const present = tallies.filter(
    (it) => it.checkVersion === check.version && it.policyHash === hashes.get(it.arm),
  )
  const arms = experiment.arms.map(({ name, policyId }): ArmReport => {
    const own = present.filter(({ arm }) => arm === name)
    const drawn = own.filter(({ extra }) => !extra)
    const counts = verdictsOf(drawn)
    const judged = counts.positive + counts.negative
    const weighted = weightedRate(drawn, ALPHA)
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
        ...(weighted === null ? {} : { weighted }),
      },
      ...extraOf(own.filter(({ extra }) => extra)),
      ...stateOf(experiment.switches.state(name)),
    }
  })
  // Where chance did not choose, a difference between the arms, or their sizes, says nothing.
  const ratio = experiment.randomized ? ratioOf(experiment, arms) : 0
  return {
    experiment: experiment.name,
    check: check.id,
    arms,
    comparisons: evidence === null ? [] : comparisonsOf(evidence, baselineOf(experiment.arms).name),
    sample_ratio: { p: sampleRatioP(ratio), log_e: ratio },
    ...(evidence !== null && { evidence: describe(evidence) }),
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

/** An arm that has never been anything but on has none. */
function stateOf(state: ArmState): Pick<ArmReport, 'state'> {
  return state.state === 'on' && state.by === null ? {} : { state }
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

function comparisonsOf(evidence: Evidence, against: string): Comparison[] {
  return evidence.reported
    .results(ALPHA)
    .map(({ arm, difference: { estimate, lower, upper }, logEBetter, logEWorse, decision }) => ({
      arm,
      against,
      difference: { estimate, lower, upper },
      log_e_better: logEBetter,
      log_e_worse: logEWorse,
      decision,
    }))
}

function describe({ since, cursor, counted, late }: Evidence): EvidenceReport {
  return {
    since: since === 0 ? null : new Date(since).toISOString(),
    until: cursor === null ? null : new Date(cursor.requestedAt).toISOString(),
    verdicts: counted,
    late,
  }
}
