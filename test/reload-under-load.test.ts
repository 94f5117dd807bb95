/** The promise of a reload: while the configuration changes under traffic, every request runs through a whole one. */
import { once } from 'node:events'
import { request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { startTestUpstream } from './support/ballast.ts'
import { startReloading } from './support/reloading.ts'

const RATE = 200
const CHANGES = 20

/** A version shows in four places: the client's key, the injected text, the upstream's key and its path. */
const yaml = (version: number, upstream: string) => `
store: memory
expose: true
policies: [./policies]
clients: [{name: all, key: client-key}, {name: v${version}, key: key-of-v${version}}]
upstreams:
  provider: {base_url: "${upstream}/version-${version}", api_key: upstream-version-${version}}
routes: [{model: "*", upstream: provider, policy: versions/v${version}}]
`
const POLICIES = `policies:\n${Array.from(
  { length: CHANGES + 1 },
  (_, version) =>
    `  - {id: v${version}, interventions: [{placement: user-prepend, text: "injected-version-${version}"}]}\n`,
).join('')}`

/** Each broken in another way; none may ever serve. */
const BREAK: readonly ((text: string) => string)[] = [
  (text) => text.replace('routes: [', 'routes: '),
  (text) => text.replace('expose', 'expsoe'),
  (text) => text.replace(/policy: versions\/v\d+/, 'policy: versions/none'),
  (text) => text.replace('store: memory', 'store: sqlite:./other.db'),
  () => '',
]

interface Outcome {
  readonly status: number
  readonly policy: string | undefined
  readonly body: string
}

describe('reload under load', () => {
  test(`${RATE} requests a second through ${CHANGES} changes, 5 of them broken`, async () => {
    const upstream = await startTestUpstream(async ({ url, headers, body }, response) => {
      const text = (JSON.parse(body.toString()) as { messages: { content: string }[] }).messages[0]!.content
      const seen = [
        /version-\d+/.exec(url)?.[0],
        /version-\d+/.exec(headers.authorization ?? '')?.[0],
        /version-\d+/.exec(text)?.[0],
      ]
      if (!text.includes('slowly')) return void response.end(seen.join(' '))
      // Over one or two reloads.
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(`${seen[0]} `)
      await sleep(400)
      response.end(`${seen[1]} ${seen[2]}`)
    })
    const reloading = await startReloading(yaml(0, upstream.url), {
      files: { 'policies/versions.yaml': POLICIES },
    })
    const { ballast, outcomes, change } = reloading
    const url = new URL(`${ballast.url}/chat/completions`)

    const ask = async (slowly: boolean): Promise<Outcome> => {
      const body = JSON.stringify({
        model: 'm',
        stream: slowly,
        messages: [{ role: 'user', content: slowly ? 'slowly' : 'at once' }],
      })
      const sent = request(url, {
        method: 'POST',
        headers: { authorization: 'Bearer client-key', 'content-length': body.length },
      })
      // The body comes later than the head: what the request begins with counts.
      sent.flushHeaders()
      setTimeout(() => sent.end(body), Math.random() * 20)
      const [response] = (await once(sent, 'response')) as [import('node:http').IncomingMessage]
      let text = ''
      for await (const chunk of response) text += chunk
      return {
        status: response.statusCode!,
        policy: response.headers['x-ballast-policy'] as string,
        body: text,
      }
    }

    let changing = true
    const answers: Promise<Outcome>[] = []
    const begun = performance.now()
    const traffic = (async () => {
      while (changing) {
        const due = ((performance.now() - begun) / 1000) * RATE
        while (answers.length < due) answers.push(ask(answers.length % 20 === 0))
        await sleep(5)
      }
    })()

    for (let index = 0; index < CHANGES; index++) {
      const text = yaml(index + 1, upstream.url)
      if (index % 4 === 3) await change(BREAK[(index - 3) / 4]!(text), 'failed')
      else await change(text)
      await sleep(100)
    }
    changing = false
    await traffic
    const seconds = (performance.now() - begun) / 1000
    const all = await Promise.all(answers)

    expect(all.length).toBeGreaterThanOrEqual(Math.floor(seconds * RATE * 0.9))
    expect(all.filter(({ status }) => status !== 200)).toEqual([])
    const versions = all.map(({ policy, body }) => [
      ...new Set([...body.split(' '), policy?.replace('versions/v', 'version-')]),
    ])
    expect(versions.filter((seen) => seen.length !== 1)).toEqual([])
    // The first version and the fifteen good ones, each in use; a broken one never.
    const used = new Set(versions.flat())
    const good = Array.from({ length: CHANGES + 1 }, (_, version) => version).filter(
      (it) => it % 4 !== 0 || it === 0,
    )
    expect([...used].sort()).toEqual(good.map((version) => `version-${version}`).sort())
    expect(await outcomes()).toEqual({ applied: 15, failed: 5, unchanged: 0 })
  })
})
