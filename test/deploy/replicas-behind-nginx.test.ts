/**
 * Many machines: three proxies and a judge, each a process of its own, on one Postgres behind the real nginx. One proxy is
 * killed and one drained under load. That arms switched off by rules or people are so on every replica within seconds is in
 * `test/evidence/acting-replicas.test.ts`.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { eventually, metricValue, startTestBallast, startTestUpstream } from '../support/ballast.ts'
import { ballast, configFile } from '../support/command.ts'
import { checkNginx, nginx, startNginx } from '../support/nginx.ts'
import { postgres, usePostgres } from '../support/postgres.ts'
import { describeWith } from '../support/requires.ts'
import { completion, eventStream, json } from '../support/upstream.ts'

const KEY = 'key-of-the-web-client'
const AT_A_TIME = 24
const WARM_UP = 60
const UNDER_LOAD = 600
/** Of the requests under load, when one replica is killed and another told to end. */
const KILLED_AT = 150
const DRAINED_AT = 350

const yaml = (store: string, provider: string, judge: string) => `
listen: 127.0.0.1:0
admin: {listen: 127.0.0.1:0}
store: "${store}"
clients: [{name: web, key: ${KEY}}]
upstreams:
  provider: {base_url: "${provider}"}
  judge: {base_url: "${judge}"}
routes: [{model: "*", upstream: provider, experiment: birds}]
experiments:
  birds:
    arms: {control: {weight: 1}, etymologist: {weight: 1, policy: birds/identity-etymologist}}
    check: nineteenth-century
    sample: 1
judge: {upstream: judge, model: judge-1, concurrency: 16}
`
const STREAM = eventStream([{ content: 'By ' }, { content: 'train' }, { content: '.' }])
const EVENTS = STREAM.split(/(?<=\n\n)/)

interface Answered {
  readonly test: string
  readonly requestId: string | null
  /** Null: a whole, good answer. */
  readonly failure: string | null
}

describeWith(nginx, 'deploy/nginx/ballast.conf', () => {
  test('passes nginx -t', async () => {
    expect(await checkNginx()).toEqual({ code: 0, text: expect.stringContaining('test is successful') })
  })

  test("passes a stream's events as they come, and a client that leaves ends the call to the provider", async () => {
    let next = () => {}
    const provider = await startTestUpstream(async (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      for (const event of EVENTS) {
        response.write(event)
        await new Promise<void>((resolve) => {
          next = resolve
        })
      }
    })
    const one = await startTestBallast(
      `store: memory\nclients: [{name: web, key: ${KEY}}]\nupstreams: {p: {base_url: "${provider.url}"}}\nroutes: [{model: "*", upstream: p}]\n`,
    )
    const port = Number(new URL(one.url).port)
    const front = await startNginx([port, port, port])
    const leaving = new AbortController()
    const response = await fetch(`${front.url}/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${KEY}` },
      body: '{"model": "m", "stream": true, "messages": []}',
      signal: leaving.signal,
    })
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    for (const event of EVENTS.slice(0, 3)) {
      expect((await reader.read()).value).toBe(event)
      next()
    }
    leaving.abort()
    await reader.read().catch(() => {})
    await provider.requests[0]!.aborted
  })

  describeWith(postgres, 'before three replicas on one Postgres', () => {
    const server = usePostgres()

    test('loses no request that was not sent to the replica that was killed, and every row is in the metrics', async () => {
      let release = () => {}
      const provider = await startTestUpstream(async (request, response) => {
        const { stream, user } = JSON.parse(request.body.toString()) as { stream?: boolean; user: string }
        await sleep(15)
        if (stream !== true) return json(response, 200, completion(`By train, ${user}.`))
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        for (const event of EVENTS) {
          response.write(event)
          await sleep(8)
          if (user === 'held')
            await new Promise<void>((resolve) => {
              release = resolve
            })
        }
        response.end()
      })
      const judge = await startTestUpstream((_request, response) => json(response, 200, completion('LLM')))
      const database = await server().database()
      const config = configFile(yaml(database, provider.url, judge.url))
      const replicas = await Promise.all(
        ['killed', 'drained', 'lasting'].map(async (name) => {
          const process = ballast(['serve', '--no-judge', '--no-watch', '--config', config])
          const started = (await process.says(/^\{.*ballast serves.*$/m))[0]
          const { url, admin } = JSON.parse(started) as { url: string; admin: string }
          const metrics = async () => await (await fetch(`${admin}/metrics`)).text()
          return {
            ...process,
            name,
            url,
            address: new URL(url).host,
            port: Number(new URL(url).port),
            metrics,
          }
        }),
      )
      const [killed, drained, lasting] = replicas as [
        (typeof replicas)[0],
        (typeof replicas)[0],
        (typeof replicas)[0],
      ]
      const judges = ballast(['judge', '--no-watch', '--listen', '127.0.0.1:0', '--config', config])
      const judgeAdmin = (await judges.says(/"admin":"([^"]+)"/))[1]!
      const front = await startNginx(replicas.map(({ port }) => port))

      let asked = 0
      const ask = async (url: string, user: string, stream: boolean): Promise<Answered> => {
        const headers = { authorization: `Bearer ${KEY}`, 'x-test-request': user }
        const body = JSON.stringify({
          model: 'm',
          user,
          stream,
          messages: [{ role: 'user', content: `Hi ${user}` }],
        })
        try {
          const response = await fetch(`${url}/chat/completions`, { method: 'POST', headers, body })
          const requestId = response.headers.get('x-ballast-request-id')
          const text = await response.text()
          const whole = stream ? text === STREAM : text.includes(`By train, ${user}.`)
          const failure = response.status === 200 && whole ? null : `${response.status} ${text}`
          return { test: user, requestId, failure }
        } catch (error) {
          return { test: user, requestId: null, failure: String((error as Error).cause ?? error) }
        }
      }
      const load = async (count: number, at: Readonly<Record<number, () => void>> = {}) => {
        const answers: Answered[] = []
        let left = count
        const worker = async () => {
          while (left > 0) {
            left--
            at[count - left]?.()
            const number = asked++
            answers.push(await ask(front.url, `u${number}`, number % 2 === 1))
          }
        }
        await Promise.all(Array.from({ length: AT_A_TIME }, worker))
        return answers
      }
      const stored = (text: string) => metricValue(text, 'ballast_samples_total', { outcome: 'stored' })
      const rows = async (sql: string) => await server().query(database, sql)
      const count = async (sql: string) => Number((await rows(sql))[0]!.n)
      const samples = () => count('select count(*) as n from ballast.samples')
      const sum = async (from: readonly (() => Promise<string>)[], value: (text: string) => number) =>
        (await Promise.all(from.map((metrics) => metrics()))).map(value).reduce((a, b) => a + b, 0)

      // With all three there, the metrics of all add up to the rows.
      const all = replicas.map(({ metrics }) => metrics)
      expect((await load(WARM_UP)).filter(({ failure }) => failure !== null)).toEqual([])
      await eventually(async () => (await sum(all, stored)) === WARM_UP)
      expect(await samples()).toBe(WARM_UP)
      const exposed = (text: string) => metricValue(text, 'ballast_exposures_total')
      expect(await sum(all, exposed)).toBe(WARM_UP)
      await eventually(
        async () => (await count('select sum(exposures) as n from ballast.exposures')) === WARM_UP,
      )
      for (const { address } of replicas)
        expect(front.log().some(({ upstreams }) => upstreams.includes(address))).toBe(true)

      // A stream that runs on while its replica is drained.
      const held = ask(drained.url, 'held', true)
      await eventually(() => provider.requests.some(({ body }) => body.includes('"held"')))
      const answers = await load(UNDER_LOAD, {
        [KILLED_AT]: () => void killed.child.kill('SIGKILL'),
        [DRAINED_AT]: () => void drained.child.kill('SIGTERM'),
      })
      const lines = new Map(front.log().map((line) => [line.test, line]))
      const sentTo = (test: string) => lines.get(test)?.upstreams ?? []
      const failed = answers.filter(({ failure }) => failure !== null)
      const lost = failed.filter(({ test }) => !sentTo(test).includes(killed.address))
      expect(lost.map((it) => ({ ...it, line: lines.get(it.test), errors: front.errors() }))).toEqual([])
      // They are few: those whose answers had begun.
      expect(failed.length).toBeLessThanOrEqual(AT_A_TIME)
      expect(answers).toHaveLength(UNDER_LOAD)
      // What came later went to the one that lasts.
      expect(sentTo(`u${asked - 1}`)).toContain(lasting.address)

      // Every answer of a replica that was not killed is counted by it and is a row; the other rows are the killed one's.
      const by = (address: string) =>
        [...lines.values()].filter(
          ({ upstreams, status }) => upstreams.at(-1) === address && status === '200',
        )
      const others = [drained.metrics, lasting.metrics]
      const expected = by(drained.address).length + by(lasting.address).length
      await eventually(async () => (await sum(others, stored)) >= expected)
      expect(await sum(others, stored)).toBe(expected)
      // An exposure is counted when the request is sent, so the stream's is there.
      expect(await sum(others, exposed)).toBe(expected + 1)
      // So is that of the stream, which ends whole, and then the drained one ends.
      for (let event = 0; event < EVENTS.length; event++) {
        release()
        await sleep(40)
      }
      const last = await held
      expect(last.failure).toBe(null)
      expect((await drained.finished).code).toBe(0)
      expect(drained.child.signalCode).toBe(null)
      const ids = new Set((await rows('select id from ballast.samples')).map(({ id }) => id as string))
      const ofOthers = [...by(drained.address), ...by(lasting.address)].map(({ requestId }) => requestId)
      expect([...ofOthers, last.requestId].filter((id) => !ids.has(id!))).toEqual([])
      for (const id of [...ofOthers, last.requestId]) ids.delete(id!)
      const ofKilled = new Set(by(killed.address).map(({ requestId }) => requestId))
      expect([...ids].filter((id) => !ofKilled.has(id))).toEqual([])

      // The judge, which nobody killed, has counted a verdict for every row, and the rates are those of the rows.
      const verdicts = async () => await (await fetch(`${judgeAdmin}/metrics`)).text()
      const total = await samples()
      await eventually(async () => metricValue(await verdicts(), 'ballast_verdicts_total') === total)
      expect(await count('select count(*) as n from ballast.verdicts')).toBe(total)
      const exposures = await count('select sum(exposures) as n from ballast.exposures')
      expect(exposures).toBeGreaterThanOrEqual(total)
      expect(exposures).toBeLessThanOrEqual(answers.length + WARM_UP + 1)
    }, 180_000)
  })
})
