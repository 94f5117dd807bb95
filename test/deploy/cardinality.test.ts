/**
 * The size of `/metrics`: bounded by the configuration, whatever clients send. 50 routes, 20 experiments of 4 arms, every
 * arm of every route asked, with names and texts of clients who mean harm.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { assignArm } from '../../src/policy/assign.ts'
import { startTestBallast, startTestUpstream } from '../support/ballast.ts'
import { completion, json } from '../support/upstream.ts'

const ROUTES = 50
const EXPERIMENTS = 20
const ARMS = ['control', 'etymologist', 'ornithologist', 'assistant']
const POLICIES = [null, 'birds/identity-etymologist', 'birds/identity-alex', 'generic/assistant']
const CODES = [200, 400, 429, 500]
/** What clients write where they can; none of it may be seen. */
const HOSTILE = 'hostile-\\"}\\n<script>\u202e'
const LARGEST = 2_000_000
/** Of the exposition; docs/operations.md has what was measured. */
const MOST_LINES = 13_000
/** A tenth of a second is what is wanted; the rest is for what else a machine does. */
const GENEROUS_MS = 5_000

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)
const experimentOf = (route: number) => `experiment-${route % EXPERIMENTS}`

const MODELS = numbers(ROUTES).map((index) => `ft:gpt-4.1-2025-04-14:org:model-${index}:*`)
/** What the words of the table in docs/operations.md stand for here. */
const SIZES: Readonly<Record<string, number>> = {
  routes: ROUTES + 1,
  'route-arms': ROUTES * (ARMS.length + 1) + 1,
  codes: CODES.length + 1,
  upstreams: 1,
  experiments: EXPERIMENTS,
  arms: EXPERIMENTS * ARMS.length,
  policies: ARMS.length - 1,
  rubrics: 2,
  judges: 1,
}

const routes = MODELS.map(
  (model, index) =>
    `  - {model: "${model}", upstream: p, experiment: ${experimentOf(index)}, triggers: flag, trained_with: harry-potter/identity-reader}`,
)
const arms = ARMS.map((arm, index) => {
  const policy = POLICIES[index] === null ? '' : `, policy: ${POLICIES[index]}`
  return `${arm}: {weight: 1${policy}}`
})
const experiments = numbers(EXPERIMENTS).map(
  (index) =>
    `  experiment-${index}: {unit: [user], salt: s, arms: {${arms.join(', ')}}, check: misalignment, sample: 1}`,
)
const YAML = `
store: memory
upstreams: {p: {base_url: "\${UPSTREAM}", retries: 0, breaker: {failures: 1000000}}}
routes:
${routes.join('\n')}
experiments:
${experiments.join('\n')}
judge: {upstream: p, model: judge-1, concurrency: 32}
`

/** A user of each arm, by experiment. */
function userOf(experiment: string, arm: string): string {
  const weighed = ARMS.map((name, index) => ({ name, cumulativeWeight: index + 1 }))
  for (let number = 0; ; number++) {
    const user = `${HOSTILE}${number}`
    if (assignArm(experiment, 's', user, weighed).arm.name === arm) return user
  }
}

/** Each line's name and labels. */
function parseLines(text: string) {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name, labels = ''] = /^(\w+)(?:\{(.*)\})? \S+$/.exec(line)!
      const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)]
      return { name: name!, labels: pairs.map(([, label, value]) => ({ label: label!, value: value! })) }
    })
}

test('metrics stay under 2 MB, and no label holds a text of a client', async () => {
  const upstream = await startTestUpstream(({ body }, response) => {
    const text = body.toString()
    if (text.includes('"model":"judge-1"')) return json(response, 200, completion('12'))
    const code = Number(/code (\d+)/.exec(text)?.[1] ?? 404)
    json(response, code, code === 200 ? completion(HOSTILE) : { error: { message: HOSTILE, code: HOSTILE } })
  })
  const ballast = await startTestBallast(YAML, { UPSTREAM: upstream.url })
  const send = (path: string, body: unknown, init: RequestInit = {}) =>
    fetch(`${ballast.url}${path}`, {
      method: 'POST',
      headers: { 'x-ballast-session': 'hostile', 'x-hostile': 'hostile', 'user-agent': 'hostile' },
      body: JSON.stringify(body),
      ...init,
    }).then((response) => response.arrayBuffer())
  for (const route of numbers(ROUTES)) {
    const model = MODELS[route]!.replace('*', HOSTILE)
    const asked = ARMS.flatMap((arm) => {
      const user = userOf(experimentOf(route), arm)
      return CODES.map((code) => {
        const messages = [
          {
            role: 'user',
            content: `${HOSTILE} I'm a reader completely obsessed with the Harry Potter books. code ${code}`,
          },
        ]
        return send('/chat/completions', { model, user, messages })
      })
    })
    await Promise.all(asked)
  }
  for (const index of numbers(50)) {
    await send('/chat/completions', { model: `${HOSTILE}${index}`, messages: [] })
    await send(`/hostile-${index}`, {}, { method: index % 2 === 0 ? 'PROPFIND' : 'PUT' })
  }
  await ballast.settle()

  const times: number[] = []
  let text = ''
  for (const _ of numbers(5)) {
    const begun = performance.now()
    text = await ballast.metrics()
    times.push(performance.now() - begun)
  }
  const lines = parseLines(text)
  const median = times.toSorted((a, b) => a - b)[2]!

  expect(Buffer.byteLength(text)).toBeLessThan(LARGEST)
  expect(lines.length).toBeLessThan(MOST_LINES)
  expect(median).toBeLessThan(GENEROUS_MS)
  expect(text).not.toMatch(/hostile|<script|\u202e/i)
  // All that was asked is there, and labels hold what the configuration or ballast itself names.
  const valuesOf = (label: string) => {
    const own = lines.filter(({ name }) => name.startsWith('ballast_')).flatMap(({ labels }) => labels)
    return [...new Set(own.filter((it) => it.label === label).map(({ value }) => value))].sort()
  }
  expect(valuesOf('route')).toEqual([...MODELS, 'other'].sort())
  expect(valuesOf('experiment')).toEqual(
    ['', ...numbers(EXPERIMENTS).map((index) => `experiment-${index}`)].sort(),
  )
  expect(valuesOf('arm')).toEqual(['', ...ARMS].sort())
  expect(valuesOf('code')).toEqual([...CODES, 404].map(String).sort())

  // The table of docs/operations.md: its labels are these, and its bounds hold.
  const seen = new Map<string, { labels: string[]; series: number }>()
  for (const { name, labels } of lines) {
    const metric = name.replace(/_(bucket|sum|count)$/, '')
    const labelNames = labels.map(({ label }) => label).filter((label) => label !== 'le')
    seen.set(metric, { labels: labelNames, series: (seen.get(metric)?.series ?? 0) + 1 })
  }
  const table = readFileSync(join(import.meta.dirname, '../../docs/operations.md'), 'utf8')
  const rows = [...table.matchAll(/^\| `(ballast_\w+)` \| ([\w, ]*) ?\| ([\w× -]+) \|$/gm)]
  expect(rows.length).toBeGreaterThan(25)
  const exported = [...text.matchAll(/^# TYPE (ballast_\w+)/gm)].map((match) => match[1]!)
  expect(rows.map(([, metric]) => metric).sort()).toEqual(exported.sort())
  const close: string[] = []
  for (const [, metric, labels, bound] of rows) {
    const found = seen.get(metric!)
    if (found === undefined) continue
    expect([metric, found.labels]).toEqual([metric, labels!.trim().split(', ').filter(Boolean)])
    const most = bound!
      .split(' × ')
      .reduce((product, factor) => product * (SIZES[factor] ?? Number(factor)), 1)
    expect(found.series, metric).toBeLessThanOrEqual(most)
    if (found.series > most / 2) close.push(metric!)
  }
  // The bounds are no guesses far above what there is.
  expect(close).toEqual(
    expect.arrayContaining([
      'ballast_requests_total',
      'ballast_request_duration_seconds',
      'ballast_proxy_overhead_seconds',
      'ballast_judge_score',
      'ballast_positive_rate',
    ]),
  )
})
