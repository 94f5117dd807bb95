/**
 * What decisions about an experiment rest on: its verdicts in the order of the requests, read once. Its state is what
 * `node/evidence.ts` keeps in the store, so that any process can go on where another one stopped.
 *
 * Follows every treatment against the first arm that injects nothing, which reports show, and against the arm that a
 * rule names; and each arm's rate against the one a rule gives.
 */
import { hash } from 'node:crypto'
import { z } from 'zod'
import type { DecisiveVerdict, RequestOrder } from '../domain/store.ts'
import type { CompiledArm, CompiledExperiment } from '../policy/compile.ts'
import { actionable, baselineOf } from '../policy/rules.ts'
import { ArmComparisons } from './arm-comparisons.ts'
import { readState } from './state.ts'
import { ThresholdProcess, thresholdProcessSchema } from './threshold-process.ts'

/** Verdicts are counted by stretches of the requests' time, which are counted again later for those that came late. */
export const STRETCH_MS = 60_000
/** So long after its end a stretch is counted again. */
const LOOK_AGAIN_MS = 600_000
/** Another version's states are not read, nor overwritten: they have other names. */
const VERSION = 1

/** What is followed. */
export interface EvidencePlan {
  readonly arms: readonly string[]
  /** Control of each comparison, the one that reports show first; and who is compared with it. */
  readonly comparisons: readonly { readonly against: string; readonly treatments: readonly string[] }[]
  /** Rate that is promised of some arms; null where none is. */
  readonly above: { readonly rate: number; readonly arms: readonly string[] } | null
}

export function planEvidence({
  arms,
  rules,
}: {
  readonly arms: readonly Pick<CompiledArm, 'name' | 'policyId'>[]
  readonly rules: CompiledExperiment['rules']
}): EvidencePlan {
  const { rollback, promote } = rules
  const baseline = baselineOf(arms).name
  const named = [rollback?.against, promote?.against].filter((it) => it !== undefined && it !== baseline)
  const names = (some: typeof arms) => some.map(({ name }) => name)
  return {
    arms: names(arms),
    comparisons: [
      { against: baseline, treatments: names(arms.filter(({ name }) => name !== baseline)) },
      ...[...new Set(named)].map((against) => ({
        against: against!,
        treatments: names(actionable(arms, against!)),
      })),
    ],
    above:
      rollback?.above == null ? null : { rate: rollback.above.rate, arms: names(actionable(arms, null)) },
  }
}

/**
 * The name of the note that holds the state. Whatever makes other verdicts count or counts them differently has another
 * one: check, wording of the policies, arms, and what is compared with what.
 */
export function evidenceName(
  experiment: Pick<CompiledExperiment, 'name' | 'arms' | 'rules'>,
  check: { readonly id: string; readonly version: string },
): string {
  const policies = experiment.arms.map(({ name, policyHash }) => [name, policyHash])
  const followed = hash('sha256', JSON.stringify([policies, planEvidence(experiment)]), 'hex').slice(0, 16)
  return `evidence ${VERSION} ${experiment.name} ${check.id} ${check.version} ${followed}`
}

const orderSchema = z.strictObject({ requestedAt: z.number(), sampleId: z.string() })
const stateSchema = z.strictObject({
  version: z.literal(VERSION),
  since: z.number(),
  cursor: orderSchema.nullable(),
  assignment: z.string().nullable(),
  comparisons: z.array(z.unknown()),
  thresholds: z.record(z.string(), thresholdProcessSchema),
  counted: z.int().nonnegative(),
  late: z.int(),
  recent: z.array(z.strictObject({ start: z.number(), counted: z.int() })),
})
export type EvidenceState = z.infer<typeof stateSchema>

/** How many verdicts were counted of the requests of a stretch of time. */
interface Stretch {
  /** Milliseconds since the epoch. */
  readonly start: number
  counted: number
}

export class Evidence {
  /** Only requests after it count; milliseconds since the epoch. */
  readonly since: number
  private readonly followed: EvidencePlan
  private readonly comparisons: readonly ArmComparisons[]
  private readonly compared: readonly ReadonlySet<string>[]
  private readonly thresholds: ReadonlyMap<string, ThresholdProcess>
  private readonly recent: Stretch[]
  private place: RequestOrder | null
  private assignment: string | null
  private total: number
  private left: number

  /** @param since when evidence begins. @throws RangeError when `state` is none of this plan. */
  constructor(followed: EvidencePlan, since: number, state?: EvidenceState) {
    this.followed = followed
    this.since = since
    const states = state?.comparisons ?? []
    if (state !== undefined && states.length !== followed.comparisons.length)
      throw new RangeError('the stored evidence is of other comparisons')
    this.comparisons = followed.comparisons.map(({ against, treatments }, index) =>
      state === undefined ? new ArmComparisons(against, treatments) : ArmComparisons.restore(states[index]),
    )
    this.compared = followed.comparisons.map(({ against, treatments }) => new Set([against, ...treatments]))
    const { above } = followed
    this.thresholds = new Map(
      (above?.arms ?? []).map((arm) => [arm, new ThresholdProcess(above!.rate, state?.thresholds[arm])]),
    )
    this.recent = (state?.recent ?? []).map((stretch) => ({ ...stretch }))
    this.place = state?.cursor ?? null
    this.assignment = state?.assignment ?? null
    this.total = state?.counted ?? 0
    this.left = state?.late ?? 0
  }

  /** @throws RangeError when the state is none, of another version, or of another plan. */
  static restore(followed: EvidencePlan, state: unknown): Evidence {
    const read = readState(stateSchema, state, 'the evidence about an experiment')
    return new Evidence(followed, read.since, read)
  }

  serialise(): EvidenceState {
    return {
      version: VERSION,
      since: this.since,
      cursor: this.place,
      assignment: this.assignment,
      comparisons: this.comparisons.map((it) => it.serialise()),
      thresholds: Object.fromEntries([...this.thresholds].map(([arm, it]) => [arm, it.serialise()])),
      counted: this.total,
      late: this.left,
      recent: this.recent.map((stretch) => ({ ...stretch })),
    }
  }

  /**
   * Takes the next verdict in the order of the requests.
   * @param watermark up to which requests were waited for: verdicts of before that are still missing come late.
   */
  add(verdict: DecisiveVerdict, watermark: number): void {
    const { arm, positive, assignment, requestedAt, sampleId } = verdict
    // Arms, weights or shares of answers that are judged have changed. Thinning changes none of them against the other.
    if (this.assignment !== null && this.assignment !== assignment)
      for (const comparison of this.comparisons) comparison.cut()
    this.assignment = assignment
    for (const [index, comparison] of this.comparisons.entries())
      if (this.compared[index]!.has(arm)) comparison.add(arm, positive)
    this.thresholds.get(arm)?.add(positive)
    this.place = { requestedAt, sampleId }
    this.total++
    this.remember(Math.floor(requestedAt / STRETCH_MS) * STRETCH_MS, watermark)
  }

  /** Start of a stretch that is to be counted again by now, to be told to `settle`; null when there is none. */
  unsettled(watermark: number): number | null {
    const start = this.recent[0]?.start
    return start !== undefined && isOver(start, watermark) ? start : null
  }

  /** Forgets the oldest stretch. @param found how many verdicts of it there are by now. */
  settle(found: number): void {
    const stretch = this.recent.shift()
    if (stretch !== undefined) this.left += found - stretch.counted
  }

  /** The last verdict that was counted. */
  get cursor(): RequestOrder | null {
    return this.place
  }

  /** Verdicts counted. */
  get counted(): number {
    return this.total
  }

  /** Verdicts left out because they came when later requests had been counted. */
  get late(): number {
    return Math.max(0, this.left)
  }

  /** What reports show: every arm against the first that injects nothing. */
  get reported(): ArmComparisons {
    return this.comparisons[0]!
  }

  /** @throws RangeError when nothing is compared with that arm. */
  against(arm: string): ArmComparisons {
    const index = this.followed.comparisons.findIndex(({ against }) => against === arm)
    if (index === -1) throw new RangeError(`nothing is compared with "${arm}"`)
    return this.comparisons[index]!
  }

  /** Null for an arm of which no rate is promised. */
  threshold(arm: string): ThresholdProcess | null {
    return this.thresholds.get(arm) ?? null
  }

  private remember(start: number, watermark: number): void {
    const last = this.recent.at(-1)
    if (last?.start === start) last.counted++
    else if (!isOver(start, watermark)) this.recent.push({ start, counted: 1 })
  }
}

function isOver(stretch: number, watermark: number): boolean {
  return watermark >= stretch + STRETCH_MS + LOOK_AGAIN_MS
}
