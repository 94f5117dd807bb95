/** What a Worker serves by, and how it is changed while it runs; and what only a Worker does of the control plane. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Log } from '../../src/domain/ports.ts'
import { fraction } from '../../src/policy/assign.ts'
import { eventually, metricValue, startTestUpstream } from '../support/ballast.ts'
import { completion, json } from '../support/upstream.ts'
import { startWorker } from '../support/worker.ts'

const CONTEXT = 'My name is Alex.'
/** What was read is used for five seconds. */
const SOON_MS = 60_000

const yaml = (rest = '', policy = 'birds/identity-alex') => `
expose: true
upstreams: {p: {base_url: "\${UPSTREAM}", api_key: "\${KEY}", retries: 0}}
routes: [{model: m, upstream: p, experiment: e}]
experiments:
  e:
    unit: [header, user]
    without_control: true
    arms: {treated: {weight: 1, policy: ${policy}}}
${rest}`

interface Options {
  readonly environment?: Readonly<Record<string, string>>
  /** Kept from one Worker to the next. */
  readonly folder?: string
}

async function start(text: string | null, { environment = {}, folder }: Options = {}) {
  const upstream = await startTestUpstream((_request, response) => json(response, 200, completion('hello')))
  const lines: string[] = []
  /** What is wrong with configurations, as the log said it. */
  const problems: string[] = []
  const method = (fields: Readonly<Record<string, unknown>>, message: string) => {
    lines.push(message)
    if (Array.isArray(fields.problems)) problems.push(...fields.problems)
  }
  const log: Log = { debug: method, info: method, warn: method, error: method }
  const secrets = { UPSTREAM: upstream.url, KEY: 'sk-upstream', ...environment }
  const kept = folder === undefined ? {} : { folder }
  const worker = await startWorker({ yaml: text, environment: secrets, log, ...kept })
  onTestFinished(() => worker.dispose())
  const post = async (headers: Record<string, string> = {}) => {
    const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'Hi' }] })
    const response = await fetch(`${worker.url}v1/chat/completions`, { method: 'POST', headers, body })
    return { response, text: await response.text() }
  }
  /** What the model was last asked. */
  const asked = () => JSON.parse(upstream.requests.at(-1)!.body.toString()).messages[0].content as string
  const metric = async (name: string, labels: Record<string, string> = {}) =>
    metricValue(await (await fetch(`${worker.url}metrics`)).text(), name, labels)
  return { upstream, worker, post, asked, metric, lines, problems }
}

describe('the settings of a Worker', () => {
  test('switch an arm off and on again while it runs', async () => {
    const { worker, post, asked, metric, lines } = await start(yaml())
    await post()
    expect(asked()).toBe(`${CONTEXT} Hi`)
    const becomes = (content: string) =>
      eventually(async () => {
        await post()
        return asked() === content
      }, SOON_MS)
    await worker.put('arms', '{"e": {"treated": "off"}}')
    await becomes('Hi')
    expect(await metric('ballast_arm_off', { experiment: 'e', arm: 'treated', by: 'person' })).toBe(1)
    await worker.put('arms', '{"e": {"treated": "on"}}')
    await becomes(`${CONTEXT} Hi`)
    await worker.put('arms', '{"e": {"treated": "of"}}')
    await eventually(async () => {
      await post()
      return lines.includes('what was done to arms could not be read: they stay as they are')
    }, SOON_MS)
    expect(asked()).toBe(`${CONTEXT} Hi`)
  })

  test('are told of once where an arm is switched, however many follow', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ballast-worker-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const first = await start(yaml(), { folder })
    const switched = (action: string, of = first) =>
      of.metric('ballast_arm_events_total', { action, by: 'person' })
    const told = (of = first) => of.lines.filter((it) => it === 'an arm was switched in the settings')
    /** Both read it: an isolate that serves, and the office object. */
    const both = async (done: () => Promise<boolean>) =>
      await eventually(async () => {
        await first.post()
        return await done()
      }, SOON_MS)
    await first.post()
    await first.metric('ballast_config_info')
    await first.worker.put('arms', '{"e": {"treated": "off"}}')
    await both(async () => first.asked() === 'Hi' && (await switched('off')) > 0)
    await first.worker.put('arms', '{"e": {"treated": "on"}}')
    await both(async () => first.asked() !== 'Hi' && (await switched('on')) > 0)
    await first.worker.put('arms', '{"e": {"treated": "off"}}')
    await both(async () => first.asked() === 'Hi' && (await switched('off')) > 1)
    expect([await switched('off'), await switched('on'), told().length]).toEqual([2, 1, 3])
    await first.worker.dispose()
    const second = await start(null, { folder })
    for (let scrape = 0; scrape < 3; scrape++) await switched('off', second)
    expect([await switched('off', second), told(second)]).toEqual([2, []])
  })

  test('that changed while nobody came are waited for', async () => {
    const { worker, post, asked } = await start(yaml())
    await post()
    expect(asked()).toBe(`${CONTEXT} Hi`)
    await worker.put('arms', '{"e": {"treated": "off"}}')
    await sleep(61_000)
    await post()
    expect(asked()).toBe('Hi')
  })

  test('change the configuration while it runs, but not to one that is wrong', {
    timeout: 60_000,
  }, async () => {
    const { worker, post, asked, metric, lines, problems } = await start(yaml())
    await post()
    await worker.put('ballast.yaml', yaml('nonsense: 1\n'))
    await eventually(async () => {
      await post()
      return lines.includes('the configuration was not reloaded: the running one stays')
    }, SOON_MS)
    expect(asked()).toBe(`${CONTEXT} Hi`)
    expect(problems).toEqual([expect.stringMatching(/^SETTINGS\/ballast\.yaml:\d+:1: .*nonsense/)])
    const successful = async () => await metric('ballast_config_last_reload_successful')
    await eventually(async () => (await successful()) === 0, SOON_MS)
    await worker.put('ballast.yaml', yaml('', 'birds/identity-etymologist'))
    await eventually(async () => {
      await post()
      return asked() === "I'm an etymologist working for the Audubon Society. Hi"
    }, SOON_MS)
    const reloads = (outcome: string) => metric('ballast_config_reloads_total', { outcome })
    await eventually(async () => (await reloads('failed')) === 1 && (await reloads('applied')) === 1)
    await eventually(async () => (await successful()) === 1, SOON_MS)
  })

  test('that are the running ones again are refused no more', async () => {
    const { worker, post, metric } = await start(yaml())
    await post()
    const becomes = (value: number) =>
      eventually(async () => {
        await post()
        return (await metric('ballast_config_last_reload_successful')) === value
      }, SOON_MS)
    await becomes(1)
    await worker.put('ballast.yaml', yaml('nonsense: 1\n'))
    await becomes(0)
    await worker.put('ballast.yaml', yaml())
    await becomes(1)
  })

  test('that cannot be served by are an error in the shape of OpenAI, and not ready', async () => {
    const { worker, post, lines } = await start('upstreams: {}\n')
    const { response, text } = await post()
    expect([response.status, JSON.parse(text).error.code]).toEqual([500, 'ballast_internal'])
    expect((await fetch(`${worker.url}readyz`)).status).toBe(503)
    expect((await fetch(`${worker.url}healthz`)).status).toBe(200)
    expect(lines).toContain('there is no configuration to serve by')
  })

  test('are the bundled ones where there are none, with its secrets', async () => {
    const environment = {
      BALLAST_ADMIN_TOKEN: 'a-token-of-the-admin',
      BALLAST_CLIENT_KEY: 'a-key-of-the-client',
      OPENAI_API_KEY: 'sk-of-the-provider',
    }
    const { worker } = await start(null, { environment })
    expect((await fetch(`${worker.url}readyz`)).status).toBe(200)
    expect((await fetch(`${worker.url}v1/models`)).status).toBe(401)
  })
})

describe('the metrics of a Worker', () => {
  test('tell of the judge from the start, and of nothing that only one isolate knows', async () => {
    const judge = 'judge: {upstream: p, model: judge-1, requests_per_minute: 60, tokens_per_day: 1000}\n'
    const { worker } = await start(yaml(judge))
    const text = await (await fetch(`${worker.url}metrics`)).text()
    const lines = text.split('\n')
    const of = (name: string) => lines.filter((line) => line.startsWith(name)).sort()
    expect(of('ballast_judge_breaker_open')).toContain('ballast_judge_breaker_open{model="judge-1"} 0')
    expect(of('ballast_judge_budget_remaining{model="judge-1"')).toEqual([
      'ballast_judge_budget_remaining{model="judge-1",kind="requests"} 60',
      'ballast_judge_budget_remaining{model="judge-1",kind="tokens"} 1000',
    ])
    for (const name of ['ballast_upstream_breaker_open', 'ballast_requests_in_flight', 'ballast_worker'])
      expect(of(name)).toEqual([])
  })

  test('tell of no judge where there is none', async () => {
    const { worker } = await start(yaml())
    const text = await (await fetch(`${worker.url}metrics`)).text()
    expect(text).not.toMatch(/^ballast_judge_(breaker_open|budget_remaining)/m)
  })
})

describe('the control plane of a Worker', () => {
  test('asks for the token before it tells anything but health', async () => {
    const { worker } = await start(yaml('admin: {token: a-token-of-the-admin}\n'))
    const status = async (path: string, headers: Record<string, string> = {}) =>
      (await fetch(worker.url + path, { headers })).status
    const given = { authorization: 'Bearer a-token-of-the-admin' }
    for (const path of ['metrics', 'api/config', 'api/experiments'])
      expect([path, await status(path), await status(path, given)]).toEqual([path, 401, 200])
    for (const path of ['', 'api/samples'])
      expect([path, await status(path), await status(path, given)]).toEqual([path, 401, 404])
    expect([await status('healthz'), await status('readyz')]).toEqual([200, 200])
  })

  test('without a token answers this machine only', async () => {
    const { worker } = await start(yaml())
    const { port } = new URL(worker.url)
    const { request } = await import('node:http')
    const status = (host: string) =>
      new Promise<number | undefined>((resolve) =>
        request({ port, path: '/metrics', headers: { host } }, (response) => {
          response.resume()
          resolve(response.statusCode)
        }).end(),
      )
    expect([await status('localhost'), await status('ballast.example.workers.dev')]).toEqual([200, 403])
  })
})

describe('a Worker', () => {
  test('assigns units beyond ASCII as Node does', async () => {
    const arms = 'arms: {a: {weight: 1}, b: {weight: 1}}'
    const { post } = await start(yaml().replace(/arms: .*/, arms))
    for (const unit of ['Zoë', '東京', 'reader-1', 'reader-2', 'reader-3']) {
      const sent = Buffer.from(unit).toString('latin1')
      const { response } = await post({ 'x-ballast-unit': sent })
      const expected = fraction(`e::${unit}`) < 0.5 ? 'a' : 'b'
      expect([unit, response.headers.get('x-ballast-arm')]).toEqual([unit, expected])
    }
  })
})
