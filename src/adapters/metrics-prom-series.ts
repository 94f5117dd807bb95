/**
 * Counters and histograms for what is counted with every request. prom-client hashes and checks the labels each time,
 * which took 2 µs a request in all; here a series is found by its label values and counted in place, and prom-client's
 * registry reads it when it is scraped. Used by `metrics-prom.ts`.
 */
import type { Metric, Registry } from 'prom-client'
import type { Counter, Histogram, SeriesOptions } from './metrics-prom-counted.ts'

/** One line of the exposition, as prom-client's registry takes it. */
interface Line {
  readonly metricName?: string
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
}

/** What is kept for each combination of label values, found without building a key. */
export class SeriesTree<S> {
  readonly all: {
    readonly labels: Readonly<Record<string, string>>
    /** Of the labels, in their order. */
    readonly values: readonly string[]
    readonly state: S
  }[] = []
  private readonly root = new Map<string, unknown>()
  private readonly labelNames: readonly string[]
  private readonly create: () => S

  constructor(labelNames: readonly string[], create: () => S) {
    this.labelNames = labelNames
    this.create = create
  }

  /** @param values of the labels, in their order: as many as there are names. */
  at(...values: string[]): S {
    let node: unknown = this.root
    for (const value of values) {
      node = (node as Map<string, unknown>).get(value)
      if (node === undefined) return this.add(values)
    }
    return node as S
  }

  private add(values: readonly string[]): S {
    const state = this.create()
    const last = values.length - 1
    let node = this.root
    for (const value of values.slice(0, last)) {
      const next = (node.get(value) ?? new Map()) as Map<string, unknown>
      node.set(value, next)
      node = next
    }
    node.set(values[last]!, state)
    const labels = Object.fromEntries(this.labelNames.map((name, index) => [name, values[index]!]))
    this.all.push({ labels, values, state })
    return state
  }
}

export class CounterSeries implements Counter {
  private readonly series: SeriesTree<{ count: number }>

  constructor(registry: Registry, options: SeriesOptions) {
    this.series = new SeriesTree(options.labelNames, () => ({ count: 0 }))
    register(registry, options, 'counter', () =>
      this.series.all.map(({ labels, state }) => ({ labels, value: state.count })),
    )
  }

  /** @param values of the labels, in their order. */
  inc(...values: string[]): void {
    this.series.at(...values).count++
  }

  /** @param amount not below 0. */
  add(amount: number, ...values: string[]): void {
    this.series.at(...values).count += amount
  }
}

/** Observations, by bucket: as many as there are bounds and one more. */
export interface Observed {
  readonly buckets: readonly number[]
  readonly sum: number
}

export class HistogramSeries implements Histogram {
  private readonly bounds: readonly number[]
  private readonly series: SeriesTree<{ readonly buckets: number[]; sum: number }>

  /** @param bounds of the buckets, ascending, each included in its bucket; one without a bound comes after them. */
  constructor(registry: Registry, options: SeriesOptions, bounds: readonly number[]) {
    this.bounds = bounds
    this.series = new SeriesTree(options.labelNames, () => ({
      buckets: new Array<number>(bounds.length + 1).fill(0),
      sum: 0,
    }))
    register(registry, options, 'histogram', () => this.lines(options.name))
  }

  /** @param values of the labels, in their order. */
  observe(amount: number, ...values: string[]): void {
    const state = this.series.at(...values)
    let bucket = 0
    while (bucket < this.bounds.length && amount > this.bounds[bucket]!) bucket++
    state.buckets[bucket]!++
    state.sum += amount
  }

  /** Adds what was observed elsewhere. @returns false, and does nothing, where its buckets are others. */
  merge({ buckets, sum }: Observed, ...values: string[]): boolean {
    if (buckets.length !== this.bounds.length + 1) return false
    const state = this.series.at(...values)
    for (const [index, count] of buckets.entries()) state.buckets[index]! += count
    state.sum += sum
    return true
  }

  private lines(name: string): Line[] {
    return this.series.all.flatMap(({ labels, state }) => {
      let count = 0
      const buckets = state.buckets.map((own, index) => {
        count += own
        const le = this.bounds[index] ?? '+Inf'
        return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: count }
      })
      return [
        ...buckets,
        { metricName: `${name}_sum`, labels, value: state.sum },
        { metricName: `${name}_count`, labels, value: count },
      ]
    })
  }
}

function register(
  registry: Registry,
  { name, help }: SeriesOptions,
  type: 'counter' | 'histogram',
  lines: () => Line[],
): void {
  const metric = {
    name,
    help,
    type,
    get: async () => ({ name, help, type, values: lines(), aggregator: 'sum' }),
  }
  // All that a registry asks of a metric is its name and `get`.
  registry.registerMetric(metric as unknown as Metric)
}
