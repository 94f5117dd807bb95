/**
 * Which checks' samples may be taken, by how their judge models stand. What may not be judged now is not taken: to take
 * samples and give them back costs the store as much as judging. Called by `worker.ts`.
 */
import type { Check, Rubric } from '../domain/check.ts'
import { type Budget, type GateDeps, ModelGate, type Standing, type Trouble } from './gate.ts'
import { PACE_HORIZON_MS } from './pace.ts'

export interface GatesDeps extends GateDeps {
  /** The judge models where a rubric names none. */
  readonly models: readonly string[]
  /** How often each model is asked where a rubric does not say. */
  readonly repeat: number
  /** What a model may cost; left out: it may be asked as much as it can answer. */
  readonly budget?: (model: string) => Budget
}

export interface Takeable {
  /** Checks whose samples may be taken; null: those of any. */
  readonly free: readonly string[] | null
  /** Checks of which one sample may be taken, to see whether a judge is back. */
  readonly probe: readonly string[]
}

const NO_BUDGET: Budget = { requestsPerMinute: null, tokensPerDay: null, replyTokens: 0 }
const REFRESH_MS = 1_000
/** With requests counted, no more samples are taken than can be asked about in so long. */
const AHEAD_MS = 10_000
const MINUTE_MS = 60_000

export class Gates {
  private readonly deps: GatesDeps
  private readonly gates = new Map<string, ModelGate>()
  private refreshedAt = Number.NEGATIVE_INFINITY
  private closed = false

  constructor(deps: GatesDeps) {
    this.deps = deps
  }

  /** The models a rubric is put to. */
  modelsOf(rubric: Rubric): readonly string[] {
    return rubric.models ?? (rubric.model === undefined ? this.deps.models : [rubric.model])
  }

  /** How the models stand that were asked, or looked at to be asked. */
  standings(): { readonly model: string; readonly standing: Standing; readonly trouble: Trouble | null }[] {
    return [...this.gates.values()].map(({ model, standing, trouble }) => ({ model, standing, trouble }))
  }

  of(model: string): ModelGate {
    let gate = this.gates.get(model)
    if (gate === undefined) {
      gate = new ModelGate(model, this.deps.budget?.(model) ?? NO_BUDGET, this.deps)
      this.gates.set(model, gate)
    }
    return gate
  }

  takeable(checks: Iterable<Check>): Takeable {
    const free: string[] = []
    const probe: string[] = []
    let all = true
    for (const check of checks) {
      const standing = this.standingOf(check)
      if (standing === 'free') free.push(check.id)
      else all = false
      if (standing === 'probe') probe.push(check.id)
    }
    return { free: all ? null : free, probe }
  }

  /** How many samples to take at a time, `concurrency` at most. */
  appetite(checks: Iterable<Check>, concurrency: number): number {
    let most = concurrency
    for (const { rubrics } of checks) {
      const questions = new Map<string, number>()
      for (const rubric of rubrics)
        for (const model of this.modelsOf(rubric))
          questions.set(model, (questions.get(model) ?? 0) + (rubric.repeat ?? this.deps.repeat))
      for (const [model, count] of questions) {
        const { pace } = this.of(model)
        if (pace !== null) most = Math.min(most, ((pace.perMinute / MINUTE_MS) * AHEAD_MS) / count)
      }
    }
    return Math.max(1, Math.floor(most))
  }

  /** How long a question may have to wait for its place, in milliseconds. */
  get longestWaitMs(): number {
    return [...this.gates.values()].some(({ pace }) => pace !== null) ? PACE_HORIZON_MS : 0
  }

  /** Brings up to date what is known of the budgets, now and then. @throws whatever the store throws. */
  async refresh(): Promise<void> {
    if (this.closed || performance.now() - this.refreshedAt < REFRESH_MS) return
    this.refreshedAt = performance.now()
    for (const gate of this.gates.values()) await gate.refresh()
  }

  /** Shows in the metrics how all models stand that these checks ask. @throws whatever the store throws. */
  async show(checks: Iterable<Check>): Promise<void> {
    for (const { rubrics } of checks)
      for (const rubric of rubrics) for (const model of this.modelsOf(rubric)) this.of(model)
    for (const gate of this.gates.values()) if (!this.closed) await gate.refresh()
  }

  /** Takes their series out of the metrics. */
  close(): void {
    this.closed = true
    for (const gate of this.gates.values()) gate.close()
  }

  /** A rubric goes without a model that is left alone where others can do it; a budget is waited for. */
  private standingOf({ rubrics }: Check): Standing {
    const standings = rubrics.map((rubric) => this.modelsOf(rubric).map((model) => this.of(model).standing))
    const every = standings.flat()
    if (every.includes('no-budget')) return 'no-budget'
    const best = standings.map((of) =>
      of.includes('free') ? 'free' : of.includes('probe') ? 'probe' : 'left-alone',
    )
    if (best.includes('left-alone')) return 'left-alone'
    return best.includes('probe') ? 'probe' : 'free'
  }
}
