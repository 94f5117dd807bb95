/** The back office: what its thread may do to the proxy (nothing), and what is lost when it dies (nothing). */
import { execFileSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import { noLog } from '../src/domain/ports.ts'
import { eventually, metricValue, startTestBallast, startTestUpstream } from './support/ballast.ts'
import { ballast as command, configFile } from './support/command.ts'
import { lockedElsewhere, lockStore, rows, storeFile, watchThreads } from './support/office.ts'
import { startReloading } from './support/reloading.ts'
import { completion, json } from './support/upstream.ts'

const yaml = (upstream: string, file: string, rest = '') => `
store: sqlite:${file}
upstreams: {p: {base_url: "${upstream}", retries: 0}}
routes: [{model: "*", upstream: p, experiment: birds}]
experiments:
  birds:
    arms: {control: {weight: 1}, etymologist: {weight: 1, policy: birds/identity-etymologist}}
    check: nineteenth-century
    sample: 1
judge: {upstream: p, model: judge-1, attempts: 1}
${rest}`

/** Answers clients, and as the judge. */
const provider = () =>
  startTestUpstream(({ body }, response) => {
    const { model } = JSON.parse(body.toString()) as { model: string }
    json(response, 200, completion(model === 'judge-1' ? 'LLM' : 'hello'))
  })

const ask = async (url: string, user: string, content = 'Hi') => {
  const response = await fetch(`${url}/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ model: 'm', user, messages: [{ role: 'user', content }] }),
  })
  return { status: response.status, text: await response.text() }
}

const askAll = (url: string, count: number, from = 0) =>
  Promise.all(Array.from({ length: count }, (_, index) => ask(url, `user-${from + index}`)))

const stored = (file: string) => rows(file, 'select id from samples').length
const exposed = (file: string) =>
  rows(file, 'select coalesce(sum(exposures), 0) as exposures from exposures')[0]!.exposures

/** @param log collects what is logged as errors. */
async function start(settings: { judges?: boolean; log?: string[] } = {}) {
  const [threads, upstream, file] = [watchThreads(), await provider(), storeFile()]
  const error = (_fields: unknown, message: string) => void settings.log?.push(message)
  const ballast = await startTestBallast(yaml(upstream.url, file), {}, { ...noLog, error })
  const count = async (name: string, labels: Record<string, string> = {}) =>
    metricValue(await ballast.metrics(), name, labels)
  return { ballast, threads, upstream, file, count }
}

describe('a thread that dies', () => {
  test('is replaced, with nothing lost and nothing counted twice', async () => {
    const log: string[] = []
    const { ballast, threads, file, count } = await start({ log })
    const lock = lockStore(file)
    await askAll(ballast.url, 20)
    await sleep(100)
    await threads[0]!.terminate()
    expect((await askAll(ballast.url, 20, 20)).map(({ status }) => status)).toEqual(Array(20).fill(200))
    lock.release()
    await ballast.settle()
    expect([stored(file), exposed(file)]).toEqual([40, 40])
    expect(await count('ballast_samples_total', { outcome: 'stored' })).toBe(40)
    expect(await count('ballast_samples_total')).toBe(40)
    expect(await count('ballast_verdicts_total', { verdict: 'negative' })).toBe(40)
    expect(await count('ballast_office_restarts_total')).toBe(1)
    expect(threads).toHaveLength(2)
    expect(log).toEqual(['the back office has died and is replaced; requests are served meanwhile'])
  })

  test('again and again, at any moment, loses nothing either', async () => {
    const { ballast, threads, file, count } = await start()
    for (let round = 1; round <= 4; round++) {
      const asking = askAll(ballast.url, 25, round * 25)
      await sleep(10 * round)
      await threads.at(-1)!.terminate()
      await asking
      await eventually(() => threads.length === round + 1)
    }
    await ballast.settle()
    expect(stored(file)).toBe(100)
    expect(await count('ballast_samples_total', { outcome: 'stored' })).toBe(100)
    expect(rows(file, 'select sample_id from verdicts')).toHaveLength(100)
    expect(await count('ballast_office_restarts_total')).toBe(4)
  })

  test('of one exchange each time takes that one along and no other', async () => {
    const log: string[] = []
    const { ballast, threads, file, count } = await start({ log })
    // The threads end before they have read what would kill them.
    const fragile = (thread: Worker) => {
      const post = thread.postMessage.bind(thread)
      thread.postMessage = (requests, transfer) => {
        const deadly = (requests as { argument?: { body?: Uint8Array } }[]).some(({ argument }) =>
          Buffer.from(argument?.body ?? []).includes('deadly'),
        )
        if (deadly) void thread.terminate()
        else post(requests, transfer as never)
      }
    }
    process.on('worker', fragile)
    try {
      fragile(threads[0]!)
      const lock = lockStore(file)
      await Promise.all([
        askAll(ballast.url, 5),
        ask(ballast.url, 'killer', 'deadly'),
        askAll(ballast.url, 5, 5),
      ])
      lock.release()
      await ballast.settle()
    } finally {
      process.off('worker', fragile)
    }
    expect(stored(file)).toBe(10)
    expect(await count('ballast_samples_total', { outcome: 'stored' })).toBe(10)
    expect(await count('ballast_samples_total', { outcome: 'store_error' })).toBe(1)
    expect(log).toContain('an exchange was given up: the back office died with it again and again')
  })

  test('during a reload leaves no two configurations in force', async () => {
    const [threads, upstream, file] = [watchThreads(), await provider(), storeFile()]
    const reloading = await startReloading(yaml(upstream.url, file))
    await threads[0]!.terminate()
    await reloading.change(
      yaml(upstream.url, file).replaceAll('birds:', 'owls:').replace('experiment: birds', 'experiment: owls'),
    )
    await eventually(async () => (await reloading.ballast.reports())[0]?.experiment === 'owls')
    await askAll(reloading.ballast.url, 3)
    await reloading.ballast.settle()
    expect(rows(file, 'select distinct experiment from samples')).toEqual([{ experiment: 'owls' }])
  })
})

describe('a store in trouble', () => {
  test('that cannot be opened is told, and nothing starts', async () => {
    const upstream = await provider()
    const error = await startTestBallast(yaml(upstream.url, '/no/such/folder/b.db')).catch((it: Error) => it)
    expect((error as Error).message).toBe(
      'the store sqlite:/no/such/folder/b.db cannot be opened: its folder does not exist',
    )
  })

  test('held by another process for seconds is no request’s concern', async () => {
    const { ballast, file, count } = await start()
    await askAll(ballast.url, 2)
    await ballast.settle()
    const locking = await lockedElsewhere(file, 3_000)
    let slowest = 0
    let asked = 2
    while (locking.exitCode === null) {
      const begun = performance.now()
      expect((await ask(ballast.url, `user-${asked++}`)).status).toBe(200)
      slowest = Math.max(slowest, performance.now() - begun)
      await sleep(25)
    }
    expect(asked).toBeGreaterThan(20)
    expect(slowest).toBeLessThan(1_000)
    await ballast.settle()
    expect(stored(file)).toBe(asked)
    expect(await count('ballast_samples_total', { outcome: 'stored' })).toBe(asked)
  })

  test('for longer than exchanges may wait refuses the newest and says so', async () => {
    const { ballast, file, count } = await start()
    const lock = lockStore(file)
    for (let round = 0; round < 20; round++) await askAll(ballast.url, 28, round * 28)
    expect(await count('ballast_samples_total', { outcome: 'overload' })).toBe(48)
    lock.release()
    await ballast.settle()
    expect(await count('ballast_samples_total', { outcome: 'stored' })).toBe(512)
    expect(stored(file)).toBe(512)
    expect(exposed(file)).toBe(560)
  })
})

describe('ballast serve', () => {
  async function serve(rest: string[] = []) {
    const [upstream, file] = [await provider(), storeFile()]
    const config = configFile(
      `listen: 127.0.0.1:0\nadmin: {listen: "127.0.0.1:0"}\n${yaml(upstream.url, file)}`,
    )
    const running = command(['serve', '--config', config, ...rest])
    const { url } = JSON.parse((await running.says(/^\{.*ballast serves.*$/m))[0]) as { url: string }
    return { ...running, url, file }
  }

  test('loses nothing to SIGTERM, though the store is locked when it comes', async () => {
    const { url, file, child, finished } = await serve(['--no-judge'])
    const lock = lockStore(file)
    await askAll(url, 50)
    child.kill('SIGTERM')
    await sleep(1_000)
    expect(child.exitCode).toBeNull()
    lock.release()
    expect((await finished).code).toBe(0)
    expect([stored(file), exposed(file)]).toEqual([50, 50])
    expect(rows(file, 'select * from verdicts')).toEqual([])
  })

  test('gives back at SIGTERM what it was judging, as if it had not been taken', async () => {
    const { url, file, child, finished } = await serve()
    await askAll(url, 50)
    child.kill('SIGTERM')
    expect((await finished).code).toBe(0)
    const verdicts = rows(file, 'select * from verdicts').length
    expect(stored(file)).toBe(50)
    expect(rows(file, 'select id from samples where done = 0 and attempts = 0')).toHaveLength(50 - verdicts)
  })

  test.runIf(process.platform === 'linux')(
    'steps back with the thread of its office, and no other',
    async () => {
      const { child } = await serve()
      const listed = execFileSync('ps', ['-L', '-o', 'ni=,comm=', '-p', `${child.pid}`], { encoding: 'utf8' })
      const nice = listed.split('\n').filter((line) => line.trim() !== '' && !/^\s*0\s/.test(line))
      expect(nice.map((line) => line.trim())).toEqual([expect.stringMatching(/^19\s/)])
    },
  )
})
