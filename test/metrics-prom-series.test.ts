/** Our counters and histograms must read in the exposition as prom-client's own would. */
import { Counter, Histogram, Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { CounterSeries, HistogramSeries } from '../src/adapters/metrics-prom-series.ts'

const ROUTES = ['ft:*', 'a "quoted"\\ one\n', '']
const BOUNDS = [0.005, 0.1, 1]
const AMOUNTS = [0, 0.005, 0.0051, 0.1, 1, 1.5, 1_000]

describe('metrics counted in place', () => {
  it('counts as prom-client does, whatever the labels hold', async () => {
    const [ours, theirs] = [new Registry(), new Registry()]
    const options = { name: 'requests_total', help: 'Requests.', labelNames: ['route', 'code'] }
    const own = new CounterSeries(ours, options)
    const counter = new Counter({ ...options, registers: [theirs] })
    for (const route of ROUTES) {
      for (const code of ['200', '499', '200']) {
        own.inc(route, code)
        counter.inc({ route, code })
      }
    }
    own.add(17, 'ft:*', '200')
    counter.inc({ route: 'ft:*', code: '200' }, 17)
    expect(await ours.metrics()).toBe(await theirs.metrics())
  })

  it('puts amounts into the buckets that prom-client would, bounds included', async () => {
    const [ours, theirs] = [new Registry(), new Registry()]
    const options = { name: 'seconds', help: 'Seconds.', labelNames: ['route'] }
    const own = new HistogramSeries(ours, options, BOUNDS)
    const histogram = new Histogram({ ...options, buckets: BOUNDS, registers: [theirs] })
    for (const route of ROUTES) {
      for (const amount of AMOUNTS) {
        own.observe(amount, route)
        histogram.observe({ route }, amount)
      }
    }
    expect(await ours.metrics()).toBe(await theirs.metrics())
  })

  it('shows a metric without series as prom-client does', async () => {
    const [ours, theirs] = [new Registry(), new Registry()]
    const options = { name: 'requests_total', help: 'Requests.', labelNames: ['route'] }
    new CounterSeries(ours, options)
    new Counter({ ...options, registers: [theirs] })
    expect(await ours.metrics()).toBe(await theirs.metrics())
  })
})
