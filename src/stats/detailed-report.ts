/**
 * Adds to an experiment's report what `ballast report` says besides (`domain/detailed-report.ts`). Pure; called by
 * `cli/report-data.ts` with what the store holds.
 */
import type { Check } from '../domain/check.ts'
import type {
  DetailedArm,
  DetailedComparison,
  DetailedQuestion,
  DetailedReport,
} from '../domain/detailed-report.ts'
import type { Report } from '../domain/report.ts'
import type { ArmEvent, ScoreTally, Tally } from '../domain/store.ts'
import type { CompiledExperiment } from '../policy/compile.ts'
import { baselineOf } from '../policy/rules.ts'
import { wilsonInterval } from './binomial-intervals.ts'
import type { Calibration } from './calibration.ts'
import { conclude } from './conclusion.ts'
import { type Counts, NO_COUNTS } from './counts.ts'
import { rateOverTime } from './rate-over-time.ts'
import { ALPHA } from './report.ts'
import { reportNotes } from './report-notes.ts'
import { sampleRatioChiSquare } from './sample-ratio.ts'
import { scoreDistributions } from './score-distribution.ts'
import { uncountedVerdicts } from './uncounted.ts'
import { verdictsToGo } from './verdicts-to-go.ts'

export interface DetailedInput {
  readonly report: Report
  /** What decisions counted, by arm. */
  readonly decisive: ReadonlyMap<string, Counts>
  readonly experiment: Pick<CompiledExperiment, 'arms' | 'switches' | 'randomized'>
  readonly check: Pick<Check, 'version' | 'rubrics'>
  readonly tallies: readonly Tally[]
  readonly scoreTallies: readonly ScoreTally[]
  readonly questions: readonly DetailedQuestion[]
  /** Null without labels. */
  readonly judge: Calibration | null
  /** Oldest first. */
  readonly history: readonly ArmEvent[]
  /** Milliseconds since the epoch. */
  readonly now: number
}

export function detailReport(input: DetailedInput): DetailedReport {
  const { report, experiment, check, judge, history } = input
  const control = baselineOf(experiment.arms)
  const arms = detailArms(input)
  const comparisons = report.comparisons.map((comparison): DetailedComparison => {
    const armOf = (name: string) => arms.find(({ arm }) => arm === name)!
    const [treated, against] = [armOf(comparison.arm), armOf(comparison.against)]
    const weights = [against, treated].map(({ weight, sample }) => weight * sample) as [number, number]
    const share = weights[0] / (weights[0] + weights[1])
    const power = verdictsToGo(against.decisive, treated.decisive, share, ALPHA)
    const inconclusive = comparison.decision === 'undecided' && power !== null && power.have >= power.cap
    return { ...comparison, power, inconclusive }
  })
  const on = arms.filter(({ off }) => off === null)
  const conclusion = conclude({
    arms: arms.map((arm) => ({
      arm: arm.arm,
      judged: arm.verdicts.positive + arm.verdicts.negative,
      uncounted: uncountedShare(arm),
      differsIn: arm.uncounted.excluded.differs
        ? 'excluded'
        : arm.uncounted.unreadable.differs
          ? 'unreadable'
          : null,
      judgedUnevenly: judge?.arms.find((it) => it.arm === arm.arm)?.uneven ?? false,
      rate: arm.rate,
      rolledBack: rolledBack(arm.arm, history),
    })),
    randomized: experiment.randomized,
    comparisons: comparisons.map((it) => ({ ...it, exhausted: it.inconclusive })),
    sampleRatioP: report.sample_ratio.p,
    judge: judge?.identifiable ?? null,
  })
  return {
    experiment: report.experiment,
    check: report.check,
    arms,
    comparisons,
    sample_ratio: { ...report.sample_ratio, chi_square: chiSquare(on, experiment.randomized) },
    conclusion,
    alpha: ALPHA,
    made_at: input.now,
    scores: scoreDistributions(
      present(input.scoreTallies, input),
      check.rubrics,
      arms.map(({ arm }) => arm),
    ),
    questions: input.questions,
    judge,
    history: history.map(({ arm, action, by, reason, at }) => ({ arm, action, by, reason, at })),
    notes: reportNotes({
      arms,
      comparisons,
      judge,
      control: control.name,
      randomized: experiment.randomized,
      since: report.evidence?.since ?? null,
    }),
  }
}

function detailArms(input: DetailedInput): DetailedArm[] {
  const { report, decisive, experiment, history } = input
  const baseline = experiment.arms.indexOf(baselineOf(experiment.arms))
  const uncounted = uncountedVerdicts(
    report.arms.map(({ verdicts }) => verdicts),
    experiment.randomized ? baseline : null,
  )
  const drawn = present(input.tallies, input).filter(({ extra }) => !extra)
  return report.arms.map((arm, index): DetailedArm => {
    const { weight, sampleRate, name } = experiment.arms[index]!
    const own = drawn.filter((tally) => tally.arm === name)
    const { positive, negative } = arm.verdicts
    return {
      ...arm,
      weight,
      sample: sampleRate,
      off: offOf(name, experiment, history),
      decisive: decisive.get(name) ?? NO_COUNTS,
      once: wilsonInterval(positive, positive + negative, ALPHA),
      weighted: arm.rate.weighted ?? null,
      uncounted: uncounted[index]!,
      over_time: rateOverTime(own, ALPHA),
    }
  })
}

/** Of the present wording of check and policies. */
function present<T extends Tally | ScoreTally>(
  tallies: readonly T[],
  { experiment, check }: DetailedInput,
): T[] {
  const hashes = new Map(experiment.arms.map(({ name, policyHash }) => [name, policyHash]))
  return tallies.filter((it) => it.checkVersion === check.version && it.policyHash === hashes.get(it.arm))
}

function uncountedShare({ verdicts }: DetailedArm): number | null {
  const { positive, negative, excluded, unparsed, error } = verdicts
  const without = excluded + unparsed + error
  const all = positive + negative + without
  return all === 0 ? null : without / all
}

function lastEvent(arm: string, history: readonly ArmEvent[]): ArmEvent | undefined {
  return history.findLast((event) => event.arm === arm)
}

function rolledBack(arm: string, history: readonly ArmEvent[]): { at: number; reason: string } | null {
  const last = lastEvent(arm, history)
  return last?.action === 'off' && last.by === 'rollback' ? { at: last.at, reason: last.reason } : null
}

function offOf(
  arm: string,
  { switches }: DetailedInput['experiment'],
  history: readonly ArmEvent[],
): DetailedArm['off'] {
  const last = lastEvent(arm, history)
  if (last?.action === 'off') return { by: last.by, reason: last.reason }
  if (switches.isOff(arm)) return { by: 'configuration', reason: 'the configuration says off' }
  return null
}

function chiSquare(
  arms: readonly DetailedArm[],
  randomized: boolean,
): DetailedReport['sample_ratio']['chi_square'] {
  if (!randomized || arms.every(({ weight }) => weight === 0)) return { value: 0, df: 0, p: 1 }
  const { chiSquare, df, p } = sampleRatioChiSquare(
    arms.map(({ units }) => units),
    arms.map(({ weight }) => weight),
  )
  return { value: chiSquare, df, p }
}
