/** More than one machine: two proxies and three judges, each a process of its own, on one Postgres. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { readFences } from '../../src/domain/fence.ts'
import { startTestUpstream } from '../support/ballast.ts'
import { ballast, configFile } from '../support/command.ts'
import { postgres, usePostgres } from '../support/postgres.ts'
import { describeWith } from '../support/requires.ts'
import { completion, json } from '../support/upstream.ts'
import { open } from './engines.ts'

const REQUESTS = 60

const yaml = (store: string, provider: string, judge: string) => `
listen: 127.0.0.1:0
admin: {listen: 127.0.0.1:0}
store: "${store}"
upstreams:
  provider: {base_url: "${provider}"}
  judge: {base_url: "${judge}", retries: 0}
routes: [{model: "*", upstream: provider, experiment: birds}]
experiments:
  birds:
    arms: {control: {weight: 1}, etymologist: {weight: 1, policy: birds/identity-etymologist}}
    check: nineteenth-century
    sample: 1
judge: {upstream: judge, model: judge-1, concurrency: 4}
`

describeWith(postgres, 'replicas on one Postgres', () => {
  const server = usePostgres()

  test('judge every sample, and none of them twice at the same time', async () => {
    const provider = await startTestUpstream((request, response) => {
      const { messages } = JSON.parse(request.body.toString()) as { messages: { content: string }[] }
      json(response, 200, completion(`echo ${messages.at(-1)!.content}`))
    })
    /** Questions being judged now, those judged at the same time as themselves, and how often each was. */
    const [asked, overlapping, times] = [new Set<string>(), new Set<string>(), new Map<string, number>()]
    const judge = await startTestUpstream(async (request, response) => {
      const { messages } = JSON.parse(request.body.toString()) as { messages: { content: string }[] }
      const question = readFences(messages[0]!.content).texts.get('QUESTION')!
      if (asked.has(question)) overlapping.add(question)
      asked.add(question)
      times.set(question, (times.get(question) ?? 0) + 1)
      await sleep(50)
      asked.delete(question)
      // Every tenth has to be tried again.
      if (question.includes('0?') && times.get(question) === 1) json(response, 500, { error: {} })
      else json(response, 200, completion('19'))
    })
    const database = await server().database()
    const config = configFile(yaml(database, provider.url, judge.url))
    const proxies = [1, 2].map(() => ballast(['serve', '--no-judge', '--no-watch', '--config', config]))
    const judges = [1, 2, 3].map(() =>
      ballast(['judge', '--no-watch', '--listen', '127.0.0.1:0', '--config', config]),
    )
    const urls = await Promise.all(proxies.map(async ({ says }) => (await says(/"url":"([^"]+)"/))[1]!))
    await Promise.all(judges.map(({ says }) => says(/ballast judges/)))
    await Promise.all(
      Array.from({ length: REQUESTS }, async (_, n) => {
        const body = JSON.stringify({
          model: 'm',
          user: `u${n}`,
          messages: [{ role: 'user', content: `Bird ${n}?` }],
        })
        const response = await fetch(`${urls[n % 2]}/chat/completions`, { method: 'POST', body })
        expect(response.status).toBe(200)
      }),
    )
    // One judge leaves in good order while samples wait: the others take what it had not begun.
    judges[2]!.child.kill('SIGTERM')
    const store = await open(database)
    const judged = async () => {
      const tallies = await store.tallies('birds', 'nineteenth-century')
      return tallies.reduce((sum, { kind, count }) => sum + (kind === 'sample' ? 0 : count), 0)
    }
    while ((await judged()) < REQUESTS) await sleep(200)
    expect((await judges[2]!.finished).code).toBe(0)
    expect([...overlapping]).toEqual([])
    expect(times.size).toBe(REQUESTS)
    expect(await judged()).toBe(REQUESTS)
    expect(await store.status()).toEqual({ depth: 0, oldestAt: null })
    for (const { child } of [...proxies, ...judges]) child.kill('SIGTERM')
    for (const { finished } of [...proxies, ...judges]) {
      const { stderr } = await finished
      expect(stderr).not.toContain('SECRET')
      expect(stderr).not.toMatch(/"level":50/)
    }
    expect(asked.size).toBe(0)
  })
})
