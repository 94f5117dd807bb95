/**
 * Adds up what many have counted (`metrics-deltas.ts`) and exposes it to Prometheus as one. Whoever holds it keeps its
 * numbers: it tells what each series has come to. For the Worker's metrics object, and for a ballast with several workers.
 */
import type { Counted, SeriesDelta } from './metrics-deltas.ts'
import { createPrometheusMetrics, type PrometheusMetrics } from './metrics-prom.ts'
import { CounterSeries, HistogramSeries, type Observed } from './metrics-prom-series.ts'

/** What a series has come to. */
export interface SeriesSum {
  readonly name: string
  readonly values: readonly string[]
  readonly sum: number | Observed
}

export class MetricSums {
  readonly metrics: PrometheusMetrics
  private readonly counters = new Map<string, CounterSeries>()
  private readonly histograms = new Map<string, HistogramSeries>()
  private readonly sums = new Map<string, SeriesSum>()

  /** @param ofProcess whether this process's own memory, processor time and the like are told, too. */
  constructor({ ofProcess = false }: { readonly ofProcess?: boolean } = {}) {
    this.metrics = createPrometheusMetrics({
      ofProcess,
      series: (registry) => ({
        counter: (options) => {
          const series = new CounterSeries(registry, options)
          this.counters.set(options.name, series)
          return series
        },
        histogram: (options, bounds) => {
          const series = new HistogramSeries(registry, options, bounds)
          this.histograms.set(options.name, series)
          return series
        },
      }),
    })
  }

  /**
   * What another version of ballast counted and this one does not know, or has other buckets for, is left out.
   * @returns what each series that was counted has come to, to be kept.
   */
  add({ series }: Counted): SeriesSum[] {
    return series.flatMap((delta) => this.addSeries(delta) ?? [])
  }

  private addSeries({ name, values, added }: SeriesDelta): SeriesSum | null {
    if (typeof added === 'number') {
      const counter = this.counters.get(name)
      if (counter === undefined) return null
      counter.add(added, ...values)
    } else if (this.histograms.get(name)?.merge(added, ...values) !== true) return null
    const key = [name, ...values].join('\0')
    const before = this.sums.get(key)
    const sum = { name, values, sum: before === undefined ? added : plus(before.sum, added) }
    this.sums.set(key, sum)
    return sum
  }
}

/** Of one series. */
function plus(a: number | Observed, b: number | Observed): number | Observed {
  if (typeof a === 'number' || typeof b === 'number') return Number(a) + Number(b)
  return { buckets: a.buckets.map((count, index) => count + b.buckets[index]!), sum: a.sum + b.sum }
}
