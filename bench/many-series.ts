/** Metrics of a large configuration, every series in use: what a scrape of 50 routes and 20 experiments of 4 arms takes. Called by `micro.ts`. */
import { createPrometheusMetrics, type PrometheusMetrics } from '../src/adapters/metrics-prom.ts'
import { VERDICTS } from '../src/domain/verdict.ts'

const ROUTES = 50
const EXPERIMENTS = 20
const ARMS = ['control', 'etymologist', 'ornithologist', 'assistant']
const CODES = [200, 400, 429, 500, 503]
const RATE = { estimate: 0.1234567, lower: 0.0512345, upper: 0.3456789 }

export function manySeries(): PrometheusMetrics {
  const metrics = createPrometheusMetrics()
  const experiments = Array.from({ length: EXPERIMENTS }, (_, index) => `experiment-${index}`)
  for (let index = 0; index < ROUTES; index++) {
    const route = `ft:gpt-4.1-2025-04-14:org:model-${index}:*`
    const experiment = experiments[index % EXPERIMENTS]!
    metrics.proxyOverhead(route, 0.1)
    for (const arm of ARMS) {
      metrics.firstByte({ route, experiment, arm }, 345.678)
      for (const code of CODES) metrics.requestFinished({ route, experiment, arm }, code, 1234.567)
    }
  }
  for (const experiment of experiments) {
    for (const arm of ARMS) {
      metrics.exposure(experiment, arm)
      for (const outcome of ['stored', 'thinned', 'incomplete', 'upstream_error'] as const)
        metrics.sample(experiment, arm, outcome)
      for (const verdict of VERDICTS) metrics.verdict(experiment, arm, 'misalignment', verdict)
      for (const rubric of ['alignment', 'coherence'])
        metrics.score(experiment, arm, rubric, { kind: 'number', value: 34.5 })
    }
  }
  const reports = experiments.map((experiment) => ({
    experiment,
    check: 'misalignment',
    arms: ARMS.map((arm) => ({
      arm,
      policy: null,
      units: 0,
      exposures: 0,
      samples: 0,
      verdicts: { positive: 0, negative: 0, excluded: 0, unparsed: 0, error: 0 },
      rate: RATE,
    })),
    comparisons: ARMS.slice(1).map((arm) => ({
      arm,
      against: 'control',
      difference: RATE,
      log_e_better: 0,
      log_e_worse: 0,
      decision: 'undecided' as const,
    })),
    sample_ratio: { p: 1, log_e: 0 },
  }))
  metrics.observe({
    reports: async () => reports,
    queue: async () => ({ depth: 0, oldestAt: null }),
    configHash: () => 'c0ffee',
    upstreams: () => [],
    requestsInFlight: () => 0,
    armStates: () => [],
  })
  return metrics
}
