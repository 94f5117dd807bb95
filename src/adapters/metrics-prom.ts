/** The `Metrics` port on prom-client: the series of SPEC section 8. Composed by `node.ts`. */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { Metrics, ReloadOutcome } from '../domain/ports.ts'
import type { ArmState, Estimate, Report } from '../domain/report.ts'
import type { QueueStatus } from '../domain/store.ts'
import { CounterSeries, HistogramSeries } from './metrics-prom-series.ts'

export interface PrometheusSources {
  /** Asked at each scrape. */
  readonly reports: () => Promise<readonly Report[]>
  /** Null where the store cannot be read: then nothing is said of it. */
  readonly queue: () => Promise<QueueStatus | null>
  readonly configHash: () => string
  readonly upstreams: () => readonly UpstreamStanding[]
  readonly requestsInFlight: () => number
  readonly armStates: () => readonly (ArmState & { readonly experiment: string; readonly arm: string })[]
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

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]
const OVERHEAD_SECONDS = [
  0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1,
]
const SCORES = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]

export function createPrometheusMetrics(): PrometheusMetrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })

  const counter = (name: string, help: string, labelNames: string[]) =>
    new CounterSeries(registry, { name, help, labelNames })
  const histogram = (name: string, help: string, labelNames: string[], bounds: number[]) =>
    new HistogramSeries(registry, { name, help, labelNames }, bounds)

  const requests = counter(
    'ballast_requests_total',
    'Requests answered, by the status the client got; 499: it left before.',
    ['route', 'experiment', 'arm', 'code'],
  )
  const duration = histogram(
    'ballast_request_duration_seconds',
    'From a request coming in to its answer being over.',
    ['route', 'arm'],
    SECONDS,
  )
  const firstByte = histogram(
    'ballast_time_to_first_byte_seconds',
    "From a request coming in to the first byte of the answer's body.",
    ['route', 'arm'],
    SECONDS,
  )
  const overhead = histogram(
    'ballast_proxy_overhead_seconds',
    'From having read a request to handing it to the upstream.',
    ['route'],
    OVERHEAD_SECONDS,
  )
  const upstreams = counter(
    'ballast_upstream_requests_total',
    'Calls to upstreams, by status class, error, timeout or aborted.',
    ['upstream', 'outcome'],
  )
  const exposures = counter('ballast_exposures_total', 'Requests served under an arm.', ['experiment', 'arm'])
  const injections = counter('ballast_injections_total', 'Interventions applied to requests.', [
    'policy',
    'placement',
  ])
  const triggers = counter(
    'ballast_trigger_matches_total',
    "Requests with text like their model's training context, by what was done.",
    ['route', 'action'],
  )
  const domains = counter(
    'ballast_domain_checks_total',
    "Requests by whether they are in the domain of their model's training; failed: the classifier gave no answer.",
    ['route', 'outcome'],
  )
  const notInjected = counter(
    'ballast_not_injected_total',
    'Requests sent without their policy: a condition of it was unmet, or they had no place for it (unsupported).',
    ['policy', 'reason'],
  )
  const samples = counter('ballast_samples_total', 'Exchanges drawn for judging, by what became of them.', [
    'experiment',
    'arm',
    'outcome',
  ])
  const verdicts = counter('ballast_verdicts_total', 'Verdicts of the judge.', [
    'experiment',
    'arm',
    'check',
    'verdict',
  ])
  const scores = histogram(
    'ballast_judge_score',
    'Numbers the judge gave, by rubric.',
    ['experiment', 'arm', 'rubric'],
    SCORES,
  )
  const judgeRequests = counter(
    'ballast_judge_requests_total',
    'Questions to the judge; cached: answered before.',
    ['model', 'outcome'],
  )
  const judgeTokens = counter('ballast_judge_tokens_total', 'Tokens the judge used.', ['model', 'kind'])
  const judgeBudget = new Gauge({
    name: 'ballast_judge_budget_remaining',
    help: "What is left of a judge's budget: requests of this minute, tokens of this UTC day.",
    labelNames: ['model', 'kind'],
    registers,
  })
  const judgeBreaker = new Gauge({
    name: 'ballast_judge_breaker_open',
    help: '1 while a judge that keeps failing is left alone but for a question now and then.',
    labelNames: ['model'],
    registers,
  })

  const armEvents = counter(
    'ballast_arm_events_total',
    'Arms switched off, on or promoted since this process started, by whom; every process counts each.',
    ['experiment', 'arm', 'action', 'by'],
  )
  const reloads = new Counter({
    name: 'ballast_config_reloads_total',
    help: 'Times the configuration was read anew; failed: the running one stayed.',
    labelNames: ['outcome'],
    registers,
  })
  const reloaded = new Gauge({
    name: 'ballast_config_last_reload_successful',
    help: '0 while the configuration that was read last was refused and an older one runs.',
    registers,
  })
  reloaded.set(1)
  const officeRestarts = new Counter({
    name: 'ballast_office_restarts_total',
    help: 'Times the thread that stores and judges has died and was replaced.',
    registers,
  })
  // A series that begins with its first event hides that event from `increase`.
  for (const outcome of ['applied', 'failed', 'unchanged'] satisfies ReloadOutcome[])
    reloads.inc({ outcome }, 0)

  let sources: PrometheusSources | null = null
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

  gauge('ballast_requests_in_flight', 'Requests whose answers are not over.', [], (self) =>
    self.set(sources?.requestsInFlight() ?? 0),
  )
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
  gauge('ballast_config_info', 'The running configuration.', ['hash'], (self) => {
    if (sources !== null) self.set({ hash: sources.configHash() }, 1)
  })

  return {
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
    requestFinished({ route, experiment, arm }, code, durationMs) {
      requests.inc(route, experiment, arm, String(code))
      duration.observe(durationMs / 1000, route, arm)
    },
    firstByte: ({ route, arm }, ms) => firstByte.observe(ms / 1000, route, arm),
    proxyOverhead: (route, ms) => overhead.observe(ms / 1000, route),
    upstreamRequest: (upstream, outcome) => upstreams.inc(upstream, outcome),
    exposure: (experiment, arm) => exposures.inc(experiment, arm),
    notInjected: (policy, reason) => notInjected.inc(policy, reason),
    injection: (policy, placement) => injections.inc(policy, placement),
    triggerMatch: (route, action) => triggers.inc(route, action),
    domainCheck: (route, outcome) => domains.inc(route, outcome),
    sample: (experiment, arm, outcome) => samples.inc(experiment, arm, outcome),
    verdict: (experiment, arm, check, verdict) => verdicts.inc(experiment, arm, check, verdict),
    score: (experiment, arm, rubric, score) => {
      if (score.kind === 'number') scores.observe(score.value, experiment, arm, rubric)
    },
    judgeRequest: (model, outcome) => judgeRequests.inc(model, outcome),
    judgeTokens: (model, kind, tokens) => judgeTokens.add(Math.max(0, tokens), model, kind),
    judgeBudget: (model, kind, remaining) => {
      if (remaining === null) judgeBudget.remove({ model, kind })
      else judgeBudget.set({ model, kind }, remaining)
    },
    judgeBreaker: (model, open) => {
      if (open === null) judgeBreaker.remove({ model })
      else judgeBreaker.set({ model }, open ? 1 : 0)
    },
    configReload: (outcome) => {
      reloads.inc({ outcome })
      reloaded.set(outcome === 'failed' ? 0 : 1)
    },
    officeRestart: () => officeRestarts.inc(),
    armEvent: (experiment, arm, action, by) => armEvents.inc(experiment, arm, action, by),
  }
}
