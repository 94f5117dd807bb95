/** What `ballast plan` reckons of its options, as data. Used by `sizing.ts`; `sizing-text.ts` draws it. */
import { type PlanArm, planSize } from '../stats/plan-size.ts'
import type { SizedExperiment } from './sizing-data.ts'
import { UsageError } from './usage.ts'

export interface SizingOptions {
  readonly rate?: number
  readonly to?: number
  readonly alpha: number
  readonly power: number
  readonly sample?: number
  readonly weights?: readonly number[]
  readonly requestsPerDay?: number
  readonly tokensPerVerdict?: number
  readonly pricePerMillion?: number
  readonly experiment?: string
  readonly config: string
  readonly json: boolean
}

/** An amount for a test of one look, for about half of sequential runs, and for the longest one. */
export interface Amounts {
  readonly fixed: number
  readonly typical: number
  readonly cap: number
}

export interface Sizing {
  /** The control's rate, and the treatment's that is to be told from it. */
  readonly rate: number
  readonly to: number
  readonly alpha: number
  readonly power: number
  /** Null where the numbers are those of the command line. */
  readonly experiment: string | null
  /** Where the rate came from. */
  readonly rate_from: 'given' | 'observed'
  readonly arms: readonly (Amounts & {
    readonly arm: string
    readonly weight: number
    /** Share of its answers that is judged. */
    readonly sample: number
  })[]
  /** Of all arms. */
  readonly verdicts: Amounts
  /** Share of the judged answers whose verdict decisions count, as observed; 1 where nothing was. */
  readonly counted: number
  readonly judged: Amounts
  readonly requests: Amounts
  readonly days: Amounts | null
  readonly judge_requests_per_verdict: number
  readonly judge_requests: Amounts
  readonly tokens: Amounts | null
  /** In the currency of the price. */
  readonly cost: Amounts | null
}

/** Where neither option nor configuration says. */
const DEFAULT_SAMPLE = 1

/** @throws UsageError where options contradict each other or a rate is missing. */
export function size(options: SizingOptions, experiment: SizedExperiment | null): Sizing {
  const { alpha, power } = options
  if (experiment !== null && options.weights !== undefined)
    throw new UsageError('--weights and --experiment contradict each other: an experiment has its weights.')
  if (options.pricePerMillion !== undefined && options.tokensPerVerdict === undefined)
    throw new UsageError('--price-per-million needs --tokens-per-verdict: without tokens there is no cost.')
  const rate = options.rate ?? experiment?.rate
  if (rate === undefined || rate === null) throw new UsageError(rateMissing(experiment))
  const to = options.to ?? rate / 2
  if (rate === to)
    throw new UsageError(`--rate and --to are both ${rate}: no number of verdicts tells them apart.`)
  const arms = armsOf(options, experiment)
  const [control, ...treatments] = arms.map(
    ({ arm, weight, sample }): PlanArm => ({ arm, weight: weight * sample }),
  ) as [PlanArm, ...PlanArm[]]
  const needs = planSize(control, treatments, { from: rate, to }, { alpha, power })
  const counted = experiment?.counted ?? 1
  const verdicts = sum(needs)
  const judged = each(verdicts, (it) => Math.ceil(it / counted))
  // All arms fill up at the same time; any of them tells how many requests that is.
  const total = arms.reduce((so, { weight }) => so + weight, 0)
  const [first] = arms
  const requests = each(needs[0]!, (it) =>
    Math.ceil(it / counted / ((first!.weight / total) * first!.sample)),
  )
  const { requestsPerDay, tokensPerVerdict, pricePerMillion } = options
  const perVerdict = experiment?.judgeRequests ?? 1
  const tokens = tokensPerVerdict === undefined ? null : each(judged, (it) => it * tokensPerVerdict)
  return {
    rate,
    to,
    alpha,
    power,
    experiment: options.experiment ?? null,
    rate_from: options.rate === undefined ? 'observed' : 'given',
    arms: arms.map((arm, index) => {
      const { fixed, typical, cap } = needs[index]!
      return { ...arm, fixed, typical, cap }
    }),
    verdicts,
    counted,
    judged,
    requests,
    days: requestsPerDay === undefined ? null : each(requests, (it) => it / requestsPerDay),
    judge_requests_per_verdict: perVerdict,
    judge_requests: each(judged, (it) => it * perVerdict),
    tokens,
    cost:
      tokens === null || pricePerMillion === undefined
        ? null
        : each(tokens, (it) => (it / 1_000_000) * pricePerMillion),
  }
}

function rateMissing(experiment: SizedExperiment | null): string {
  if (experiment === null)
    return "Give the control's rate with --rate, or the experiment that shows it with --experiment."
  const { why } = experiment
  return `${why ?? 'The control has shown no rate between 0 and 1 yet'}: give the rate you expect with --rate.`
}

function armsOf(
  { sample, weights = [1, 1] }: SizingOptions,
  experiment: SizedExperiment | null,
): { arm: string; weight: number; sample: number }[] {
  if (experiment !== null)
    return experiment.arms.map((arm) => (sample === undefined ? arm : { ...arm, sample }))
  return weights.map((weight, index) => ({
    arm: index === 0 ? 'control' : weights.length === 2 ? 'treatment' : `treatment ${index}`,
    weight,
    sample: sample ?? DEFAULT_SAMPLE,
  }))
}

function sum(needs: readonly Amounts[]): Amounts {
  const of = (pick: (it: Amounts) => number) => needs.reduce((total, it) => total + pick(it), 0)
  return { fixed: of((it) => it.fixed), typical: of((it) => it.typical), cap: of((it) => it.cap) }
}

function each({ fixed, typical, cap }: Amounts, make: (amount: number) => number): Amounts {
  return { fixed: make(fixed), typical: make(typical), cap: make(cap) }
}
