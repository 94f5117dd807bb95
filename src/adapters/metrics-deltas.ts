/**
 * The `Metrics` port for who counts but is not asked: gathers what was counted, to be added up elsewhere. For a Worker's
 * isolates, whose memory goes with them, and for the workers of `serve --workers`; `metrics-sum.ts` adds up. Composed by
 * `worker.ts` and `node/workers/worker-process.ts`.
 */
import type { Metrics } from '../domain/ports.ts'
import type { JudgeState } from './metrics-prom.ts'
import {
  type Counter,
  countedMetrics,
  type Histogram,
  type SeriesMaker,
  type SeriesOptions,
} from './metrics-prom-counted.ts'
import { type Observed, SeriesTree } from './metrics-prom-series.ts'

/** What was counted of one series since the last time: an amount, or observations by bucket. */
export interface SeriesDelta {
  readonly name: string
  /** Of the labels, in their order. */
  readonly values: readonly string[]
  readonly added: number | Observed
}

export interface Counted {
  readonly series: readonly SeriesDelta[]
}

/** Since the last time. */
interface GrowingCount {
  amount: number
}
interface GrowingObserved {
  buckets: number[]
  sum: number
  count: number
}

export class MetricDeltas {
  readonly metrics: Metrics
  private readonly counts = new Map<string, SeriesTree<GrowingCount>>()
  private readonly observed = new Map<string, SeriesTree<GrowingObserved>>()
  private readonly judgeStates = new Map<string, JudgeState>()
  private changed = false

  constructor() {
    const make: SeriesMaker = {
      counter: (options) => this.counter(options),
      histogram: (options, bounds) => this.histogram(options, bounds),
    }
    this.metrics = {
      ...countedMetrics(make),
      judgeBudget: (model, kind, remaining) =>
        this.tell(
          `budget ${kind} ${model}`,
          remaining === null ? null : { of: 'budget', model, kind, remaining },
        ),
      judgeBreaker: (model, open) =>
        this.tell(`breaker ${model}`, open === null ? null : { of: 'breaker', model, open }),
      // There is no such thread here.
      officeRestart() {},
    }
    // Series that begin at 0 do so where they are added up.
    this.changed = false
  }

  get empty(): boolean {
    return !this.changed
  }

  /** How judges stand, as far as this one was told: no amounts, so they are not added up anywhere. */
  get judges(): readonly JudgeState[] {
    return [...this.judgeStates.values()]
  }

  /** What was counted since the last time; it begins anew. */
  take(): Counted {
    const series: SeriesDelta[] = []
    for (const [name, { all }] of this.counts) {
      for (const { values, state } of all) {
        if (state.amount === 0) continue
        series.push({ name, values, added: state.amount })
        state.amount = 0
      }
    }
    for (const [name, { all }] of this.observed) {
      for (const { values, state } of all) {
        if (state.count === 0) continue
        series.push({ name, values, added: { buckets: state.buckets, sum: state.sum } })
        state.buckets = new Array<number>(state.buckets.length).fill(0)
        state.sum = 0
        state.count = 0
      }
    }
    this.changed = false
    return { series }
  }

  private tell(key: string, state: JudgeState | null): void {
    if (state === null) this.judgeStates.delete(key)
    else this.judgeStates.set(key, state)
  }

  private counter({ name, labelNames }: SeriesOptions): Counter {
    const tree = new SeriesTree<GrowingCount>(labelNames, () => ({ amount: 0 }))
    this.counts.set(name, tree)
    const add = (amount: number, ...values: string[]) => {
      tree.at(...values).amount += amount
      this.changed = true
    }
    return { add, inc: (...values) => add(1, ...values) }
  }

  private histogram({ name, labelNames }: SeriesOptions, bounds: readonly number[]): Histogram {
    const tree = new SeriesTree<GrowingObserved>(labelNames, () => ({
      buckets: new Array<number>(bounds.length + 1).fill(0),
      sum: 0,
      count: 0,
    }))
    this.observed.set(name, tree)
    return {
      observe: (amount, ...values) => {
        const state = tree.at(...values)
        let bucket = 0
        while (bucket < bounds.length && amount > bounds[bucket]!) bucket++
        state.buckets[bucket]!++
        state.sum += amount
        state.count++
        this.changed = true
      },
    }
  }
}
