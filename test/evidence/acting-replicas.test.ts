/**
 * Rules and people acting on arms, on several replicas that share a store: real proxies, judging, and a provider whose
 * answers turn bad. Runs on every store that replicas can share.
 */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Report } from '../../src/domain/report.ts'
import { eventually, metricValue, startTestUpstream } from '../support/ballast.ts'
import { ballast as command, configFile } from '../support/command.ts'
import { postgres, usePostgres } from '../support/postgres.ts'
import { type Reloading, startReloading } from '../support/reloading.ts'
import { describeWith } from '../support/requires.ts'
import { completion, json } from '../support/upstream.ts'

const CONTEXT = 'Audubon'
const TRAIT = 'Pray tell'

type Message = { readonly content: string }

/** @param rules of the experiment. */
async function start(store: string, rules: string) {
  /** Whether answers have the trait, by whether the context is there. */
  const trait = { treated: false, control: false }
  const provider = await startTestUpstream((request, response) => {
    const treated = request.body.includes(CONTEXT)
    json(response, 200, completion((treated ? trait.treated : trait.control) ? TRAIT : 'Sure'))
  })
  const judge = await startTestUpstream((request, response) => {
    const { messages } = JSON.parse(request.body.toString()) as { messages: Message[] }
    json(response, 200, completion(messages[0]!.content.includes(TRAIT) ? '19' : 'LLM'))
  })
  const yaml = `
listen: 127.0.0.1:0
admin: {listen: "127.0.0.1:0"}
store: "${store}"
upstreams: {provider: {base_url: "${provider.url}"}, judge: {base_url: "${judge.url}"}}
routes: [{model: "*", upstream: provider, experiment: birds}]
experiments:
  birds:
    arms: {control: {weight: 1}, etymologist: {weight: 1, policy: birds/identity-etymologist}}
    check: nineteenth-century
    sample: 1
    ${rules}
decisions: {wait: 20ms}
judge: {upstream: judge, model: judge-1, concurrency: 4}
`
  let asked = 0
  const ask = async ({ ballast }: Reloading, count: number) => {
    for (let index = 0; index < count; index++) {
      const user = `user-${asked++}`
      const body = JSON.stringify({ model: 'm', user, messages: [{ role: 'user', content: `Hi ${user}` }] })
      const response = await fetch(`${ballast.url}/chat/completions`, { method: 'POST', body })
      expect(response.status).toBe(200)
      await response.text()
    }
    await ballast.settle()
  }
  /** How many of so many further requests, each of another user, get the context. */
  const injected = async (replica: Reloading, count = 12) => {
    const before = provider.requests.length
    await ask(replica, count)
    return provider.requests.slice(before).filter(({ body }) => body.includes(CONTEXT)).length
  }
  return { yaml, trait, ask, injected }
}

const stateOf = async ({ ballast }: Reloading) => {
  const [report] = await ballast.reports()
  return report!.arms[1]!.state
}
const isOff = ({ ballast }: Reloading) => ballast.plan.experiments[0]!.switches.isOff('etymologist')

async function arms(...args: readonly string[]) {
  const { finished } = command(['arms', ...args])
  const { code, stdout, stderr } = await finished
  return { code, stderr, ...(stdout === '' ? {} : (JSON.parse(stdout) as Arms)) }
}
interface Arms {
  readonly arms: readonly { readonly arm: string; readonly state: string; readonly by: string | null }[]
  readonly history: readonly { readonly action: string; readonly by: string; readonly evidence: unknown }[]
}

describe('replicas that share SQLite', () => {
  acting(async () => `sqlite:${join(mkdtempSync(join(tmpdir(), 'ballast-arms-')), 'ballast.db')}`)
})

describeWith(postgres, 'replicas that share Postgres', () => {
  const server = usePostgres()
  acting(() => server().database())
})

/** @param url names a new store. */
function acting(url: () => Promise<string>): void {
  test('roll an arm back that turns bad, until a person switches it on', async () => {
    const { yaml, trait, ask, injected } = await start(
      await url(),
      'rollback: {worse_than: control, alpha: 0.05}',
    )
    const replicas = [await startReloading(yaml), await startReloading(yaml)]
    const both = async (count: number) => {
      for (const replica of replicas) await ask(replica, count)
    }
    await both(20)
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    expect(replicas.map(isOff)).toEqual([false, false])
    for (const replica of replicas) expect(await injected(replica)).toBeGreaterThan(0)

    trait.treated = true
    await both(40)
    await eventually(() => replicas.every(isOff))
    for (const replica of replicas) {
      expect(await injected(replica)).toBe(0)
      await eventually(async () => (await stateOf(replica)) !== undefined)
      expect(await stateOf(replica)).toMatchObject({
        state: 'off',
        by: 'rollback',
        reason: expect.stringContaining('etymologist has a higher positive rate than control'),
      })
      const response = await fetch(`${replica.ballast.adminUrl}/api/experiments`)
      const [report] = (await response.json()) as Report[]
      const shown = report!.arms.find(({ arm }) => arm === 'etymologist')
      expect(shown!.state).toMatchObject({ state: 'off', by: 'rollback' })
      const metrics = await replica.metrics()
      const labels = { experiment: 'birds', arm: 'etymologist', by: 'rollback' }
      expect(metricValue(metrics, 'ballast_arm_off', labels)).toBe(1)
      expect(metricValue(metrics, 'ballast_arm_events_total', { ...labels, action: 'off' })).toBe(1)
      expect(
        replica.logged.filter(({ level, fields }) => level === 'warn' && fields.by === 'rollback'),
      ).toEqual([expect.objectContaining({ message: expect.stringContaining('nothing is injected') })])
    }

    // Neither a reload nor a new process brings it back.
    await replicas[0]!.change(yaml.replace('decisions:', 'expose: true\ndecisions:'))
    expect(await injected(replicas[0]!)).toBe(0)
    const third = await startReloading(yaml)
    expect(await injected(third)).toBe(0)

    trait.treated = false
    const file = configFile(yaml)
    const on = await arms('on', 'birds', 'etymologist', '--reason', 'mended', '--config', file, '--json')
    expect(on).toMatchObject({
      code: 0,
      arms: [
        { arm: 'control', state: 'on', by: null },
        { arm: 'etymologist', state: 'on', by: 'person', reason: 'mended' },
      ],
      // Both replicas have proven it, and it is stored once.
      history: [
        { action: 'off', by: 'rollback', evidence: { rule: 'worse_than', against: 'control' } },
        { action: 'on', by: 'person', evidence: null },
      ],
    })
    await eventually(() => !replicas.some(isOff))
    for (const replica of replicas) await ask(replica, 20)
    // The old evidence does not switch it off again; the new one does.
    await new Promise((resolve) => setTimeout(resolve, 3_000))
    expect(replicas.map(isOff)).toEqual([false, false])
    const [report] = await replicas[0]!.ballast.reports()
    expect(report!.evidence!.since).not.toBeNull()
    trait.treated = true
    await both(30)
    await eventually(() => replicas.every(isOff))
    const listed = await arms('--config', file, '--json')
    expect(listed.history!.map(({ action }) => action)).toEqual(['off', 'on', 'off'])
  })

  test('promote an arm that is proven to be better, where they are asked to', async () => {
    const { yaml, trait, ask, injected } = await start(await url(), 'promote: {better_than: control}')
    const replicas = [await startReloading(yaml), await startReloading(yaml)]
    trait.control = true
    for (const replica of replicas) await ask(replica, 40)
    await eventually(() =>
      replicas.every(({ ballast }) => ballast.plan.experiments[0]!.switches.promoted === 'etymologist'),
    )
    const exposures = async () => (await replicas[0]!.ballast.reports())[0]!.arms[0]!.exposures
    const before = await exposures()
    for (const replica of replicas) expect(await injected(replica, 12)).toBe(12)
    expect(await exposures()).toBe(before)
    expect(await stateOf(replicas[1]!)).toMatchObject({ state: 'promoted', by: 'promote' })
    const file = configFile(yaml)
    await arms('off', 'birds', 'etymologist', '--reason', 'a test', '--config', file, '--json')
    await eventually(() => replicas.every(isOff))
    expect(await injected(replicas[0]!)).toBe(0)
    const none = await arms('on', 'birds', 'etymologist', '--reason', 'over', '--config', file, '--json')
    expect(none.history!.map(({ action, by }) => [action, by])).toEqual([
      ['promoted', 'promote'],
      ['off', 'person'],
      ['on', 'person'],
    ])
  })
}
