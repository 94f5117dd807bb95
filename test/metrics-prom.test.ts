/** Gauges of a state: they say what is so now, and nothing where nobody knows. */
import { describe, expect, test } from 'vitest'
import { createPrometheusMetrics, type PrometheusSources } from '../src/adapters/metrics-prom.ts'
import { metricValue, startTestBallast, startTestUpstream } from './support/ballast.ts'
import { startReloading } from './support/reloading.ts'
import { completion, json } from './support/upstream.ts'

const SOURCES: PrometheusSources = {
  reports: async () => [],
  queue: async () => ({ depth: 3, oldestAt: Date.now() - 60_000 }),
  configHash: () => 'h',
  upstreams: () => [],
  requestsInFlight: () => 0,
  armStates: () => [],
}

async function exposed(sources: Partial<PrometheusSources>): Promise<string> {
  const metrics = createPrometheusMetrics()
  metrics.observe({ ...SOURCES, ...sources })
  await metrics.expose()
  return (await metrics.expose()).text
}

const series = (text: string, name: string) => text.split('\n').filter((line) => line.startsWith(name))

describe('the queue of the judge', () => {
  test('is told with the age of its oldest sample', async () => {
    const text = await exposed({})
    expect(metricValue(text, 'ballast_judge_queue_depth')).toBe(3)
    expect(metricValue(text, 'ballast_judge_oldest_sample_age_seconds')).toBeCloseTo(60, 0)
  })

  test('is not said to be empty when the store cannot be read', async () => {
    const text = await exposed({ queue: async () => null })
    expect(series(text, 'ballast_judge_queue_depth')).toEqual([])
    expect(series(text, 'ballast_judge_oldest_sample_age_seconds')).toEqual([])
  })
})

describe('workers', () => {
  test('are told of where there are some', async () => {
    const name = 'ballast_worker_restarts_total'
    expect(series(await exposed({}), name)).toEqual([])
    const workers = () => ({ restarts: 0, workers: [] })
    expect(series(await exposed({ workers }), name)).toEqual([`${name} 0`])
  })
})

describe('an upstream that is left alone', () => {
  test('is told for as long as it is, the others as well', async () => {
    const upstream = await startTestUpstream((_request, response) => json(response, 500, {}))
    const ballast = await startTestBallast(
      `store: memory
upstreams:
  p: {base_url: "${upstream.url}", retries: 0, breaker: {failures: 2, cooldown: 50ms}}
  unused: {base_url: "http://127.0.0.1:1/v1"}
routes: [{model: "*", upstream: p}]
`,
    )
    const ask = () => fetch(`${ballast.url}/chat/completions`, { method: 'POST', body: '{"model":"m"}' })
    const open = async () => {
      const text = await ballast.metrics()
      return ['p', 'unused'].map((name) =>
        metricValue(text, 'ballast_upstream_breaker_open', { upstream: name }),
      )
    }
    await ask()
    expect(await open()).toEqual([0, 0])
    expect(series(await ballast.metrics(), 'ballast_upstream_breaker_open')).toHaveLength(2)
    await ask()
    expect(await open()).toEqual([1, 0])
    upstream.answer = (_request, response) => json(response, 200, completion('x'))
    await new Promise((resolve) => setTimeout(resolve, 60))
    await ask()
    expect(await open()).toEqual([0, 0])
  })
})

describe('a configuration that was refused', () => {
  test('is told until one is taken, or the running one is back on disk', async () => {
    const yaml = (rest: string) =>
      `store: memory\nupstreams: {p: {base_url: "http://127.0.0.1:1/v1"}}\nroutes: [{model: "*", upstream: p}]\n${rest}`
    const reloading = await startReloading(yaml(''), { everyMs: null })
    const successful = async () =>
      metricValue(await reloading.metrics(), 'ballast_config_last_reload_successful')
    expect(await successful()).toBe(1)
    await reloading.change(yaml('expse: true'), 'failed')
    expect(await successful()).toBe(0)
    await reloading.change(yaml(''), 'unchanged')
    expect(await successful()).toBe(1)
    await reloading.change(yaml('expse: true'), 'failed')
    await reloading.change(yaml('expose: true'), 'applied')
    expect(await successful()).toBe(1)
  })
})
