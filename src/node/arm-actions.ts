/**
 * What people do to arms: switching them off and on, promoting one. Written down in the store, where every ballast finds
 * it (`arm-events.ts`). Used by `ballast arms` and by the page, through `desk.ts`.
 */
import { randomUUID } from 'node:crypto'
import type { ArmEvent, Store } from '../domain/store.ts'
import type { CompiledExperiment } from '../policy/compile.ts'

export const ARM_ACTIONS = ['off', 'on', 'promote'] as const
export type ArmAction = (typeof ARM_ACTIONS)[number]

const NAMES: Readonly<Record<ArmAction, ArmEvent['action']>> = { off: 'off', on: 'on', promote: 'promoted' }

/** Why that cannot be done; null when it can. What the configuration says is off stays off. */
export function refusal(
  action: ArmAction,
  { name, arms, randomized, switches }: CompiledExperiment,
  arm: string,
): string | null {
  const { state, by } = switches.state(arm)
  if (action !== 'off' && state === 'off' && by === 'config')
    return `Arm "${arm}" of "${name}" is off in the configuration, which nothing overrules: take \`off\` out there.`
  if (action === 'promote' && (!randomized || arms.length === 1))
    return `"${name}" is no experiment with several arms, so none of them can be promoted.`
  return null
}

/** What may be done to an arm now and would change how it stands. */
export function possibleActions(experiment: CompiledExperiment, arm: string): ArmAction[] {
  const { state } = experiment.switches.state(arm)
  const changing: Readonly<Record<typeof state, readonly ArmAction[]>> = {
    on: ['off', 'promote'],
    off: ['on'],
    promoted: ['on', 'off'],
  }
  return changing[state].filter((action) => refusal(action, experiment, arm) === null)
}

/** Writes it down. @param reason why, and by whom where that is known. */
export async function recordArmAction(
  store: Pick<Store, 'addArmEvent'>,
  { action, ...rest }: { experiment: string; arm: string; action: ArmAction; reason: string },
): Promise<ArmEvent> {
  const event: ArmEvent = {
    ...rest,
    id: randomUUID(),
    action: NAMES[action],
    by: 'person',
    evidence: null,
    at: Date.now(),
  }
  await store.addArmEvent(event)
  return event
}
