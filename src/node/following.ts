/**
 * Follows all experiments of the configuration in force, about once a second, and acts by their rules: writes down that
 * an arm is off or promoted. Bringing it into force is for `arm-events.ts`. Composed by `back-office.ts`.
 */
import type { Log } from '../domain/ports.ts'
import type { Store } from '../domain/store.ts'
import type { CompiledExperiment, Plan } from '../policy/compile.ts'
import { eventsFor, findDue } from '../stats/acting.ts'
import type { Evidence } from '../stats/evidence.ts'
import type { EvidenceFollower, Followed } from './evidence.ts'
import { jittered } from './jittered.ts'

const EVERY_MS = 1_000

/** An experiment of a plan that is followed. */
export interface FollowedExperiment extends Followed {
  readonly experiment: CompiledExperiment
}

/** Null for what needs no evidence: nobody judges it, chance does not lead to its arms, or it has one and promises no rate. */
export function followedOf(experiment: CompiledExperiment): FollowedExperiment | null {
  const { check, randomized, arms, rules } = experiment
  if (check === null || !randomized || (arms.length === 1 && rules.rollback === null)) return null
  return { experiment, check }
}

export interface FollowingDeps {
  readonly follower: EvidenceFollower
  readonly store: Pick<Store, 'armHistory' | 'addArmEvent'>
  /** The one in force. */
  readonly plan: () => Pick<Plan, 'experiments'>
  readonly log: Log
}

export class Following {
  private readonly deps: FollowingDeps
  private started = false
  private stopFollowing: () => Promise<void> = async () => {}

  constructor(deps: FollowingDeps) {
    this.deps = deps
  }

  /** Begins, if it has not. */
  start(): void {
    if (this.started) return
    this.started = true
    this.stopFollowing = jittered(EVERY_MS, () => this.follow())
  }

  async stop(): Promise<void> {
    await this.stopFollowing()
  }

  /** Once, all experiments. What goes wrong is logged and tried again the next time. */
  async follow(): Promise<void> {
    for (const experiment of this.deps.plan().experiments) {
      const followed = followedOf(experiment)
      if (followed === null) continue
      try {
        await this.act(experiment, await this.deps.follower.update(followed))
      } catch (error) {
        this.deps.log.error(
          { err: error, experiment: experiment.name },
          'an experiment could not be followed',
        )
      }
    }
  }

  private async act(experiment: CompiledExperiment, evidence: Evidence): Promise<void> {
    const { switches } = experiment
    const off = (arm: string) => switches.isOff(arm)
    const due = findDue(experiment, evidence).filter(({ arm }) => !off(arm))
    if (due.length === 0 || switches.promoted !== null) return
    const { store } = this.deps
    const history = await store.armHistory(experiment.name)
    // A person may have switched an arm on meanwhile: evidence of before that is none.
    if (history.some(({ action, by, at }) => action === 'on' && by === 'person' && at > evidence.since))
      return
    for (const event of eventsFor(experiment, evidence, due, { history, off, at: Date.now() }))
      await store.addArmEvent(event)
  }
}
