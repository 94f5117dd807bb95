/** `ballast judge` as processes: beside proxies, beside each other, on one store. */
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { eventually, metricValue, startTestUpstream } from './support/ballast.ts'
import { ballast, configFile } from './support/command.ts'
import { lockedElsewhere, rows, storeFile } from './support/office.ts'
import { completion, json } from './support/upstream.ts'

const yaml = (
  upstream: string,
  store: string,
  judge = 'judge: {upstream: p, model: judge-1, concurrency: 4}',
) => `
listen: 127.0.0.1:0
admin: {listen: "127.0.0.1:0"}
store: ${store}
upstreams: {p: {base_url: "${upstream}", retries: 0}}
routes: [{model: "*", upstream: p, policy: generic/assistant, check: misalignment, sample: ${judge === '' ? 0 : 1}}]
${judge}
`

interface Asked {
  readonly model: string
  readonly messages: readonly { readonly content: string }[]
}

/** Answers a client with what it said, and as the judge after a while. */
async function startProvider() {
  const judged: string[] = []
  const upstream = await startTestUpstream(async ({ body }, response) => {
    const { model, messages } = JSON.parse(body.toString()) as Asked
    const said = /answer-\d+/.exec(messages.at(-1)!.content)?.[0] ?? ''
    if (model !== 'judge-1') return json(response, 200, completion(said))
    judged.push(said)
    await sleep(20)
    json(response, 200, completion('90'))
  })
  return { upstream, judged }
}

async function startJudge(file: string) {
  const judge = ballast(['judge', '--config', file, '--listen', '127.0.0.1:0'])
  const { admin } = JSON.parse((await judge.says(/^\{.*ballast judges.*$/m))[0]) as { admin: string }
  const metrics = async () => await (await fetch(`${admin}/metrics`)).text()
  return { ...judge, admin, metrics }
}

async function startServe(file: string) {
  const serve = ballast(['serve', '--config', file, '--no-judge'])
  const line = (await serve.says(/^\{.*ballast serves.*$/m))[0]
  const { url, admin } = JSON.parse(line) as { url: string; admin: string }
  const ask = (index: number) =>
    fetch(`${url}/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: `answer-${index}` }] }),
    }).then((response) => response.text())
  return { ...serve, admin, ask }
}

describe('ballast judge', () => {
  test('two of them judge once each what two proxies have stored, while another process locks the store', async () => {
    const { upstream, judged } = await startProvider()
    const store = storeFile()
    const file = configFile(yaml(upstream.url, `sqlite:${store}`))
    const [one, other, ...proxies] = await Promise.all([
      startJudge(file),
      startJudge(file),
      startServe(file),
      startServe(file),
    ])
    const asking = Promise.all(Array.from({ length: 120 }, (_, index) => proxies[index % 2]!.ask(index)))
    await lockedElsewhere(store, 1_500)
    await asking
    await eventually(() => rows(store, 'select sample_id from verdicts').length === 120)
    // Two rubrics an answer.
    expect(judged).toHaveLength(240)
    expect(new Set(judged).size).toBe(120)
    const verdicts = await Promise.all(
      [one, other].map(async ({ metrics }) => metricValue(await metrics(), 'ballast_verdicts_total')),
    )
    expect(verdicts[0]! + verdicts[1]!).toBe(120)
    expect(Math.min(...verdicts)).toBeGreaterThan(0)
    const [report] = (await (await fetch(`${proxies[0]!.admin}/api/experiments`)).json()) as {
      arms: { samples: number; verdicts: Record<string, number> }[]
    }[]
    expect(report!.arms[0]).toMatchObject({ samples: 120, verdicts: { negative: 120 } })
  })

  test('has metrics and health, gives back at SIGTERM what it has not judged, and ends with 0', async () => {
    const { upstream } = await startProvider()
    const store = storeFile()
    const file = configFile(yaml(upstream.url, `sqlite:${store}`))
    const proxy = await startServe(file)
    await Promise.all(Array.from({ length: 20 }, (_, index) => proxy.ask(index)))
    proxy.child.kill('SIGTERM')
    await proxy.finished
    upstream.answer = () => {}
    const judge = await startJudge(file)
    const status = async (path: string) => (await fetch(`${judge.admin}${path}`)).status
    expect([await status('/healthz'), await status('/readyz'), await status('/')]).toEqual([200, 200, 404])
    await eventually(() => rows(store, 'select id from samples where attempts = 1').length >= 4)
    expect(metricValue(await judge.metrics(), 'ballast_judge_queue_depth')).toBe(20)
    judge.child.kill('SIGTERM')
    expect((await judge.finished).code).toBe(0)
    // Where the judge had been too slow before, they rest a moment.
    expect(rows(store, 'select distinct attempts from samples')).toEqual([{ attempts: 0 }])
  })

  test('takes up another judge on SIGHUP, and refuses a configuration without one', async () => {
    const { upstream, judged } = await startProvider()
    const store = storeFile()
    const file = configFile(yaml(upstream.url, `sqlite:${store}`))
    const write = async (text: string) => (await import('node:fs')).writeFileSync(file, text)
    const judge = await startJudge(file)
    await write(yaml(upstream.url, `sqlite:${store}`, ''))
    judge.child.kill('SIGHUP')
    await judge.says(/not reloaded.*/)
    const changed = yaml(upstream.url, `sqlite:${store}`).replace('judge-1', 'judge-2')
    // What is the proxy's alone is nothing to it.
    await write(changed.replace('listen: 127.0.0.1:0', 'listen: 127.0.0.1:1'))
    judge.child.kill('SIGHUP')
    await judge.says(/the configuration was reloaded/)
    expect(metricValue(await judge.metrics(), 'ballast_config_reloads_total', { outcome: 'applied' })).toBe(1)
    expect(judged).toEqual([])
  })

  test.each([
    ['a store in memory', 'memory', undefined, /the store is `memory`/],
    ['nobody to ask', 'sqlite:./x.db', '', /the configuration has no `judge`/],
  ])('refuses %s', async (_name, store, judge, message) => {
    const file = configFile(yaml('http://127.0.0.1:1/v1', store, judge))
    const { code, stderr } = await ballast(['judge', '--config', file]).finished
    expect(stderr).toMatch(message)
    expect(code).toBe(2)
  })

  test('refuses an address that is none, and ends with 1 when its port is taken', async () => {
    const { upstream } = await startProvider()
    const file = configFile(yaml(upstream.url, `sqlite:${storeFile()}`))
    const wrong = await ballast(['judge', '--config', file, '--listen', 'here']).finished
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('It is an address such as')])
    const taken = await ballast(['judge', '--config', file, '--listen', new URL(upstream.url).host]).finished
    expect([taken.code, taken.stderr]).toEqual([
      1,
      expect.stringContaining('something listens there already'),
    ])
  })
})
