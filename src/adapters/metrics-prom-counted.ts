/**
 * What is counted with requests, samples and verdicts (SPEC section 8): names, helps, labels and bounds, and the part of the
 * `Metrics` port that counts them, whatever keeps the numbers. Used by `metrics-prom.ts`, and by Workers, whose isolates
 * count for an object elsewhere (`metrics-deltas.ts`).
 */
import type { Metrics, ReloadOutcome } from '../domain/ports.ts'

export interface SeriesOptions {
  readonly name: string
  readonly help: string
  readonly labelNames: readonly string[]
}

export interface Counter {
  /** @param values of the labels, in their order. */
  inc(...values: string[]): void
  /** @param amount not below 0. */
  add(amount: number, ...values: string[]): void
}

export interface Histogram {
  /** @param values of the labels, in their order. */
  observe(amount: number, ...values: string[]): void
}

/** Makes what keeps the numbers. */
export interface SeriesMaker {
  counter(options: SeriesOptions): Counter
  /** @param bounds of the buckets, ascending, each included in its bucket; one without a bound comes after them. */
  histogram(options: SeriesOptions, bounds: readonly number[]): Histogram
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]
const OVERHEAD_SECONDS = [
  0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1,
]
const SCORES = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]

/** All of the port but what is a state of one process. */
export function countedMetrics(
  make: SeriesMaker,
): Omit<Metrics, 'judgeBudget' | 'judgeBreaker' | 'officeRestart'> {
  const counter = (name: string, help: string, labelNames: string[]) =>
    make.counter({ name, help, labelNames })
  const histogram = (name: string, help: string, labelNames: string[], bounds: number[]) =>
    make.histogram({ name, help, labelNames }, bounds)

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
  const armEvents = counter(
    'ballast_arm_events_total',
    'Arms switched off, on or promoted since this process started, by whom; every process counts each.',
    ['experiment', 'arm', 'action', 'by'],
  )
  const reloads = counter(
    'ballast_config_reloads_total',
    'Times the configuration was read anew; failed: the running one stayed.',
    ['outcome'],
  )
  // A series that begins with its first event hides that event from `increase`.
  for (const outcome of ['applied', 'failed', 'unchanged'] satisfies ReloadOutcome[]) reloads.add(0, outcome)

  return {
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
    configReload: (outcome) => reloads.inc(outcome),
    armEvent: (experiment, arm, action, by) => armEvents.inc(experiment, arm, action, by),
  }
}
