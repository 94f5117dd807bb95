/** What a Worker serves by, and how it is changed while it runs; and what only a Worker does of the control plane. */
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Log } from '../../src/domain/ports.ts'
import { fraction } from '../../src/policy/assign.ts'
import { eventually, metricValue, startTestUpstream } from '../support/ballast.ts'
import { completion, json } from '../support/upstream.ts'
import { startWorker } from '../support/worker.ts'

const CONTEXT = 'My name is Alex.'
/** What was read is used for five seconds. */
const SOON_MS = 15_000

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

async function start(text: string | null, environment: Record<string, string> = {}) {
  const upstream = await startTestUpstream((_request, response) => json(response, 200, completion('hello')))
  const lines: string[] = []
  const method = (_fields: unknown, message: string) => void lines.push(message)
  const log: Log = { debug: method, info: method, warn: method, error: method }
  const secrets = { UPSTREAM: upstream.url, KEY: 'sk-upstream', ...environment }
  const worker = await startWorker({ yaml: text, environment: secrets, log })
  onTestFinished(() => worker.dispose())
  const post = async (headers: Record<string, string> = {}) => {
    const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'Hi' }] })
    const response = await fetch(`${worker.url}v1/chat/completions`, { method: 'POST', headers, body })
    return { response, text: await response.text() }
  }
  /** What the model was last asked. */
  const asked = () => JSON.parse(upstream.requests.at(-1)!.body.toString()).messages[0].content as string
  return { upstream, worker, post, asked, lines }
}

describe('the settings of a Worker', () => {
  test('switch an arm off and on again while it runs', { timeout: 60_000 }, async () => {
    const { worker, post, asked, lines } = await start(yaml())
    await post()
    expect(asked()).toBe(`${CONTEXT} Hi`)
    const becomes = (content: string) =>
      eventually(async () => {
        await post()
        return asked() === content
      }, SOON_MS)
    await worker.put('arms', '{"e": {"treated": "off"}}')
    await becomes('Hi')
    const text = await (await fetch(`${worker.url}metrics`)).text()
    expect(metricValue(text, 'ballast_arm_off', { experiment: 'e', arm: 'treated', by: 'person' })).toBe(1)
    await worker.put('arms', '{"e": {"treated": "on"}}')
    await becomes(`${CONTEXT} Hi`)
    await worker.put('arms', '{"e": {"treated": "of"}}')
    await eventually(async () => {
      await post()
      return lines.includes('what was done to arms could not be read: they stay as they are')
    }, SOON_MS)
    expect(asked()).toBe(`${CONTEXT} Hi`)
  })

  test('change the configuration while it runs, but not to one that is wrong', {
    timeout: 60_000,
  }, async () => {
    const { worker, post, asked, lines } = await start(yaml())
    await post()
    await worker.put('ballast.yaml', yaml('nonsense: 1\n'))
    await eventually(async () => {
      await post()
      return lines.includes('the configuration was not reloaded: the running one stays')
    }, SOON_MS)
    expect(asked()).toBe(`${CONTEXT} Hi`)
    await worker.put('ballast.yaml', yaml('', 'birds/identity-etymologist'))
    await eventually(async () => {
      await post()
      return asked() === "I'm an etymologist working for the Audubon Society. Hi"
    }, SOON_MS)
    await eventually(async () => {
      const text = await (await fetch(`${worker.url}metrics`)).text()
      const reloads = (outcome: string) => metricValue(text, 'ballast_config_reloads_total', { outcome })
      return reloads('failed') === 1 && reloads('applied') === 1
    })
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
    const { worker } = await start(null, {
      BALLAST_ADMIN_TOKEN: 'a-token-of-the-admin',
      BALLAST_CLIENT_KEY: 'a-key-of-the-client',
      OPENAI_API_KEY: 'sk-of-the-provider',
    })
    expect((await fetch(`${worker.url}readyz`)).status).toBe(200)
    expect((await fetch(`${worker.url}v1/models`)).status).toBe(401)
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
