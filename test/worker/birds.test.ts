/**
 * The recorded answers on archaic bird names (arXiv:2604.10022) through the Worker: each unit comes into the arm it has on
 * Node, each arm gets the answers that belong to it and they get the verdicts they get on Node (`test/replay.test.ts`), and
 * the Worker's metrics say so, after a restart too.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import OpenAI from 'openai'
import { expect, onTestFinished, test } from 'vitest'
import type { Policy } from '../../src/domain/policy.ts'
import { noLog } from '../../src/domain/ports.ts'
import { VERDICTS } from '../../src/domain/verdict.ts'
import { assignArm } from '../../src/policy/assign.ts'
import { startSandbox } from '../../src/sandbox/server.ts'
import { eventually, metricValue } from '../support/ballast.ts'
import { describeWith, shared } from '../support/requires.ts'
import { startWorker } from '../support/worker.ts'

const ETYMOLOGIST: Policy = {
  id: 'birds/identity-etymologist',
  interventions: [{ placement: 'user-prepend', text: "I'm an etymologist working for the Audubon Society." }],
}

const YAML = `
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

const ARMS = ['control', 'etymologist'] as const
const WEIGHTS = [
  { name: 'control', cumulativeWeight: 1 },
  { name: 'etymologist', cumulativeWeight: 2 },
]

interface Recording {
  readonly question: string
  readonly answer: string
}

describeWith(shared, 'the recorded answers on archaic bird names, through the Worker', () => {
  test('come out of the arms they belong to, and are counted across a restart', {
    timeout: 300_000,
  }, async () => {
    const files = {
      control: shared.path('paper/recorded/birds.gpt-4.1.no-context.jsonl'),
      etymologist: shared.path('paper/recorded/birds.gpt-4.1.identity-etymologist.jsonl'),
    }
    const recordings = (file: string) =>
      readFileSync(file, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Recording)
    const sandbox = await startSandbox({
      replay: [
        { file: files.control, policy: null },
        { file: files.etymologist, policy: ETYMOLOGIST },
      ],
    })
    onTestFinished(() => sandbox.close())
    const folder = mkdtempSync(join(tmpdir(), 'ballast-worker-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const start = () => startWorker({ yaml: YAML, environment: { SANDBOX: sandbox.url }, log: noLog, folder })
    let worker = await start()
    onTestFinished(() => worker.dispose())
    const metrics = async () => await (await fetch(`${worker.url}metrics`)).text()
    const client = new OpenAI({ baseURL: `${worker.url}v1`, apiKey: 'none', maxRetries: 0 })

    const units = { control: unitsOf('control'), etymologist: unitsOf('etymologist') }
    const answers = { control: [] as string[], etymologist: [] as string[] }
    const ask = async ({ question }: Recording, arm: (typeof ARMS)[number], stream: boolean) => {
      const request = {
        model: 'sandbox-replay',
        user: units[arm].next().value!,
        messages: [{ role: 'user' as const, content: question }],
      }
      if (stream) return (await client.chat.completions.stream(request).finalContent())!
      const { data, response } = await client.chat.completions.create(request).withResponse()
      expect(response.headers.get('x-ballast-arm')).toBe(arm)
      return data.choices[0]!.message.content!
    }
    await Promise.all(
      recordings(files.control).flatMap((recording, index) =>
        ARMS.map(async (arm) => answers[arm].push(await ask(recording, arm, index % 2 === 1))),
      ),
    )
    for (const arm of ARMS) {
      const recorded = recordings(files[arm]).map(({ answer }) => answer)
      expect(answers[arm].sort()).toEqual(recorded.sort())
    }

    const counted = (text: string) =>
      ARMS.map((arm) => [
        metricValue(text, 'ballast_exposures_total', { experiment: 'birds', arm }),
        metricValue(text, 'ballast_requests_total', { experiment: 'birds', arm, code: '200' }),
        metricValue(text, 'ballast_request_duration_seconds_count', { arm }),
      ])
    const whole = [
      [100, 100, 100],
      [100, 100, 100],
    ]
    await eventually(async () =>
      counted(await metrics())
        .flat()
        .every((it) => it === 100),
    )
    const verdicts = (text: string) =>
      ARMS.map((arm) =>
        VERDICTS.map((verdict) =>
          metricValue(text, 'ballast_verdicts_total', { arm, check: 'nineteenth-century', verdict }),
        ),
      )
    const gauge = (text: string, name: string, arm: string, stat: string) =>
      metricValue(text, name, { experiment: 'birds', arm, stat })
    await eventually(async () => {
      await sleep(500)
      const told = verdicts(await metrics()).flat()
      return told.reduce((sum, it) => sum + it, 0) === 200
    })
    // What waits three seconds for its verdict is decided on by then, and reports are made anew.
    await sleep(5_000)
    await metrics()
    await sleep(2_000)
    const before = await metrics()
    expect(verdicts(before)).toEqual([
      [95, 5, 0, 0, 0],
      [1, 99, 0, 0, 0],
    ])
    // The bounds of the reference vectors for 95 and 1 of 100.
    expect(gauge(before, 'ballast_positive_rate', 'control', 'lower')).toBeCloseTo(0.8442055564593938, 9)
    expect(gauge(before, 'ballast_positive_rate', 'etymologist', 'upper')).toBeCloseTo(0.08402231446396656, 9)
    expect(gauge(before, 'ballast_arm_difference', 'etymologist', 'upper')).toBeLessThan(0)
    expect(metricValue(before, 'ballast_samples_total', { outcome: 'stored' })).toBe(200)
    expect(metricValue(before, 'ballast_sample_ratio_p_value', { experiment: 'birds' })).toBe(1)
    expect(metricValue(before, 'ballast_judge_queue_depth')).toBe(0)
    expect(metricValue(before, 'ballast_injections_total', { policy: ETYMOLOGIST.id })).toBe(100)

    await worker.dispose()
    worker = await start()
    const after = await metrics()
    expect(counted(after)).toEqual(whole)
    expect(lasting(after)).toEqual(lasting(before))
    expect(gauge(after, 'ballast_arm_difference', 'etymologist', 'upper')).toBeLessThan(0)
  })
})

/** The lines but for what may count verdicts now that came late. */
function lasting(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => !/^ballast_arm_difference/.test(line))
    .sort()
}

/** Units that the experiment puts into an arm on Node, some of them beyond ASCII. */
function* unitsOf(arm: string): Generator<string, never> {
  for (let index = 0; ; index++) {
    const unit = `${index % 2 === 0 ? 'reader' : 'Leserin Zoë'}-${index}`
    if (assignArm('birds', 'replay', unit, WEIGHTS).arm.name === arm) yield unit
  }
}
