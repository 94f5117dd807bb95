/** Several processes behind one socket, as `ballast serve --workers` runs them: what clients, scrapes and the store see of it. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { eventually, LISTEN, metricValue, startTestUpstream } from './support/ballast.ts'
import { ballast, configFile } from './support/command.ts'
import { rows, storeFile } from './support/office.ts'
import { completion, json } from './support/upstream.ts'

const LONG = 150_000
const linux = process.platform === 'linux'

interface Settings {
  readonly upstream: string
  readonly store?: string
  readonly policy?: string
  readonly clients?: string
  readonly sample?: number
}

const yaml = ({
  upstream,
  store = 'memory',
  policy = 'generic/assistant',
  clients = '',
  sample = 0,
}: Settings) => `
${LISTEN}store: ${store}
expose: true
${clients}
limits: {drain: 10s}
upstreams: {p: {base_url: "${upstream}", retries: 0}}
routes: [{model: "*", upstream: p, experiment: e}]
experiments:
  e: {unit: [user], salt: s, without_control: true, arms: {treated: {weight: 1, policy: ${policy}}}, check: misalignment, sample: ${sample}}
judge: {upstream: p, model: judge-1}
`

async function startWorkers(text: string, workers = 2, environment: Record<string, string> = {}) {
  const file = configFile(text)
  const command = ballast(['serve', '--config', file, '--workers', `${workers}`], environment)
  const [, line] = await command.says(/^(\{.*"ballast serves"\})$/m)
  const { url, admin } = JSON.parse(line!) as { url: string; admin: string }
  const metrics = async () => {
    const response = await fetch(`${admin}/metrics`).catch((error) => {
      throw new Error(
        `it has ended, or does not answer: ${command.child.exitCode} ${command.child.signalCode} ${command.said()}`,
        { cause: error },
      )
    })
    return await response.text()
  }
  const value = async (name: string, labels: Record<string, string> = {}) =>
    metricValue(await metrics(), name, labels)
  return { ...command, file, url, admin, metrics, value }
}

const chat = (extra: Record<string, unknown> = {}) =>
  JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'Which bird?' }], ...extra })

interface Answered {
  readonly status: number
  readonly policy: string | undefined
}

/** On a connection of its own, unless an agent keeps some. Status 0: it failed. */
function ask(
  url: string,
  { agent = false, key = '', body = chat() }: { agent?: Agent | false; key?: string; body?: string } = {},
): Promise<Answered> {
  return new Promise((resolve) => {
    const headers = {
      'content-length': Buffer.byteLength(body),
      ...(key !== '' && { authorization: `Bearer ${key}` }),
    }
    const sent = request(`${url}/chat/completions`, { method: 'POST', agent, headers }, (response) => {
      response.resume()
      response.on('error', () => resolve({ status: 0, policy: undefined }))
      response.on('end', () =>
        resolve({
          status: response.statusCode!,
          policy: response.headers['x-ballast-policy'] as string | undefined,
        }),
      )
    })
    sent.on('error', () => resolve({ status: 0, policy: undefined }))
    sent.end(body)
  })
}

const hello = (policyDelayMs = 0) =>
  startTestUpstream(async (_, response) => {
    if (policyDelayMs > 0) await sleep(policyDelayMs)
    json(response, 200, completion('A wren.'))
  })

/** Asks again and again until it is told to stop. */
function load(url: string, connections: number) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const answers: Answered[] = []
  let going = true
  const running = Array.from({ length: connections }, async () => {
    while (going) answers.push(await ask(url, { agent }))
  })
  return {
    answers,
    async stop() {
      going = false
      await Promise.all(running)
      agent.destroy()
      return answers
    },
  }
}

/** Processes that a process has started. */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean)
    .map(Number)
}

const commandLine = (pid: number) => readFileSync(`/proc/${pid}/cmdline`, 'utf8')

/** Whether it runs: one that has ended and is not collected does not. */
function lives(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

describe.skipIf(!linux)('serve --workers [reads /proc, on Linux]', () => {
  test(
    'all serve behind one port, and metrics and rows add up to what was sent',
    async () => {
      const upstream = await hello()
      const store = storeFile()
      const running = await startWorkers(
        yaml({ upstream: upstream.url, store: `sqlite:${store}`, sample: 1 }),
      )
      const [before] = [await running.metrics()]
      expect(metricValue(before, 'ballast_workers', { state: 'serving' })).toBe(2)
      const cpu = (text: string, worker: string) =>
        metricValue(text, 'ballast_worker_cpu_seconds_total', { worker })
      const answers = await Promise.all(
        Array.from({ length: 200 }, (_, index) => ask(running.url, { body: chat({ user: `u${index}` }) })),
      )
      expect(answers.filter(({ status }) => status !== 200)).toEqual([])
      await eventually(async () => (await running.value('ballast_samples_total')) === 200)
      const after = await running.metrics()
      expect(metricValue(after, 'ballast_requests_total', { code: '200' })).toBe(200)
      expect(metricValue(after, 'ballast_request_duration_seconds_count')).toBe(200)
      expect(metricValue(after, 'ballast_exposures_total')).toBe(200)
      expect(metricValue(after, 'ballast_samples_total', { outcome: 'stored' })).toBe(200)
      for (const worker of ['1', '2']) expect(cpu(after, worker)).toBeGreaterThan(cpu(before, worker))
      await eventually(() => rows(store, 'select count(*) n from samples')[0]!.n === 200)
      expect(rows(store, 'select count(distinct id) n from samples')[0]!.n).toBe(200)
      running.child.kill('SIGTERM')
      expect((await running.finished).code).toBe(0)
      expect(rows(store, 'select sum(exposures) n from exposures')[0]!.n).toBe(200)
    },
    LONG,
  )

  test(
    'a reload under load is for all, counted once, and fails no request; a broken one is refused once',
    async () => {
      const upstream = await hello(5)
      const running = await startWorkers(yaml({ upstream: upstream.url }))
      const write = (text: string) => {
        writeFileSync(`${running.file}.new`, text)
        renameSync(`${running.file}.new`, running.file)
      }
      const traffic = load(running.url, 8)
      await sleep(300)
      write(yaml({ upstream: upstream.url, policy: 'birds/identity-etymologist' }))
      await eventually(
        async () => (await running.value('ballast_config_reloads_total', { outcome: 'applied' })) === 1,
      )
      const at = traffic.answers.length + 8
      await sleep(500)
      write('nonsense: true')
      running.child.kill('SIGHUP')
      await eventually(
        async () => (await running.value('ballast_config_reloads_total', { outcome: 'failed' })) >= 1,
      )
      const answers = await traffic.stop()
      expect(answers.filter(({ status }) => status !== 200)).toEqual([])
      const policies = new Set(answers.slice(at).map(({ policy }) => policy))
      expect([...policies]).toEqual(['birds/identity-etymologist'])
      expect(answers[0]!.policy).toBe('generic/assistant')
      expect(await running.value('ballast_config_reloads_total', { outcome: 'applied' })).toBe(1)
    },
    LONG,
  )

  test(
    'the kill switch reaches all before it is answered',
    async () => {
      const upstream = await hello()
      const running = await startWorkers(yaml({ upstream: upstream.url }))
      const policies = async () => {
        const answers = await Promise.all(Array.from({ length: 12 }, () => ask(running.url)))
        return [...new Set(answers.map(({ policy }) => policy))]
      }
      expect(await policies()).toEqual(['generic/assistant'])
      const response = await fetch(`${running.admin}/api/experiments/e/arms/treated`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', origin: running.admin },
        body: JSON.stringify({ action: 'off', reason: 'a test', who: 'a tester' }),
      })
      expect([response.status, await response.text()]).toEqual([200, expect.any(String)])
      expect(await policies()).not.toContain('generic/assistant')
      expect(await running.value('ballast_arm_events_total', { action: 'off' })).toBe(1)
    },
    LONG,
  )

  test(
    'a worker that is killed under load is replaced and counted, and no other request fails',
    async () => {
      const upstream = await hello(5)
      const running = await startWorkers(yaml({ upstream: upstream.url }))
      const traffic = load(running.url, 8)
      await sleep(500)
      const [victim] = childrenOf(running.child.pid!)
      process.kill(victim!, 'SIGKILL')
      await eventually(async () => (await running.value('ballast_worker_restarts_total')) === 1)
      await eventually(async () => (await running.value('ballast_workers', { state: 'serving' })) === 2)
      const answers = await traffic.stop()
      // Those that it was at, of eight connections.
      expect(answers.filter(({ status }) => status !== 200).length).toBeLessThanOrEqual(8)
      expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThan(100)
      expect((await fetch(`${running.admin}/readyz`)).status).toBe(200)
      await running.says(/a worker has died and is replaced/)
    },
    LONG,
  )

  test(
    'a worker that hangs is ended and replaced',
    async () => {
      const upstream = await hello()
      const running = await startWorkers(yaml({ upstream: upstream.url }))
      const [victim] = childrenOf(running.child.pid!)
      process.kill(victim!, 'SIGSTOP')
      await eventually(async () => (await running.value('ballast_worker_restarts_total')) === 1)
      await running.says(/a worker hangs and is ended/)
      expect(lives(victim!)).toBe(false)
      expect((await ask(running.url)).status).toBe(200)
    },
    2 * LONG,
  )

  test(
    'a worker that hangs before it serves is ended and replaced, and holds up neither the start nor the end',
    async () => {
      const upstream = await hello()
      const command = ballast([
        'serve',
        '--config',
        configFile(yaml({ upstream: upstream.url })),
        '--workers',
        '2',
      ])
      // Stopped between fork and exec it would hold its parent, which waits for the latter.
      const started = () =>
        childrenOf(command.child.pid!).filter((pid) => commandLine(pid) !== commandLine(command.child.pid!))
      await eventually(() => started().length === 2)
      process.kill(started().at(-1)!, 'SIGSTOP')
      await command.says(/a worker hangs and is ended/)
      await command.says(/"ballast serves"/)
      command.child.kill('SIGTERM')
      expect((await command.finished).code).toBe(0)
    },
    3 * LONG,
  )

  test(
    'a worker without a descriptor left lives on',
    async () => {
      const upstream = await hello()
      const running = await startWorkers(yaml({ upstream: upstream.url }))
      const [pid] = childrenOf(running.child.pid!)
      const limit = (most: number) =>
        expect(spawnSync('prlimit', ['--pid', `${pid}`, `--nofile=${most}:4096`]).status).toBe(0)
      limit(10)
      await sleep(1_500)
      limit(4_096)
      expect(lives(pid!)).toBe(true)
      expect(await running.value('ballast_worker_restarts_total')).toBe(0)
      expect((await ask(running.url)).status).toBe(200)
    },
    LONG,
  )

  test(
    'while the process that counts the minutes hangs, who has such a limit is told to come again',
    async () => {
      const upstream = await hello()
      const clients =
        'clients: [{name: web, key: web-key-1, requests_per_minute: 30}, {name: free, key: web-key-2}]'
      const running = await startWorkers(yaml({ upstream: upstream.url, clients }))
      process.kill(running.child.pid!, 'SIGSTOP')
      const limited = await ask(running.url, { key: 'web-key-1' })
      const free = await ask(running.url, { key: 'web-key-2' })
      process.kill(running.child.pid!, 'SIGCONT')
      expect([limited.status, free.status]).toEqual([429, 200])
    },
    LONG,
  )

  test(
    'SIGTERM to all of them under load, as service managers send it, fails no request',
    async () => {
      const upstream = await hello(100)
      const running = await startWorkers(yaml({ upstream: upstream.url }))
      const agent = new Agent({ keepAlive: true, maxSockets: 8 })
      const batch = () => Promise.all(Array.from({ length: 8 }, () => ask(running.url, { agent })))
      expect((await batch()).map(({ status }) => status)).toEqual(Array(8).fill(200))
      const last = batch()
      await sleep(30)
      const workers = childrenOf(running.child.pid!)
      for (const pid of [...workers, running.child.pid!]) process.kill(pid, 'SIGTERM')
      expect((await last).map(({ status }) => status)).toEqual(Array(8).fill(200))
      const { code } = await running.finished
      expect(code).toBe(0)
      expect(workers.filter(lives)).toEqual([])
      agent.destroy()
    },
    LONG,
  )

  test(
    "a client's requests per minute hold for all of them together",
    async () => {
      const upstream = await hello()
      const clients = 'clients: [{name: web, key: web-key-1, requests_per_minute: 30}]'
      const running = await startWorkers(yaml({ upstream: upstream.url, clients }))
      const answers = await Promise.all(
        Array.from({ length: 80 }, () => ask(running.url, { key: 'web-key-1' })),
      )
      const count = (wanted: number) => answers.filter(({ status }) => status === wanted).length
      expect([count(200), count(429)]).toEqual([30, 50])
      expect(await running.value('ballast_requests_total', { code: '429' })).toBe(50)
    },
    LONG,
  )

  test(
    'workers that cannot begin end it with the reason',
    async () => {
      const broken = join(mkdtempSync(join(tmpdir(), 'ballast-')), 'broken.mjs')
      writeFileSync(
        broken,
        "if (process.argv[1]?.includes('worker-process')) throw new Error('no such luck')",
      )
      const file = configFile(yaml({ upstream: 'http://127.0.0.1:1/v1' }))
      const command = ballast(['serve', '--config', file, '--workers', '2'], {
        NODE_OPTIONS: `--import=${broken}`,
      })
      const { code, stderr } = await command.finished
      expect(code).toBe(1)
      expect(stderr).toContain('no such luck')
      expect(stderr).toMatch(/workers in a row ended before they served: worker \d ended with exit code 1/)
    },
    LONG,
  )

  test(
    'an address that is taken ends it at once, as with one process',
    async () => {
      const upstream = await hello()
      const text = yaml({ upstream: upstream.url }).replace('127.0.0.1:0', new URL(upstream.url).host)
      const { code, stderr } = await ballast(['serve', '--config', configFile(text), '--workers', '2'])
        .finished
      expect(code).toBe(1)
      expect(stderr).toContain('something listens there already')
    },
    LONG,
  )

  test(
    'no worker outlives the process that has started it',
    async () => {
      const upstream = await hello()
      const running = await startWorkers(yaml({ upstream: upstream.url }))
      const workers = childrenOf(running.child.pid!)
      expect(workers.length).toBe(2)
      running.child.kill('SIGKILL')
      await running.finished
      await eventually(() => !workers.some(lives))
    },
    LONG,
  )
})

describe('--workers', () => {
  test.each(['0', '-1', 'many', '1.5', '257', ''])(
    'refuses %j',
    async (given) => {
      const { code, stderr } = await ballast(['serve', `--workers=${given}`]).finished
      expect(code).toBe(2)
      expect(stderr).toContain('It is a whole number from 1 to 256, or auto.')
    },
    LONG,
  )
})
