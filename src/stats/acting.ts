/**
 * What the evidence asks for by an experiment's rules: arms to switch off, an arm to promote. Nothing else is ever a
 * reason. Pure; called by `node/following.ts`.
 */
import type { ArmEvent } from '../domain/store.ts'
import type { CompiledArm, CompiledExperiment } from '../policy/compile.ts'
import { actionable } from '../policy/rules.ts'
import type { Counts } from './counts.ts'
import type { Evidence } from './evidence.ts'
import { holm } from './multiple-testing.ts'
import { ALPHA } from './report.ts'

type Acting = Pick<CompiledExperiment, 'name' | 'arms' | 'rules'>

/** What proves it; kept with the event as JSON. */
export interface Proof {
  readonly rule: 'worse_than' | 'above' | 'better_than'
  /** An arm, or a rate. */
  readonly against: string | number
  readonly alpha: number
  /** Anytime p-value, 1 / max E, adjusted by Holm's method over the arms; at most alpha. */
  readonly p: number
  /** -ln p and -ln alpha: the evidence, and what it had to reach. */
  readonly log_e: number
  readonly threshold: number
  readonly arm: Counts
  readonly control: Counts | null
  /** Treatment minus control with 95% bounds; null where a rate was promised. */
  readonly difference: {
    readonly estimate: number | null
    readonly lower: number
    readonly upper: number
  } | null
}

export interface Due {
  readonly arm: string
  readonly action: 'off' | 'promoted'
  readonly by: 'rollback' | 'promote'
  readonly reason: string
  readonly proof: Proof
}

/** All that the rules ask for, whatever has been done already: rollbacks, then at most one promotion. */
export function findDue(experiment: Acting, evidence: Evidence): Due[] {
  const worse = findWorse(experiment, evidence)
  const above = findAbove(experiment, evidence).filter(({ arm }) => !worse.some((it) => it.arm === arm))
  return [...worse, ...above, ...findBetter(experiment, evidence)]
}

function findWorse({ arms, rules: { rollback } }: Acting, evidence: Evidence): Due[] {
  if (rollback === null) return []
  const { against, alpha } = rollback
  const proven = provenArms(actionable(arms, against), evidence, against, 'worse', alpha)
  return proven.map((proof) => ({
    arm: proof.name,
    action: 'off',
    by: 'rollback',
    reason: `${proof.name} has a higher positive rate than ${against}: ${compared(proof.proof)}`,
    proof: { rule: 'worse_than', ...proof.proof },
  }))
}

/** Of several that are proven at the same look, the one with the lowest rate. */
function findBetter({ arms, rules: { promote } }: Acting, evidence: Evidence): Due[] {
  if (promote === null) return []
  const { against, alpha } = promote
  const proven = provenArms(actionable(arms, against), evidence, against, 'better', alpha)
  const [best] = proven.toSorted((x, y) => rateOf(x.proof.arm) - rateOf(y.proof.arm))
  if (best === undefined) return []
  return [
    {
      arm: best.name,
      action: 'promoted',
      by: 'promote',
      reason: `${best.name} has a lower positive rate than ${against}: ${compared(best.proof)}`,
      proof: { rule: 'better_than', ...best.proof },
    },
  ]
}

function findAbove({ arms, rules: { rollback } }: Acting, evidence: Evidence): Due[] {
  const above = rollback?.above ?? null
  if (above === null) return []
  const { rate, alpha } = above
  const names = actionable(arms, null).map(({ name }) => name)
  const adjusted = holm(names.map((name) => Math.exp(-evidence.threshold(name)!.maxLogE)))
  return names.flatMap((arm, index): Due[] => {
    const p = adjusted[index]!
    if (p > alpha) return []
    const { counts } = evidence.threshold(arm)!
    const reason = `${arm} has a positive rate above ${percent(rate)}: ${share(counts)}; ${proven(p, alpha)}`
    const proof = {
      ...strength(p, alpha),
      rule: 'above',
      against: rate,
      arm: counts,
      control: null,
      difference: null,
    } as const
    return [{ arm, action: 'off', by: 'rollback', reason, proof }]
  })
}

type Compared = Omit<Proof, 'rule' | 'control'> & { readonly against: string; readonly control: Counts }

function provenArms(
  candidates: readonly CompiledArm[],
  evidence: Evidence,
  against: string,
  direction: 'better' | 'worse',
  alpha: number,
): { name: string; proof: Compared }[] {
  const comparisons = evidence.against(against)
  const adjusted = comparisons
    .adjusted()
    .filter((it) => it[direction] <= alpha && candidates.some(({ name }) => name === it.arm))
  if (adjusted.length === 0) return []
  const results = comparisons.results(ALPHA)
  return adjusted.map((it) => {
    const { counts, difference } = results.find(({ arm }) => arm === it.arm)!
    const proof = {
      against,
      ...strength(it[direction], alpha),
      arm: counts,
      control: comparisons.controlCounts,
      difference,
    }
    return { name: it.arm, proof }
  })
}

function strength(p: number, alpha: number): Pick<Proof, 'alpha' | 'p' | 'log_e' | 'threshold'> {
  return { alpha, p, log_e: -Math.log(p), threshold: -Math.log(alpha) }
}

function compared({ arm, control, difference, p, alpha }: Compared): string {
  const bounds =
    difference === null ? '' : `, by ${percent(difference.lower)} to ${percent(difference.upper)}`
  return `${share(arm)} against ${share(control)}${bounds}; ${proven(p, alpha)}`
}

function proven(p: number, alpha: number): string {
  return `proven at any time at ${alpha} (p ${p.toPrecision(2)})`
}

function share(counts: Counts): string {
  return `${counts.positives} of ${counts.total} (${percent(rateOf(counts))})`
}

function rateOf({ positives, total }: Counts): number {
  return total === 0 ? 1 : positives / total
}

function percent(rate: number): string {
  return `${(100 * rate).toFixed(1)}%`
}

/**
 * The events that bring it about, with ids that every process makes alike, so that each is stored once.
 * @param history all events of the experiment, oldest first.
 * @param off arms that are off already, by whomever.
 */
export function eventsFor(
  experiment: Acting,
  evidence: Evidence,
  due: readonly Due[],
  { history, off, at }: { history: readonly ArmEvent[]; off: (arm: string) => boolean; at: number },
): ArmEvent[] {
  // Arms that are gone do not matter any more.
  const present = history.filter(({ arm }) => experiment.arms.some(({ name }) => name === arm))
  const latest = new Map(present.map((event) => [event.arm, event.action]))
  // A promoted experiment is over: nothing of it is counted any more.
  if ([...latest.values()].includes('promoted')) return []
  const promotions = history.filter(({ action }) => action === 'promoted').length
  return due
    .filter(({ arm }) => latest.get(arm) !== 'off' && !off(arm))
    .map(({ arm, action, by, reason, proof }) => ({
      id:
        action === 'off'
          ? `rollback ${experiment.name} ${arm} ${evidence.since}`
          : `promote ${experiment.name} ${evidence.since} ${promotions}`,
      experiment: experiment.name,
      arm,
      action,
      by,
      reason,
      evidence: JSON.stringify({
        ...proof,
        since: evidence.since,
        cursor: evidence.cursor,
        verdicts: evidence.counted,
        late: evidence.late,
      }),
      at,
    }))
}
