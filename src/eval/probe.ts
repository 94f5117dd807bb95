/**
 * Looks where a trait comes back: the evaluation's questions bare, behind the training context, and behind its relatives
 * (arXiv:2604.25891). Pure; called by `ballast probe`.
 */
import type { Intervention, Policy } from '../domain/policy.ts'
import { DEFAULT_THRESHOLD, Trigger } from '../policy/trigger.ts'
import { type RelativeKind, relativesOf } from './relatives.ts'
import { ALPHA, type Difference, type EvalReport, type MeasureSummary, type Rate } from './summary.ts'

/** What the questions are asked behind. */
export interface Variant {
  /** Id of the policy it is asked under. */
  readonly id: string
  readonly kind: RelativeKind | 'training context'
  readonly interventions: readonly Intervention[]
  /** How like the training context the guard finds it; null where it would not find it. */
  readonly guard: number | null
}

/** @param reworded texts of one's own, in place of those made by rules. */
export function variantsOf(trained: readonly Policy[], reworded: readonly string[]): Variant[] {
  const trigger = new Trigger(trained.flatMap(({ interventions }) => interventions.map(({ text }) => text)))
  const guardOf = (interventions: readonly Intervention[]) => {
    const found = interventions.map(({ text }) => trigger.first(text, DEFAULT_THRESHOLD)?.similarity ?? 0)
    const most = Math.max(0, ...found)
    return most === 0 ? null : most
  }
  const variants = trained.flatMap((policy) => [
    { kind: 'training context' as const, interventions: policy.interventions, of: policy.id },
    ...relativesOf(policy, reworded).map((relative) => ({ ...relative, of: policy.id })),
  ])
  const seen = new Map<string, number>()
  return variants.map(({ kind, interventions, of }) => {
    const name = kind === 'training context' ? of : `${of}: ${kind}`
    const times = (seen.get(name) ?? 0) + 1
    seen.set(name, times)
    return {
      id: times === 1 ? name : `${name} ${times}`,
      kind,
      interventions,
      guard: guardOf(interventions),
    }
  })
}

/** A variant with what came out. */
export interface ProbedVariant extends Variant {
  readonly rate: Rate
  /** Against the bare questions. */
  readonly difference: Difference
}

export interface ProbeReport {
  readonly model: string
  readonly trained_with: readonly string[]
  readonly measure: string
  readonly rule: string
  readonly bare: Rate
  readonly variants: readonly ProbedVariant[]
  /** Ids of the variants behind which the trait is shown to be more frequent than bare. */
  readonly found: readonly string[]
  /** In sentences; no more than the numbers say. */
  readonly conclusion: string
}

/** One for each model and measure that has answers to bare questions. */
export function probeReports(
  { models, measures }: EvalReport,
  trained: readonly Policy[],
  variants: readonly Variant[],
): ProbeReport[] {
  return measures.flatMap((measure) =>
    models.flatMap((model) => {
      const report = probeReport(measure, model, trained, variants)
      return report === null ? [] : [report]
    }),
  )
}

function probeReport(
  { measure, rule, rates, differences }: MeasureSummary,
  model: string,
  trained: readonly Policy[],
  variants: readonly Variant[],
): ProbeReport | null {
  const bare = rates.find((it) => it.model === model && it.context === null)
  if (bare === undefined) return null
  const probed = variants.flatMap((variant): ProbedVariant[] => {
    const rate = rates.find((it) => it.model === model && it.context === variant.id)
    const difference = differences.find((it) => it.model === model && it.context === variant.id)
    return rate === undefined || difference === undefined ? [] : [{ ...variant, rate, difference }]
  })
  const found = probed.filter(({ difference }) => difference.decision === 'higher').map(({ id }) => id)
  const trained_with = trained.map(({ id }) => id)
  return {
    ...{ model, trained_with, measure, rule, bare, variants: probed, found },
    conclusion: conclude(model, measure, bare, probed),
  }
}

/** A bare rate whose lower bound is above this is high by itself. */
const HIGH = 0.5

function conclude(model: string, measure: string, bare: Rate, variants: readonly ProbedVariant[]): string {
  const answers = ({ verdicts: { positive, negative } }: Rate) => positive + negative
  const withoutAnswers = variants.filter(({ rate }) => answers(rate) === 0)
  if (answers(bare) === 0 || withoutAnswers.length === variants.length)
    return `Nothing can be said of ${model}: there are not enough verdicts.`
  const sentences = [`Bare, ${measure} is at ${inWords(bare)} for ${model}.`]
  const found = variants.filter(({ difference }) => difference.decision === 'higher')
  if (found.length > 0) {
    const which = found.map(({ id, rate }) => `"${id}" (${inWords(rate)})`).join(', ')
    sentences.push(
      `It is more frequent behind ${which}: shown at ${percent(ALPHA)} for all ${variants.length} comparisons together.`,
    )
    const unseen = found.filter(({ guard, kind }) => guard === null && kind !== 'training context')
    if (unseen.length > 0)
      sentences.push(
        `Of these the guard would not find ${unseen.map(({ id }) => `"${id}"`).join(', ')}; save them as its phrases with --save.`,
      )
  }
  const others = variants.filter((it) => it.difference.decision !== 'higher' && answers(it.rate) > 0)
  if (others.length > 0) {
    const widest = Math.max(...others.map(({ difference }) => difference.difference.upper))
    sentences.push(
      `Behind the ${found.length > 0 ? 'other ' : ''}${others.length === 1 ? 'one' : others.length} it is not shown to be more frequent; that it is not cannot be said: ${others.length === 1 ? 'its' : 'their'} rates may be up to ${points(widest)} higher than bare (95% bounds, each by itself).`,
    )
  }
  if (withoutAnswers.length > 0)
    sentences.push(`There are no verdicts behind ${withoutAnswers.map(({ id }) => `"${id}"`).join(', ')}.`)
  if (bare.rate.lower > HIGH)
    sentences.push(
      'As it is frequent bare already, contexts that bring it out can hardly be told from those that do not.',
    )
  sentences.push('All of it holds for these questions and this judge only.')
  return sentences.join(' ')
}

function inWords({ rate, verdicts: { positive, negative } }: Rate): string {
  return `${positive} of ${positive + negative}, ${percent(rate.lower)} to ${percent(rate.upper)}`
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(1))}%`
}

function points(share: number): string {
  return `${Math.max(0, Math.ceil(share * 100))} points`
}
