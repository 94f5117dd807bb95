/**
 * What rules and people did to arms, brought into force: each process asks the store about once a second, and throws the
 * switches of the plan it serves by. Composed by `node.ts`; the commands apply events once.
 */
import type { Log, Metrics } from '../domain/ports.ts'
import type { ArmEvent, Store } from '../domain/store.ts'
import type { CompiledExperiment, Plan } from '../policy/compile.ts'
import { jittered } from './jittered.ts'

const EVERY_MS = 1_000

/** Throws the switches of a plan. @param events the latest of each arm that has one, oldest first. */
export function applyArmEvents(
  { experiments }: Pick<Plan, 'experiments'>,
  events: readonly ArmEvent[],
): void {
  for (const experiment of experiments) experiment.switches.apply(eventsOf(experiment, events))
}

/** How all arms of a plan stand, for the metrics. */
export function armStatesOf({ experiments }: Pick<Plan, 'experiments'>) {
  return experiments.flatMap(({ name, arms, switches }) =>
    arms.map((arm) => ({ experiment: name, arm: arm.name, ...switches.state(arm.name) })),
  )
}

/** Those of an experiment's present arms. */
function eventsOf({ name, arms }: CompiledExperiment, events: readonly ArmEvent[]): ArmEvent[] {
  return events.filter(({ experiment, arm }) => experiment === name && arms.some((it) => it.name === arm))
}

export interface ArmEventsDeps {
  readonly store: Pick<Store, 'armEvents'>
  readonly metrics: Pick<Metrics, 'armEvent'>
  readonly log: Log
  /** Told of what is in force when that has changed. */
  readonly changed: (events: readonly ArmEvent[]) => Promise<void>
}

/** Keeps the switches of the plan in force up to date. */
export class ArmEvents {
  private readonly deps: ArmEventsDeps
  private events: readonly ArmEvent[] = []
  private seen: ReadonlySet<string> = new Set()
  private plan: Pick<Plan, 'experiments'> | null = null
  private stopPolling: () => Promise<void> = async () => {}

  constructor(deps: ArmEventsDeps) {
    this.deps = deps
  }

  /** Reads what is in force, before the first request is served. Rejects with whatever the store throws. */
  async begin(): Promise<void> {
    this.events = await this.deps.store.armEvents()
    this.seen = new Set(this.events.map(({ id }) => id))
  }

  /** The latest of each arm that has one, oldest first, as read last. */
  get inForce(): readonly ArmEvent[] {
    return this.events
  }

  /** Throws the switches of this plan from now on, at once by what was read last. */
  use(plan: Pick<Plan, 'experiments'>): void {
    this.plan = plan
    applyArmEvents(plan, this.events)
  }

  start(): void {
    this.stopPolling = jittered(EVERY_MS, () => this.poll())
  }

  async stop(): Promise<void> {
    await this.stopPolling()
  }

  /** Asks the store once. A store in trouble leaves the switches as they are. */
  async poll(): Promise<void> {
    const { store, metrics, log, changed } = this.deps
    try {
      this.events = await store.armEvents()
    } catch (error) {
      log.error({ err: error }, 'what was done to arms could not be read: they stay as they are')
      return
    }
    const added = this.events.filter(({ id }) => !this.seen.has(id))
    if (added.length === 0) return
    if (this.plan !== null) applyArmEvents(this.plan, this.events)
    this.seen = new Set(this.events.map(({ id }) => id))
    for (const { experiment, arm, action, by, reason } of added) {
      metrics.armEvent(experiment, arm, action, by)
      log.warn({ experiment, arm, action, by, reason }, IN_WORDS[action])
    }
    await changed(this.events)
  }
}

const IN_WORDS: Readonly<Record<ArmEvent['action'], string>> = {
  off: 'an arm was switched off: nothing is injected for its units',
  on: 'an arm was switched on again',
  promoted: 'an arm was promoted: all units get its policy',
}
