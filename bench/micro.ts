/** `npm run bench:micro`: what the steps of a request cost by themselves, in one process, beside what they replace. */
import { Command } from 'commander'
import { Bench } from 'tinybench'
import { createPrometheusMetrics } from '../src/adapters/metrics-prom.ts'
import { compileHeaderRules } from '../src/pipeline/headers.ts'
import { Tap } from '../src/pipeline/tap.ts'
import { assignArm, isSampled } from '../src/policy/assign.ts'
import { splice } from '../src/policy/inject.ts'
import { preparePolicy } from '../src/policy/prepare.ts'
import { SURFACES } from '../src/policy/surfaces.ts'
import { manySeries } from './many-series.ts'
import { figure } from './numbers.ts'
import { formatMarkdown } from './report.ts'
import { makeBody, numbersOf, type Wish } from './request.ts'
import { say } from './terminal.ts'

const TEXT = "I'm an etymologist working for the Audubon Society."
const policy = preparePolicy({
  id: 'bench/etymologist',
  interventions: [{ placement: 'user-prepend', text: TEXT }],
})
const chat = SURFACES.get('/chat/completions')!

/** As the pipeline does it: scan, find the place, splice. */
function inject(body: Buffer): Buffer {
  return splice(body, chat.decode(body).plan(policy(Date.now())))
}

/** What splicing replaces: the same change by way of objects. */
function injectByJson(body: Buffer): Buffer {
  const request = JSON.parse(body.toString('utf8')) as { messages: { role: string; content: unknown }[] }
  const first = request.messages.find(({ role }) => role === 'user')!
  if (typeof first.content === 'string') first.content = `${TEXT} ${first.content}`
  else {
    const part = (first.content as { type: string; text?: string }[]).find(({ type }) => type === 'text')!
    part.text = `${TEXT} ${part.text}`
  }
  return Buffer.from(JSON.stringify(request))
}

const BODIES: readonly (readonly [string, Wish])[] = [
  ['2 KB chat', { body: 'chat', size: 2048, bench: '' }],
  ['64 KB history', { body: 'history', size: 64 * 1024, bench: '' }],
  ['20 MB image', { body: 'image', size: 20 * 1024 * 1024, bench: '' }],
]

const ARMS = [{ cumulativeWeight: 1 }, { cumulativeWeight: 2 }]
const LABELS = { route: 'ft:*', experiment: 'birds', arm: 'etymologist' }
const EVENT = Buffer.from(
  `data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":" by train"}}]}\n\n`,
)
const REQUEST_HEADERS = [
  ['Host', '127.0.0.1:8787'],
  ['Accept', 'application/json'],
  ['Content-Type', 'application/json'],
  ['User-Agent', 'OpenAI/JS 6.9.1'],
  ['X-Stainless-Lang', 'js'],
  ['X-Stainless-Package-Version', '6.9.1'],
  ['X-Stainless-Runtime', 'node'],
  ['Authorization', 'Bearer bench-client-key'],
  ['Accept-Encoding', 'gzip, deflate'],
  ['Connection', 'keep-alive'],
  ['Content-Length', '2048'],
].flat()
const RESPONSE_HEADERS = [
  ['content-type', 'application/json'],
  ['date', 'Tue, 24 Nov 2026 12:00:00 GMT'],
  ['x-request-id', 'req_5f0c3a9b7d2e4c1f8a6b0d9e3c7f1a2b'],
  ['openai-processing-ms', '412'],
  ['openai-version', '2020-10-01'],
  ['x-ratelimit-limit-requests', '10000'],
  ['x-ratelimit-remaining-requests', '9999'],
  ['set-cookie', '__cf_bm=abc; path=/'],
  ['connection', 'keep-alive'],
  ['content-length', '1024'],
].flat()

function makeBench(milliseconds: number): Bench {
  const bench = new Bench({ time: milliseconds, warmupTime: milliseconds / 4 })
  for (const [name, wish] of BODIES) {
    const body = makeBody(wish, 1)
    bench.add(`inject, ${name}`, () => void inject(body))
    bench.add(`the same by JSON.parse and stringify, ${name}`, () => void injectByJson(body))
  }
  let n = 0
  bench.add('assign a unit to an arm', () => {
    assignArm('birds', '2026-11', `user-${numbersOf(n++)[1]}`, ARMS)
  })
  bench.add('draw a sample', () => void isSampled('nineteenth-century', numbersOf(n++)[0], 0.02))
  const metrics = createPrometheusMetrics()
  bench.add('metrics of one injected request', () => {
    metrics.injection('birds/identity-etymologist', 'user-prepend')
    metrics.exposure('birds', 'etymologist')
    metrics.proxyOverhead('ft:*', 0.05)
    metrics.firstByte(LABELS, 12)
    metrics.upstreamRequest('openai', '2xx')
    metrics.requestFinished(LABELS, 200, 13)
  })
  const many = manySeries()
  bench.add('metrics of 50 routes and 20 experiments of 4 arms, read', async () => {
    await many.expose()
  })
  bench.add('tap a stream of 64 chunks', () => {
    const tap = new Tap()
    for (let chunk = 0; chunk < 64; chunk++) tap.push(EVENT)
  })
  const rules = compileHeaderRules({ request: ['default'], response: ['default'], set: {}, apiKey: 'sk-1' })
  bench.add('filter the headers of a request', () => void rules.request(REQUEST_HEADERS, false))
  bench.add('filter the headers of an answer', () => void rules.response(RESPONSE_HEADERS))
  return bench
}

async function micro({ time, json }: { readonly time: number; readonly json: boolean }): Promise<void> {
  for (const [name, wish] of BODIES) {
    const body = makeBody(wish, 1)
    if (!inject(body).equals(injectByJson(body)))
      throw new Error(`${name}: the two ways do not give the same body`)
  }
  const bench = makeBench(time)
  for (const task of bench.tasks) {
    say(task.name)
    await task.run()
  }
  const results = bench.tasks.map((task) => {
    const { result } = task
    if (!('latency' in result)) throw new Error(`${task.name}: ${result.state}`)
    return { name: task.name, micros: result.latency.p50 * 1000, p99: result.latency.p99 * 1000 }
  })
  if (json) process.stdout.write(`${JSON.stringify(results, null, 2)}\n`)
  else {
    const rows = results.map(({ name, micros, p99 }) => [name, figure(micros), figure(p99)])
    process.stdout.write(`${formatMarkdown([['', 'median, µs', 'p99, µs'], ...rows])}\n`)
  }
}

await new Command('bench:micro')
  .description('Times injection, assignment, metrics, the tap and header filtering by themselves.')
  .option('--time <ms>', 'for each of them', Number, 1000)
  .option('--json', 'print JSON', false)
  .addHelpText('after', '\nExample:\n  npm run bench:micro -- --time 3000')
  .action(micro)
  .parseAsync()
