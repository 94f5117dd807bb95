/** The `Metrics` port on prom-client: the series of SPEC section 8. Composed by `node.ts`. */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { Metrics } from '../domain/ports.ts'
import type { ArmState, Estimate, Report } from '../domain/report.ts'
import type { QueueStatus } from '../domain/store.ts'
import { countedMetrics, type SeriesMaker } from './metrics-prom-counted.ts'
import { CounterSeries, HistogramSeries } from './metrics-prom-series.ts'

export interface PrometheusSources {
  /** Asked at each scrape. */
  readonly reports: () => Promise<readonly Report[]>
  /** Null where the store cannot be read: then nothing is said of it. */
  readonly queue: () => Promise<QueueStatus | null>
  readonly configHash: () => string
  readonly upstreams: () => readonly UpstreamStanding[]
  /** Null where nobody knows. */
  readonly requestsInFlight: () => number | null
  readonly armStates: () => readonly (ArmState & { readonly experiment: string; readonly arm: string })[]
  /** Left out where one process serves by itself. */
  readonly workers?: () => WorkersStanding
  /** Where others judge; left out: the port is told. */
  readonly judges?: () => readonly JudgeState[]
  /** Where others read the configuration, whether it was taken the last time; left out: the port is told. */
  readonly reloaded?: () => boolean
}

/** How a judge model stands. */
export type JudgeState =
  | {
      readonly of: 'budget'
      readonly model: string
      readonly kind: 'requests' | 'tokens'
      readonly remaining: number
    }
  | { readonly of: 'breaker'; readonly model: string; readonly open: boolean }

/** How the processes stand that serve requests. */
export interface WorkersStanding {
  readonly restarts: number
  readonly workers: readonly {
    /** Its number, which whoever replaces it takes over. */
    readonly worker: string
    readonly state: 'starting' | 'serving' | 'draining'
    /** Since it began; null where it has not told yet. */
    readonly used: { readonly cpuSeconds: number; readonly residentBytes: number } | null
  }[]
}

/** Whether the breaker of an upstream is open: it keeps failing and is left alone. */
export interface UpstreamStanding {
  readonly upstream: string
  readonly open: boolean
}

export interface PrometheusMetrics extends Metrics {
  /** Where the gauges read; before it is called they are empty. */
  observe(sources: PrometheusSources): void
  /** The exposition text and its content type. */
  expose(): Promise<{ readonly text: string; readonly contentType: string }>
}

export interface PrometheusOptions {
  /** Whether memory, processor time and the like of this process are told, too. Default true. */
  readonly ofProcess?: boolean
  /** What keeps the numbers and registers it; default this process's memory. */
  readonly series?: (registry: Registry) => SeriesMaker
}

export function createPrometheusMetrics({
  ofProcess = true,
  series = seriesIn,
}: PrometheusOptions = {}): PrometheusMetrics {
  const registry = new Registry()
  const registers = [registry]
  if (ofProcess) collectDefaultMetrics({ register: registry })

  let sources: PrometheusSources | null = null
  const counted = countedMetrics(series(registry))
  const judgeBudget = new Gauge({
    name: 'ballast_judge_budget_remaining',
    help: "What is left of a judge's budget: requests of this minute, tokens of this UTC day.",
    labelNames: ['model', 'kind'],
    registers,
    collect() {
      const judges = sources?.judges?.()
      if (judges === undefined) return
      this.reset()
      for (const it of judges)
        if (it.of === 'budget') this.set({ model: it.model, kind: it.kind }, it.remaining)
    },
  })
  const judgeBreaker = new Gauge({
    name: 'ballast_judge_breaker_open',
    help: '1 while a judge that keeps failing is left alone but for a question now and then.',
    labelNames: ['model'],
    registers,
    collect() {
      const judges = sources?.judges?.()
      if (judges === undefined) return
      this.reset()
      for (const it of judges) if (it.of === 'breaker') this.set({ model: it.model }, it.open ? 1 : 0)
    },
  })

  const reloaded = new Gauge({
    name: 'ballast_config_last_reload_successful',
    help: '0 while the configuration that was read last was refused and an older one runs.',
    registers,
    collect() {
      const taken = sources?.reloaded?.()
      if (taken !== undefined) this.set(taken ? 1 : 0)
    },
  })
  reloaded.set(1)
  const officeRestarts = new Counter({
    name: 'ballast_office_restarts_total',
    help: 'Times the thread that stores and judges has died and was replaced.',
    registers,
  })
  // prom-client collects one metric after the other; the reports are asked for once per scrape.
  let scrape: { reports: readonly Report[]; queue: QueueStatus | null } = {
    reports: [],
    queue: { depth: 0, oldestAt: null },
  }

  const gauge = (name: string, help: string, labelNames: string[], collect: (self: Gauge) => void) =>
    new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset()
        collect(this)
      },
    })
  const estimate = (self: Gauge, labels: Record<string, string>, it: Estimate) => {
    if (it.estimate !== null) self.set({ ...labels, stat: 'estimate' }, it.estimate)
    self.set({ ...labels, stat: 'lower' }, it.lower)
    self.set({ ...labels, stat: 'upper' }, it.upper)
  }

  gauge('ballast_requests_in_flight', 'Requests whose answers are not over.', [], (self) => {
    const running = sources === null ? 0 : sources.requestsInFlight()
    // Without labels it would stand there as 0.
    if (running === null) self.remove()
    else self.set(running)
  })
  gauge('ballast_judge_queue_depth', 'Samples waiting for their verdict.', [], (self) => {
    // A 0 would say that nothing waits.
    if (scrape.queue === null) self.remove()
    else self.set(scrape.queue.depth)
  })
  gauge(
    'ballast_judge_oldest_sample_age_seconds',
    'Age of the oldest sample without a verdict.',
    [],
    (self) => {
      if (scrape.queue === null) return self.remove()
      const { oldestAt } = scrape.queue
      self.set(oldestAt === null ? 0 : Math.max(0, (Date.now() - oldestAt) / 1000))
    },
  )
  gauge(
    'ballast_positive_rate',
    'Positives over positives and negatives, of all verdicts; the bounds (95%) hold however often they are looked at. It describes: decisions count one verdict per unit and question.',
    ['experiment', 'arm', 'check', 'stat'],
    (self) => {
      for (const { experiment, check, arms } of scrape.reports) {
        for (const { arm, rate } of arms) estimate(self, { experiment, arm, check }, rate)
      }
    },
  )
  gauge(
    'ballast_arm_difference',
    "An arm's positive rate minus that of the arm it is compared with, with bounds (95%) that hold at any time; of one verdict per unit and question.",
    ['experiment', 'arm', 'check', 'stat'],
    (self) => {
      for (const { experiment, check, comparisons } of scrape.reports) {
        for (const { arm, difference } of comparisons) estimate(self, { experiment, arm, check }, difference)
      }
    },
  )
  gauge(
    'ballast_sample_ratio_p_value',
    'That units were assigned as the weights say; below 0.001 the assignment is broken.',
    ['experiment'],
    (self) => {
      for (const { experiment, sample_ratio } of scrape.reports) self.set({ experiment }, sample_ratio.p)
    },
  )
  gauge(
    'ballast_arm_off',
    '1 while an arm is off, by whom: config, rollback or person.',
    ['experiment', 'arm', 'by'],
    (self) => {
      for (const { experiment, arm, state, by } of sources?.armStates() ?? [])
        if (state === 'off' && by !== null) self.set({ experiment, arm, by }, 1)
    },
  )
  gauge(
    'ballast_upstream_breaker_open',
    '1 while an upstream that keeps failing is left alone but for a request now and then.',
    ['upstream'],
    (self) => {
      for (const { upstream, open } of sources?.upstreams() ?? []) self.set({ upstream }, open ? 1 : 0)
    },
  )
  gauge(
    'ballast_workers',
    'Processes that serve requests (serve --workers), by state.',
    ['state'],
    (self) => {
      const standing = sources?.workers?.()
      if (standing === undefined) return
      for (const state of ['starting', 'serving', 'draining'])
        self.set({ state }, standing.workers.filter((it) => it.state === state).length)
    },
  )
  new Counter({
    name: 'ballast_worker_restarts_total',
    help: 'Times a worker (serve --workers) has died and was replaced.',
    registers,
    collect() {
      this.reset()
      const standing = sources?.workers?.()
      // Without labels it would stand there as 0.
      if (standing === undefined) this.remove()
      else this.inc(standing.restarts)
    },
  })
  new Counter({
    name: 'ballast_worker_cpu_seconds_total',
    help: 'User and system time of each worker; one that replaces another begins at 0.',
    labelNames: ['worker'],
    registers,
    collect() {
      this.reset()
      for (const { worker, used } of sources?.workers?.().workers ?? [])
        if (used !== null) this.inc({ worker }, used.cpuSeconds)
    },
  })
  gauge('ballast_worker_resident_memory_bytes', 'Resident memory of each worker.', ['worker'], (self) => {
    for (const { worker, used } of sources?.workers?.().workers ?? [])
      if (used !== null) self.set({ worker }, used.residentBytes)
  })
  gauge('ballast_config_info', 'The running configuration.', ['hash'], (self) => {
    if (sources !== null) self.set({ hash: sources.configHash() }, 1)
  })

  return {
    ...counted,
    observe(given) {
      sources = given
    },
    async expose() {
      if (sources !== null) {
        const [reports, queue] = await Promise.all([sources.reports(), sources.queue()])
        scrape = { reports, queue }
      }
      return { text: await registry.metrics(), contentType: registry.contentType }
    },
    judgeBudget: (model, kind, remaining) => {
      if (remaining === null) judgeBudget.remove({ model, kind })
      else judgeBudget.set({ model, kind }, remaining)
    },
    judgeBreaker: (model, open) => {
      if (open === null) judgeBreaker.remove({ model })
      else judgeBreaker.set({ model }, open ? 1 : 0)
    },
    configReload: (outcome) => {
      counted.configReload(outcome)
      reloaded.set(outcome === 'failed' ? 0 : 1)
    },
    officeRestart: () => officeRestarts.inc(),
  }
}

function seriesIn(registry: Registry): SeriesMaker {
  return {
    counter: (options) => new CounterSeries(registry, options),
    histogram: (options, bounds) => new HistogramSeries(registry, options, bounds),
  }
}
