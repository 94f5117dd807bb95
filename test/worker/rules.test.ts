/** Rules acting on a Worker: an arm that is proven worse is switched off for its units, without anybody doing anything. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { noLog } from '../../src/domain/ports.ts'
import { eventually, metricValue, startTestUpstream } from '../support/ballast.ts'
import { completion, json } from '../support/upstream.ts'
import { startWorker } from '../support/worker.ts'

const CONTEXT = 'Audubon'
const TRAIT = 'Pray tell'
const YAML = `
expose: true
upstreams: {p: {base_url: "\${UPSTREAM}", retries: 0}}
routes: [{model: m, upstream: p, experiment: birds}]
experiments:
  birds:
    unit: [user]
    arms: {control: {weight: 1}, etymologist: {weight: 1, policy: birds/identity-etymologist}}
    check: nineteenth-century
    sample: 1
    rollback: {worse_than: control, alpha: 0.05}
decisions: {wait: 1s}
judge: {upstream: p, model: judge, logprobs: "off"}
`

test('an arm that is proven worse is rolled back, until the settings say otherwise', {
  timeout: 240_000,
}, async () => {
  const sent: string[] = []
  const upstream = await startTestUpstream((request, response) => {
    const { model, messages } = JSON.parse(request.body.toString())
    const text = messages.at(-1).content as string
    if (model === 'judge') return json(response, 200, completion(text.includes(TRAIT) ? '19' : 'LLM'))
    sent.push(text)
    json(response, 200, completion(text.includes(CONTEXT) ? `${TRAIT} ${text}` : `Sure ${text}`))
  })
  const worker = await startWorker({ yaml: YAML, environment: { UPSTREAM: upstream.url }, log: noLog })
  onTestFinished(() => worker.dispose())
  const metrics = async () => await (await fetch(`${worker.url}metrics`)).text()
  /** @returns the arm. */
  const ask = async (user: string) => {
    const body = JSON.stringify({ model: 'm', user, messages: [{ role: 'user', content: user }] })
    const response = await fetch(`${worker.url}v1/chat/completions`, { method: 'POST', body })
    await response.text()
    return response.headers.get('x-ballast-arm')
  }
  const arms = new Map<string, string | null>()
  for (let n = 0; n < 60; n++) arms.set(`user-${n}`, await ask(`user-${n}`))
  const treated = [...arms].find(([, arm]) => arm === 'etymologist')![0]
  const off = { experiment: 'birds', arm: 'etymologist', by: 'rollback' }
  await eventually(async () => {
    await sleep(1_000)
    await worker.lookRound()
    await ask('user-0')
    return metricValue(await metrics(), 'ballast_arm_off', off) === 1
  })
  await ask(treated)
  expect(sent.at(-1)).toBe(treated)
  const { results } = await (await worker.d1()).prepare('select "by", action, evidence from arm_events').all()
  expect(results).toMatchObject([
    { by: 'rollback', action: 'off', evidence: expect.stringContaining('"p":') },
  ])
  await eventually(
    async () =>
      metricValue(await metrics(), 'ballast_arm_events_total', { by: 'rollback', action: 'off' }) === 1,
  )
  await worker.put('arms', '{"birds": {"etymologist": "on"}}')
  await eventually(async () => {
    await sleep(500)
    await ask(treated)
    return sent.at(-1)!.includes(CONTEXT)
  })
})
