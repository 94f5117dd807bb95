/**
 * Kills proxies and judges (SIGKILL) while they work, again and again, before a judge model that fails as it likes. What is
 * stored must have one verdict each in the end, the right one, and the report must say the same as the rows.
 */
import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import PQueue from 'p-queue'
import { describe, expect, test } from 'vitest'
import { seeded } from '../bench/random.ts'
import type { Report } from '../src/domain/report.ts'
import { eventually, metricValue, startTestUpstream } from './support/ballast.ts'
import { ballast, configFile } from './support/command.ts'
import { type CrashStore, postgresCrashStore, sqliteCrashStore } from './support/crash-stores.ts'
import { postgres, usePostgres } from './support/postgres.ts'
import { describeWith } from './support/requires.ts'
import { completion, json } from './support/upstream.ts'

const REQUESTS = 2_000
const KILLS = 20
const SEED = 7
const CLIENTS = 12
/** So many answers are in danger at a time; what a busy machine cannot store meanwhile would be dropped, and counted. */
const ROUND = 50

const yaml = (upstream: string, judge: string, store: string) => `
listen: 127.0.0.1:0
admin: {listen: "127.0.0.1:0"}
store: "${store}"
upstreams: {p: {base_url: "${upstream}", retries: 0}, j: {base_url: "${judge}"}}
routes: [{model: "*", upstream: p, experiment: birds}]
experiments:
  birds:
    unit: [user]
    arms: {control: {weight: 1}, etymologist: {weight: 1, policy: birds/identity-etymologist}}
    check: nineteenth-century
    sample: 1
judge: {upstream: j, model: judge-1, concurrency: 16, timeout: 300ms}
`

interface Chat {
  readonly messages: readonly { readonly content: string }[]
}

/** A judge model that knows, and mostly says so: the others are errors, silence, and half an answer. */
async function startJudgeModel(random: () => number) {
  const fail = (response: ServerResponse): boolean => {
    const chance = random()
    if (chance < 0.06) json(response, 500, { error: { message: 'no' } })
    else if (chance < 0.09) response.write('{"cho', () => response.destroy())
    else if (chance < 0.11) response.destroy()
    else return chance < 0.13
    return true
  }
  return await startTestUpstream(async ({ body }, response) => {
    if (fail(response)) return
    await sleep(5 + 40 * random())
    const { messages } = JSON.parse(body.toString()) as Chat
    const index = Number(/answer (\d+)/.exec(messages[0]!.content)![1])
    json(response, 200, completion(index % 3 === 0 ? '19' : 'LLM'))
  })
}

/** A command that is killed and started again. */
class Mortal {
  private readonly args: readonly string[]
  private readonly ready: RegExp
  private running: ReturnType<typeof ballast> | null = null
  started: Promise<{ url: string; admin: string }>

  constructor(args: readonly string[], ready: RegExp) {
    this.args = args
    this.ready = ready
    this.started = this.start()
  }

  kill(): void {
    this.running!.child.kill('SIGKILL')
    this.started = this.start()
  }

  private async start(): Promise<{ url: string; admin: string }> {
    this.running = ballast(this.args)
    return JSON.parse((await this.running.says(this.ready))[0]) as { url: string; admin: string }
  }
}

/** Resolves when a proxy has stored what it has answered, or is no more. */
async function stored({ admin }: { admin: string }): Promise<void> {
  const text = () =>
    fetch(`${admin}/metrics`).then(
      (response) => response.text(),
      () => null,
    )
  await eventually(async () => {
    const metrics = await text()
    return (
      metrics === null ||
      metricValue(metrics, 'ballast_samples_total') === metricValue(metrics, 'ballast_exposures_total')
    )
  })
}

describe('on SQLite', () => {
  crashing(async () => sqliteCrashStore())
})

describeWith(postgres, 'on Postgres', () => {
  const server = usePostgres()
  crashing(() => postgresCrashStore(server()))
})

function crashing(open: () => Promise<CrashStore>): void {
  test(`${KILLS} kills cost no stored sample its verdict, and give none two`, async () => {
    const random = seeded(SEED)
    const { url: store, query } = await open()
    const provider = await startTestUpstream(({ body }, response) => {
      const { messages } = JSON.parse(body.toString()) as Chat
      json(response, 200, completion(`answer ${/\d+/.exec(messages.at(-1)!.content)![0]}`))
    })
    const judgeModel = await startJudgeModel(random)
    const file = configFile(yaml(provider.url, judgeModel.url, store))
    const proxy = new Mortal(['serve', '--config', file, '--no-judge'], /^\{.*ballast serves.*$/m)
    await proxy.started
    const judge = new Mortal(
      ['judge', '--config', file, '--listen', '127.0.0.1:0'],
      /^\{.*ballast judges.*$/m,
    )
    await judge.started

    const points = Array.from({ length: KILLS }, () => Math.floor(random() * REQUESTS)).sort((a, b) => a - b)
    let answered = 0
    let killed = 0
    const ask = async (index: number) => {
      for (;;) {
        try {
          const { url } = await proxy.started
          const body = {
            model: 'm',
            user: `user-${index}`,
            messages: [{ role: 'user', content: `Say ${index}` }],
          }
          const init = { method: 'POST', body: JSON.stringify(body) }
          const response = await fetch(`${url}/chat/completions`, init)
          await response.text()
          if (response.status === 200) break
        } catch {
          // It was killed; another one comes.
          await sleep(5)
        }
      }
      answered++
    }
    const clients = new PQueue({ concurrency: CLIENTS })
    for (let index = 0; index < REQUESTS; index++) {
      void clients.add(async () => {
        await ask(index)
        while (killed < KILLS && answered >= points[killed]!) {
          const victim = killed++ % 2 === 0 ? judge : proxy
          await victim.started
          await sleep(200 * random())
          victim.kill()
        }
      })
      if (index % ROUND !== ROUND - 1) continue
      await clients.onIdle()
      await stored(await proxy.started)
    }
    await Promise.all([proxy.started, judge.started])
    expect([answered, killed]).toEqual([REQUESTS, KILLS])

    const number = async (sql: string) => Number(Object.values((await query(sql))[0]!)[0])
    const waiting = () => number('select count(*) from samples where done = 0')
    await eventually(async () => (await waiting()) === 0)
    const samples = await number('select count(*) from samples')
    // Lost with a proxy: what it had answered and not stored yet, at most a round and what was under way.
    expect(samples).toBeGreaterThan(REQUESTS - (KILLS / 2) * (ROUND + CLIENTS))
    expect(await number('select count(*) from verdicts')).toBe(samples)
    expect(await number('select count(distinct sample_id) from verdicts')).toBe(samples)

    const judged = await query(
      'select samples.arm, samples.answer, verdicts.verdict from verdicts join samples on samples.id = verdicts.sample_id',
    )
    const wrong = judged.filter(({ answer, verdict }) => {
      const index = Number(/\d+/.exec(String(answer))![0])
      return verdict !== (index % 3 === 0 ? 'positive' : 'negative')
    })
    expect(wrong).toEqual([])

    const { admin } = await proxy.started
    const [report] = (await (await fetch(`${admin}/api/experiments`)).json()) as Report[]
    for (const { arm, samples, exposures, verdicts } of report!.arms) {
      const own = judged.filter((row) => row.arm === arm)
      const count = (kind: string) => own.filter(({ verdict }) => verdict === kind).length
      expect(samples).toBe(own.length)
      expect(verdicts).toEqual({
        positive: count('positive'),
        negative: count('negative'),
        excluded: 0,
        unparsed: 0,
        error: 0,
      })
      // No sample is known of an arm whose exposure is not.
      expect(exposures).toBeGreaterThanOrEqual(samples)
    }
  }, 240_000)
}
