/** Exposures that add up until they are stored, and which units were counted already. Used by `record.ts`, and on Workers by `worker/hand-over.ts`. */
import { LRUCache } from 'lru-cache'
import type { Unit } from '../domain/experiment.ts'
import type { ExposureBatch } from '../domain/store.ts'

/** Exposures as they are counted: units by the hash that assignment uses, which is never stored. */
export interface CountedExposures extends Omit<ExposureBatch, 'units'> {
  readonly unitHashes: readonly string[]
}

/** An experiment as far as its exposures go. */
export interface Exposed {
  readonly name: string
  readonly assignment: string
}

interface Pending {
  readonly experiment: string
  readonly arm: string
  readonly assignment: string
  exposures: number
  anonymousUnits: number
  readonly unitHashes: Set<string>
}

export class ExposureCounts {
  private readonly pending = new Map<string, Pending>()
  private readonly knownUnits: LRUCache<string, true>

  /** @param knownUnits so many are remembered as counted, so that a unit is not written again with each request. */
  constructor(knownUnits: number) {
    this.knownUnits = new LRUCache({ max: knownUnits })
  }

  get empty(): boolean {
    return this.pending.size === 0
  }

  /** Counts one request served under an arm. @param unitHash the hash that assignment uses. */
  count({ name, assignment }: Exposed, arm: string, source: Unit['source'], unitHash: string): void {
    const pending = this.pendingOf(name, arm, assignment)
    pending.exposures++
    if (source === 'request') {
      pending.anonymousUnits++
      return
    }
    const known = assignment + unitHash
    if (this.knownUnits.has(known)) return
    this.knownUnits.set(known, true)
    pending.unitHashes.add(unitHash)
  }

  /** What was counted since the last time; it begins anew. */
  take(): CountedExposures[] {
    const counted = [...this.pending.values()].map((it) => ({ ...it, unitHashes: [...it.unitHashes] }))
    this.pending.clear()
    return counted
  }

  /** Adds what could not be stored to what was counted meanwhile. */
  putBack(counted: readonly CountedExposures[]): void {
    for (const { experiment, arm, assignment, exposures, anonymousUnits, unitHashes } of counted) {
      const pending = this.pendingOf(experiment, arm, assignment)
      pending.exposures += exposures
      pending.anonymousUnits += anonymousUnits
      for (const unit of unitHashes) pending.unitHashes.add(unit)
    }
  }

  private pendingOf(experiment: string, arm: string, assignment: string): Pending {
    const key = `${experiment}\0${arm}\0${assignment}`
    let pending = this.pending.get(key)
    if (pending === undefined) {
      pending = { experiment, arm, assignment, exposures: 0, anonymousUnits: 0, unitHashes: new Set() }
      this.pending.set(key, pending)
    }
    return pending
  }
}
