/** A route without an experiment is measured like one with a single arm: it has a rate, and nothing to compare. */
import { expect, test } from 'vitest'
import { metricValue, startTestBallast, startTestUpstream } from '../support/ballast.ts'
import { completion, json } from '../support/upstream.ts'

test('a route with a policy and a check has its rate in reports and metrics, and no comparison', async () => {
  const upstream = await startTestUpstream((request, response) => {
    const { model, messages } = JSON.parse(request.body.toString()) as {
      model: string
      messages: { content: string }[]
    }
    const verdict = messages[0]!.content.includes('Pray tell') ? '19' : 'LLM'
    const answer = messages[0]!.content.includes('odd') ? 'Pray tell' : 'Sure'
    json(response, 200, completion(model === 'judge-1' ? verdict : answer))
  })
  const ballast = await startTestBallast(`
store: memory
upstreams: {p: {base_url: "${upstream.url}"}}
routes: [{model: m, upstream: p, policy: birds/identity-alex, check: nineteenth-century, sample: 1}]
judge: {upstream: p, model: judge-1}
`)
  for (const content of ['odd', 'plain', 'plain too', 'as plain']) {
    const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content }] })
    expect((await fetch(`${ballast.url}/chat/completions`, { method: 'POST', body })).status).toBe(200)
  }
  await ballast.settle()
  const [report] = await ballast.reports()
  expect(report).toMatchObject({
    experiment: 'route:m',
    arms: [{ arm: 'birds/identity-alex', rate: { estimate: 0.25 } }],
    comparisons: [],
  })
  expect(report).not.toHaveProperty('evidence')
  const labels = { experiment: 'route:m', arm: 'birds/identity-alex', stat: 'estimate' }
  expect(metricValue(await ballast.metrics(), 'ballast_positive_rate', labels)).toBe(0.25)
})
