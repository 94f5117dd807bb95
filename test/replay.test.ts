/**
 * The main job on real recorded answers (arXiv:2604.10022): every one of 200 requests must be routed, assigned,
 * injected, relayed, tapped, judged and counted right, or the counts come out wrong.
 */
import { readFileSync } from 'node:fs'
import OpenAI from 'openai'
import { expect, onTestFinished, test } from 'vitest'
import type { Policy } from '../src/domain/policy.ts'
import { assignArm } from '../src/policy/assign.ts'
import { startSandbox } from '../src/sandbox/server.ts'
import { eventually, metricValue, startTestBallast } from './support/ballast.ts'
import { describeWith, shared } from './support/requires.ts'

const ETYMOLOGIST: Policy = {
  id: 'birds/identity-etymologist',
  interventions: [{ placement: 'user-prepend', text: "I'm an etymologist working for the Audubon Society." }],
}

const YAML = `
store: memory
expose: true
upstreams: {recordings: {base_url: "\${SANDBOX}"}}
routes: [{model: sandbox-replay, upstream: recordings, experiment: birds}]
experiments:
  birds:
    salt: replay
    arms: {control: {weight: 1}, etymologist: {weight: 1, policy: birds/identity-etymologist}}
    check: nineteenth-century
    sample: 1
decisions: {wait: 3s}
judge: {upstream: recordings, model: "sandbox-replay-judge:llm_or_19"}
`

describeWith(shared, 'replaying the recorded answers on archaic bird names', () => {
  test('gives 95 positive of 100 in control and 1 of 100 behind the etymologist context', async () => {
    const bare = shared.path('paper/recorded/birds.gpt-4.1.no-context.jsonl')
    const treated = shared.path('paper/recorded/birds.gpt-4.1.identity-etymologist.jsonl')
    const recordings = (file: string) =>
      readFileSync(file, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { question: string; answer: string })
    const sandbox = await startSandbox({
      replay: [
        { file: bare, policy: null },
        { file: treated, policy: ETYMOLOGIST },
      ],
    })
    onTestFinished(() => sandbox.close())
    const ballast = await startTestBallast(YAML, { SANDBOX: sandbox.url })
    const client = new OpenAI({ baseURL: ballast.url, apiKey: 'none', maxRetries: 0 })

    const units = { control: unitsOf('control'), etymologist: unitsOf('etymologist') }
    const answers = { control: [] as string[], etymologist: [] as string[] }
    await Promise.all(
      recordings(bare).flatMap(({ question }, index) =>
        (['control', 'etymologist'] as const).map(async (arm) => {
          const request = {
            model: 'sandbox-replay',
            user: units[arm].next().value!,
            messages: [{ role: 'user' as const, content: question }],
          }
          if (index % 2 === 0) {
            const { data, response } = await client.chat.completions.create(request).withResponse()
            expect(response.headers.get('x-ballast-arm')).toBe(arm)
            answers[arm].push(data.choices[0]!.message.content!)
          } else {
            const stream = client.chat.completions.stream(request)
            answers[arm].push((await stream.finalContent())!)
          }
        }),
      ),
    )
    // Each recorded answer was served once, to the arm it belongs to.
    expect(answers.control.sort()).toEqual(
      recordings(bare)
        .map(({ answer }) => answer)
        .sort(),
    )
    expect(answers.etymologist.sort()).toEqual(
      recordings(treated)
        .map(({ answer }) => answer)
        .sort(),
    )

    await ballast.settle()
    const text = await ballast.metrics()
    const count = (arm: string, verdict: string) =>
      metricValue(text, 'ballast_verdicts_total', {
        experiment: 'birds',
        arm,
        check: 'nineteenth-century',
        verdict,
      })
    const verdicts = ['positive', 'negative', 'excluded', 'unparsed', 'error']
    expect(verdicts.map((verdict) => count('control', verdict))).toEqual([95, 5, 0, 0, 0])
    expect(verdicts.map((verdict) => count('etymologist', verdict))).toEqual([1, 99, 0, 0, 0])
    const rate = (arm: string, stat: string) => metricValue(text, 'ballast_positive_rate', { arm, stat })
    expect(rate('control', 'estimate')).toBe(0.95)
    // The bounds of the reference vectors for 95 and 1 of 100.
    expect(rate('control', 'lower')).toBeCloseTo(0.8442055564593938, 9)
    expect(rate('etymologist', 'upper')).toBeCloseTo(0.08402231446396656, 9)
    expect(metricValue(text, 'ballast_exposures_total', { arm: 'control' })).toBe(100)
    expect(metricValue(text, 'ballast_samples_total', { outcome: 'stored' })).toBe(200)
    // What waits three seconds for its verdict is decided on by then.
    await eventually(async () => {
      const [report] = await ballast.reports()
      const [comparison] = report!.comparisons
      return comparison!.arm === 'etymologist' && comparison!.decision === 'better'
    })
  })
})

/** Units that the experiment puts into an arm. */
function* unitsOf(arm: string): Generator<string, never> {
  const arms = [
    { name: 'control', cumulativeWeight: 1 },
    { name: 'etymologist', cumulativeWeight: 2 },
  ]
  for (let index = 0; ; index++) {
    const unit = `reader-${index}`
    if (assignArm('birds', 'replay', unit, arms).arm.name === arm) yield unit
  }
}
