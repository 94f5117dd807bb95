/**
 * The switches of an experiment: which of its arms are off, and which one is promoted. An arm that is off keeps its
 * units, but nothing is injected for them and they are not counted. While an arm is promoted its policy is for the units
 * of all arms, and none is counted. Read by `decide.ts` for each request.
 *
 * A plan that is compiled anew begins with what its configuration says; what rules and people did to the arms since then
 * is in the store (`ArmEvent`) and applied to it by `node/arm-events.ts`, while requests run. What the configuration
 * says is off stays off.
 */
import { hash } from 'node:crypto'
import type { ArmState } from '../domain/report.ts'
import type { ArmEvent } from '../domain/store.ts'

export const ON: ArmState = { state: 'on', by: null, since: null, reason: null }
const OFF_BY_CONFIGURATION: ArmState = { state: 'off', by: 'config', since: null, reason: null }

export class ArmSwitches {
  private readonly base: string
  private readonly configured: ReadonlySet<string>
  private events: ReadonlyMap<string, ArmEvent> = new Map()
  private off: ReadonlySet<string>
  private promotedArm: string | null = null
  private current: string

  /**
   * @param base what units are assigned by, as text.
   * @param off arms that the configuration switches off.
   */
  constructor(base: string, off: Iterable<string>) {
    this.base = base
    this.configured = new Set(off)
    this.off = this.configured
    this.current = this.nameState()
  }

  /**
   * Acts from the next request on.
   * @param events the latest of each arm that has one, oldest first.
   */
  apply(events: readonly ArmEvent[]): void {
    const latest = new Map(events.map((event) => [event.arm, event]))
    const withAction = (action: ArmEvent['action']) =>
      [...latest.values()].filter((it) => it.action === action).map(({ arm }) => arm)
    this.events = latest
    this.off = new Set([...this.configured, ...withAction('off')])
    this.promotedArm = withAction('promoted').findLast((arm) => !this.configured.has(arm)) ?? null
    this.current = this.nameState()
  }

  isOff(arm: string): boolean {
    return this.off.size > 0 && this.off.has(arm)
  }

  /** The arm whose policy all units get; null where each gets its own arm's. */
  get promoted(): string | null {
    return this.promotedArm
  }

  state(arm: string): ArmState {
    if (this.configured.has(arm)) return OFF_BY_CONFIGURATION
    const event = this.events.get(arm)
    if (event === undefined || (event.action === 'promoted' && arm !== this.promotedArm)) return ON
    const { action, by, at, reason } = event
    return { state: action, by, since: new Date(at).toISOString(), reason }
  }

  /**
   * What units are counted under. It differs while arms are off: they are missing then, and counted together with
   * other times the arms would not have the shares their weights promise.
   */
  get assignment(): string {
    return this.current
  }

  private nameState(): string {
    const off = [...this.off].sort()
    if (off.length === 0 && this.promotedArm === null) return this.base
    const state = [this.base, off, ...(this.promotedArm === null ? [] : [this.promotedArm])]
    return hash('sha256', JSON.stringify(state), 'hex').slice(0, 16)
  }
}
