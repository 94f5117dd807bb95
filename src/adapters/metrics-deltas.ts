/**
 * The `Metrics` port for who counts but is not asked: gathers what was counted, to be added up elsewhere. For a Worker's
 * isolates, whose memory goes with them; `metrics-sum.ts` adds up. Composed by `worker.ts`.
 */
import type { Metrics } from '../domain/ports.ts'
import { type Counter, countedMetrics, type Histogram, type SeriesMaker } from './metrics-prom-counted.ts'
import type { Observed } from './metrics-prom-series.ts'

/** What was counted of one series since the last time: an amount, or observations by bucket. */
export interface SeriesDelta {
  readonly name: string
  /** Of the labels, in their order. */
  readonly values: readonly string[]
  readonly added: number | Observed
}

/** How a judge stands; the latest one counts. */
export type JudgeState =
  | {
      readonly of: 'budget'
      readonly model: string
      readonly kind: 'requests' | 'tokens'
      readonly remaining: number | null
    }
  | { readonly of: 'breaker'; readonly model: string; readonly open: boolean | null }

export interface Counted {
  readonly series: readonly SeriesDelta[]
  readonly judges: readonly JudgeState[]
}

interface Growing {
  readonly name: string
  readonly values: readonly string[]
  added: number | { readonly buckets: number[]; sum: number }
}

export class MetricDeltas {
  readonly metrics: Metrics
  private series = new Map<string, Growing>()
  private judges = new Map<string, JudgeState>()

  constructor() {
    const make: SeriesMaker = {
      counter: ({ name }): Counter => ({
        inc: (...values) => this.add(name, values, 1),
        add: (amount, ...values) => this.add(name, values, amount),
      }),
      histogram: ({ name }, bounds): Histogram => ({
        observe: (amount, ...values) => this.observe(name, values, bounds, amount),
      }),
    }
    this.metrics = {
      ...countedMetrics(make),
      judgeBudget: (model, kind, remaining) =>
        void this.judges.set(`budget ${kind} ${model}`, { of: 'budget', model, kind, remaining }),
      judgeBreaker: (model, open) => void this.judges.set(`breaker ${model}`, { of: 'breaker', model, open }),
      // There is no such thread here.
      officeRestart() {},
    }
    // Series that begin at 0 do so where they are added up.
    this.series.clear()
  }

  get empty(): boolean {
    return this.series.size === 0 && this.judges.size === 0
  }

  /** What was counted since the last time; it begins anew. */
  take(): Counted {
    const counted = { series: [...this.series.values()], judges: [...this.judges.values()] }
    this.series = new Map()
    this.judges = new Map()
    return counted
  }

  private at(name: string, values: readonly string[], first: () => Growing['added']): Growing {
    const key = [name, ...values].join('\0')
    let growing = this.series.get(key)
    if (growing === undefined) {
      growing = { name, values, added: first() }
      this.series.set(key, growing)
    }
    return growing
  }

  private add(name: string, values: readonly string[], amount: number): void {
    const growing = this.at(name, values, () => 0)
    growing.added = (growing.added as number) + amount
  }

  private observe(name: string, values: readonly string[], bounds: readonly number[], amount: number): void {
    const { added } = this.at(name, values, () => ({
      buckets: new Array<number>(bounds.length + 1).fill(0),
      sum: 0,
    }))
    const observed = added as { readonly buckets: number[]; sum: number }
    let bucket = 0
    while (bucket < bounds.length && amount > bounds[bucket]!) bucket++
    observed.buckets[bucket]!++
    observed.sum += amount
  }
}
