/**
 * The kill switch of an experiment: which of its arms are off. An arm that is off keeps its units, but nothing is
 * injected for them and they are not counted. Read by `decide.ts` for each request; the one place to throw the switch
 * while requests run. A plan that is compiled anew begins with what its configuration says.
 */
import { hash } from 'node:crypto'

export class ArmSwitches {
  private readonly base: string
  private readonly off = new Set<string>()
  private current: string

  /** @param base what units are assigned by, as text. */
  constructor(base: string, off: Iterable<string>) {
    this.base = base
    this.current = base
    for (const arm of off) this.set(arm, true)
  }

  isOff(arm: string): boolean {
    return this.off.size > 0 && this.off.has(arm)
  }

  /** Acts from the next request on. */
  set(arm: string, off: boolean): void {
    if (off) this.off.add(arm)
    else this.off.delete(arm)
    const arms = [...this.off].sort()
    this.current =
      arms.length === 0 ? this.base : hash('sha256', JSON.stringify([this.base, arms]), 'hex').slice(0, 16)
  }

  /**
   * What units are counted under. It differs while arms are off: they are missing then, and counted together with
   * other times the arms would not have the shares their weights promise.
   */
  get assignment(): string {
    return this.current
  }
}
