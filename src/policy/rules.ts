/**
 * The rules by which an experiment's arms are switched off or promoted, with the arms that they can act on. Compiled at
 * load by `compile-experiment.ts`; followed by `stats/`.
 */
import type { Experiment } from '../domain/experiment.ts'

/** What of an arm a rule depends on. */
interface RuledArm {
  readonly name: string
  readonly policyId: string | null
}

export interface RollbackRule {
  /** The arm the others are compared with. */
  readonly against: string
  /** For "worse than it"; shared by all arms. */
  readonly alpha: number
  /** The rate that no arm may exceed, and the alpha for that, shared by all arms; null where none is given. */
  readonly above: { readonly rate: number; readonly alpha: number } | null
}

export interface PromoteRule {
  readonly against: string
  readonly alpha: number
}

export interface ArmRules {
  /** Null where nothing is rolled back. */
  readonly rollback: RollbackRule | null
  /** Null where nothing is promoted. */
  readonly promote: PromoteRule | null
}

export const NO_RULES: ArmRules = { rollback: null, promote: null }

/** What the others are compared with: the first arm that injects nothing, else the first arm. */
export function baselineOf<A extends { readonly policyId: string | null }>(arms: readonly A[]): A {
  return arms.find(({ policyId }) => policyId === null) ?? arms[0]!
}

/** Arms that a rule can act on: they inject something, and are not what is compared with. */
export function actionable<A extends RuledArm>(arms: readonly A[], against: string | null): A[] {
  return arms.filter(({ name, policyId }) => policyId !== null && name !== against)
}

/** With a rate to stay below, each of the two ways to be switched off has half of alpha. */
export function compileRules(
  { rollback, promote }: Pick<Experiment, 'rollback' | 'promote'>,
  arms: readonly RuledArm[],
): ArmRules {
  const baseline = baselineOf(arms).name
  const above = rollback?.above
  return {
    rollback:
      rollback === undefined
        ? null
        : {
            against: rollback.worse_than ?? baseline,
            alpha: above === undefined ? rollback.alpha : rollback.alpha / 2,
            above: above === undefined ? null : { rate: above, alpha: rollback.alpha / 2 },
          },
    promote:
      promote === undefined ? null : { against: promote.better_than ?? baseline, alpha: promote.alpha },
  }
}
