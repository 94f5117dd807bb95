/** The kill switch behind the page: who may throw it, what is kept of it, and that every replica follows. */
import { mkdtempSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { ShownExperiment } from '../../src/http/api/api.ts'
import { eventually } from '../support/ballast.ts'
import { CONTROL_YAML, command, type Stand, startStand, TOKEN } from '../support/control.ts'

const ARM = '/api/experiments/birds/arms/etymologist'

const shown = async (stand: Stand) =>
  (await (await stand.admin('/api/experiments/birds')).json()) as ShownExperiment

/** What reached the model last, as a text. */
const sent = ({ upstream }: Stand) => upstream.requests.at(-1)!.body.toString()

/** A unit of the treated arm: its request carries the context. */
async function treatedUnit(stand: Stand): Promise<string> {
  for (let index = 0; index < 50; index++) {
    const user = `u-${index}`
    await stand.ask('Hi', user, 'ft:unjudged')
    if (stand.upstream.requests.some(({ body }) => body.includes(user) && body.includes('Audubon')))
      return user
  }
  throw new Error('no unit was treated')
}

/** What reaches the model last is a request, then, and no question of the judge. */
const unjudged = CONTROL_YAML.replaceAll('sample: 1', 'sample: 0')

describe('switching an arm off by the page', () => {
  test('ends its injection here at once, and on another replica within seconds; who and why is kept', async () => {
    const yaml = `store: "sqlite:${join(mkdtempSync(join(tmpdir(), 'ballast-')), 'shared.db')}"\n${unjudged}`
    const [one, other] = [await startStand({ yaml, token: true }), await startStand({ yaml, token: true })]
    const unit = await treatedUnit(one)
    await other.ask('Hi', unit)
    expect(sent(other)).toContain('Audubon')

    const response = await one.admin(ARM, command('off', { reason: 'complaints about its tone', who: 'Ada' }))
    expect([response.status, await response.json()]).toEqual([
      200,
      {
        at: expect.any(String),
        arm: 'etymologist',
        action: 'off',
        by: 'person',
        reason: 'complaints about its tone (Ada, on the page)',
      },
    ])
    await one.ask('Hi', unit)
    expect(sent(one)).not.toContain('Audubon')
    await eventually(async () => {
      await other.ask('Hi', unit)
      return !sent(other).includes('Audubon')
    })
    const { arms, history } = await shown(other)
    expect(arms.map(({ state: { state, by, reason }, actions }) => [state, by, reason, actions])).toEqual([
      ['on', null, null, ['off', 'promote']],
      ['off', 'person', 'complaints about its tone (Ada, on the page)', ['on']],
    ])
    expect(history.map(({ arm, action }) => [arm, action])).toEqual([['etymologist', 'off']])

    expect((await other.admin(ARM, command('on'))).status).toBe(200)
    await other.ask('Hi', unit)
    expect(sent(other)).toContain('Audubon')
  })

  test('is refused where the configuration has it off, and where it is off already', async () => {
    const yaml = `store: memory\n${CONTROL_YAML.replace('{weight: 1, policy', '{weight: 1, off: true, policy')}`
    const stand = await startStand({ yaml })
    const on = await stand.admin(ARM, command('on'))
    expect([on.status, await on.text()]).toEqual([409, expect.stringContaining('off in the configuration')])
    expect((await stand.admin(ARM, command('off'))).status).toBe(409)
    expect((await shown(stand)).arms[1]!.actions).toEqual([])
    expect((await shown(stand)).history).toEqual([])
  })
})

describe('who may switch an arm', () => {
  /** With headers that `fetch` does not let anybody set. */
  const post = (stand: Stand, headers: Record<string, string>) =>
    new Promise<number>((resolve, reject) => {
      const url = new URL(ARM, stand.ballast.adminUrl)
      const sending = request(
        url,
        { method: 'POST', headers: { 'content-type': 'application/json', ...headers } },
        (it) => {
          it.resume()
          resolve(it.statusCode!)
        },
      )
      sending.on('error', reject)
      sending.end(command('off').body)
    })
  const done = async (stand: Stand) => (await shown(stand)).history.length

  test('with a token: who has it, from a program or from the page itself, and no foreign page', async () => {
    const stand = await startStand({ token: true })
    const basic = `Basic ${btoa(`ballast:${TOKEN}`)}`
    const own = stand.ballast.adminUrl
    expect(await post(stand, {})).toBe(401)
    expect(await post(stand, { authorization: 'Bearer wrong-token' })).toBe(401)
    // A browser sends what it was signed in with along, whichever page asks.
    const foreign: Record<string, string>[] = [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: own.replace(/\d+$/, '1') },
      { origin: own, 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'none' },
    ]
    for (const headers of foreign)
      expect([headers, await post(stand, { authorization: basic, ...headers })]).toEqual([headers, 403])
    expect(await post(stand, { authorization: basic, origin: own, 'content-type': 'text/plain' })).toBe(415)
    expect(await done(stand)).toBe(0)

    expect(await post(stand, { authorization: `Bearer ${TOKEN}` })).toBe(200)
    expect((await stand.admin(ARM, command('on'))).status).toBe(200)
    expect(await post(stand, { authorization: basic, origin: own })).toBe(200)
    expect((await stand.admin(ARM, command('on'))).status).toBe(200)
    // Behind a server that ends TLS, the host is not the one that the browser knows.
    const outside = { origin: 'https://ballast.example', 'sec-fetch-site': 'same-origin' }
    expect(await post(stand, { authorization: basic, ...outside })).toBe(200)
  })

  test('without a token, on localhost: everybody there, and no foreign page', async () => {
    const stand = await startStand()
    expect(await post(stand, { origin: 'https://evil.example' })).toBe(403)
    expect(await post(stand, { host: 'evil.example' })).toBe(403)
    // Another server on this machine is local, and yet another page.
    expect(await post(stand, { origin: 'http://127.0.0.1:1' })).toBe(403)
    expect(await done(stand)).toBe(0)
    expect(await post(stand, {})).toBe(200)
  })
})
