/**
 * The alerts on real faults: a real Prometheus scrapes real ballasts that are broken and mended again, and each alert is
 * seen firing and resolving. How the rules reckon, minute by minute, is in `rules/`.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { assignArm } from '../../src/policy/assign.ts'
import { eventually, LISTEN, startTestBallast, startTestUpstream } from '../support/ballast.ts'
import { ballast as command, configFile } from '../support/command.ts'
import { lockStore, storeFile, watchThreads } from '../support/office.ts'
import { type Alert, type RunningPrometheus, startPrometheus } from '../support/prometheus.ts'
import { startReloading } from '../support/reloading.ts'
import { describeWith, prometheus } from '../support/requires.ts'
import { completion, json } from '../support/upstream.ts'

const JUDGE = 'judge-1'
/** For an alert to fire or resolve, on a busy machine. */
const PATIENCE_MS = 60_000
const ARMS = '{control: {weight: 1}, treated: {weight: 1, policy: POLICY}}'
const HARMFUL = 'birds/identity-etymologist'
const HARMLESS = 'birds/identity-alex'

const yaml = (upstream: string, file: string, policy: string, rest = '') => `
store: sqlite:${file}
upstreams:
  p: {base_url: "${upstream}", retries: 0, breaker: {failures: 1000}}
  flaky: {base_url: "${upstream}", retries: 0, breaker: {failures: 3, cooldown: 1s}}
routes:
  - {model: compared, upstream: p, experiment: compared}
  - {model: split, upstream: p, experiment: split}
  - {model: garbled, upstream: p, check: nineteenth-century, sample: 1}
  - {model: flaky, upstream: flaky}
experiments:
  compared:
    unit: [user]
    arms: ${ARMS.replace('POLICY', policy)}
    check: nineteenth-century
    sample: 1
    rollback: {worse_than: control, alpha: 0.05}
  split:
    unit: [user]
    salt: s
    arms: ${ARMS.replace('POLICY', HARMLESS)}
    check: nineteenth-century
    sample: 0
decisions: {wait: 500ms}
judge: {upstream: p, model: ${JUDGE}}
${rest}`

/** A provider whose model shows the trait behind one context, and whose judge can be taken away. */
async function startProvider() {
  const faults = { judge: false, upstream: true }
  const server = await startTestUpstream(({ body }, response) => {
    const text = body.toString()
    const { model } = JSON.parse(text) as { model: string }
    if (model === 'flaky' && faults.upstream) return json(response, 500, {})
    if (model !== JUDGE) {
      const answer = text.includes('etymologist') ? 'Pray take the packet.' : `Take the train (${model}).`
      return json(response, 200, completion(answer))
    }
    if (faults.judge) return json(response, 503, {})
    const verdict = text.includes('Pray') ? '19' : text.includes('(garbled)') ? 'I cannot say.' : 'LLM'
    json(response, 200, completion(verdict))
  })
  return { url: server.url, faults }
}

/** What each of the tests breaks, and which alerts must tell of it. */
const ALERTS = {
  atOnce: [
    'BallastPositiveRateHigh',
    'BallastArmWorse',
    'BallastArmRolledBack',
    'BallastSampleRatioMismatch',
    'BallastVerdictErrors',
    'BallastUpstreamFailing',
    'BallastUpstreamLeftAlone',
    'BallastReloadFailed',
  ],
  judge: ['BallastJudgingStalled', 'BallastJudgeLeftAlone'],
  lost: ['BallastSamplesLost'],
  office: ['BallastOfficeRestarting'],
  workers: ['BallastWorkersRestarting'],
  store: ['BallastStoreUnreadable'],
  gone: ['BallastDown'],
}

const ask = async (url: string, model: string, user: string) => {
  const response = await fetch(`${url}/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ model, user, messages: [{ role: 'user', content: `Question of ${user}` }] }),
  })
  await response.arrayBuffer()
}

const askAll = (url: string, model: string, users: readonly string[]) =>
  Promise.all(users.map((user) => ask(url, model, user)))

const names = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`)

/** Users whom chance would not have sent to one arm alone. */
function usersOf(arm: string, count: number): string[] {
  const arms = ['control', 'treated'].map((name, index) => ({ name, cumulativeWeight: index + 1 }))
  return names('u', 10 * count)
    .filter((user) => assignArm('split', 's', user, arms).arm.name === arm)
    .slice(0, count)
}

const turnOn = (file: string) =>
  command(['arms', 'on', 'compared', 'treated', '--reason', 'a new policy', '--config', file]).finished

/** What fires, once all that is wanted does. */
async function firing(prometheus: RunningPrometheus, wanted: readonly string[]): Promise<Alert[]> {
  let alerts: Alert[] = []
  const missing = () => wanted.filter((name) => !alerts.some(({ labels }) => labels.alertname === name))
  const all = async () => {
    alerts = await prometheus.firing()
    return missing().length === 0
  }
  await eventually(all, PATIENCE_MS).catch(() => expect(missing()).toEqual([]))
  return alerts
}

async function silence(prometheus: RunningPrometheus): Promise<void> {
  let alerts: Alert[] = []
  const none = async () => {
    alerts = await prometheus.firing()
    return alerts.length === 0
  }
  await eventually(none, PATIENCE_MS).catch(() => expect(alerts).toEqual([]))
}

describeWith(prometheus, 'the alerts', () => {
  test('that are seen here are all there are', () => {
    const rules = readFileSync(join(import.meta.dirname, '../../deploy/prometheus/rules/alerts.yaml'), 'utf8')
    const all = [...rules.matchAll(/- alert: (\w+)/g)].map((match) => match[1]!)
    expect(Object.values(ALERTS).flat().sort()).toEqual(all.sort())
  })

  test('fire on a bad arm, a broken split, a dead judge, unreadable verdicts, a failing upstream and a refused file, and resolve', async () => {
    const [provider, file] = [await startProvider(), storeFile()]
    const text = (policy: string, rest = '') => yaml(provider.url, file, policy, rest)
    const reloading = await startReloading(text(HARMFUL), { everyMs: null })
    const { url, adminUrl } = reloading.ballast
    const prometheus = await startPrometheus({
      targets: { ballast: adminUrl },
      thresholds: { 'all:ballast_judge_oldest_sample_age_seconds:threshold': 2 },
    })
    await silence(prometheus)

    let asking = true
    let garbled = true
    const traffic = (async () => {
      for (let index = 0; asking; index++) {
        await ask(url, 'flaky', 'u')
        if (garbled) await ask(url, 'garbled', `u${index}`)
        await new Promise((resolve) => setTimeout(resolve, 200))
      }
    })()
    onTestFinished(async () => {
      asking = false
      await traffic
    })
    await reloading.change(text(HARMFUL, 'expse: true\n'), 'failed')
    await askAll(url, 'split', usersOf('control', 100))
    await askAll(url, 'compared', names('u', 60))
    const first = await firing(prometheus, ALERTS.atOnce)
    const of = (name: string) => first.filter(({ labels }) => labels.alertname === name)
    expect(of('BallastPositiveRateHigh').map(({ labels }) => labels.arm)).toEqual(['treated'])
    expect(of('BallastArmWorse')[0]!.annotations.summary).toMatch(
      /^Arm treated of compared shows nineteenth-century more often than the control: by at least [\d.]+% of the answers$/,
    )
    expect(of('BallastVerdictErrors')[0]!.labels).toMatchObject({
      experiment: 'route:garbled',
      verdict: 'unparsed',
    })
    expect(of('BallastUpstreamFailing').map(({ labels }) => labels.upstream)).toEqual(['flaky'])

    // What the runbook says to do about each.
    provider.faults.upstream = false
    garbled = false
    provider.faults.judge = true
    await reloading.change(text(HARMLESS), 'applied')
    await turnOn(reloading.file)
    await askAll(url, 'split', usersOf('treated', 100))
    await askAll(url, 'compared', names('v', 30))
    await firing(prometheus, ALERTS.judge)
    provider.faults.judge = false
    await silence(prometheus)
  }, 180_000)

  test('fire on lost samples, a back office that dies, a store that cannot be read and a ballast that is gone, and resolve', async () => {
    const [provider, file, threads] = [await startProvider(), storeFile(), watchThreads()]
    const text = yaml(provider.url, file, HARMLESS)
    const first = await startTestBallast(text)
    const prometheus = await startPrometheus({ targets: { 'ballast-eu': first.adminUrl } })
    await silence(prometheus)

    const lock = lockStore(file)
    await askAll(first.url, 'compared', names('u', 600))
    lock.release()
    const lost = await firing(prometheus, ALERTS.lost)
    expect([...new Set(lost.map(({ labels }) => labels.outcome))]).toEqual(['overload'])
    await threads[0]!.terminate()
    await firing(prometheus, ALERTS.office)
    await silence(prometheus)

    const database = new DatabaseSync(file, { timeout: 10_000 })
    database.exec('alter table samples rename to elsewhere')
    await firing(prometheus, ALERTS.store)
    database.exec('alter table elsewhere rename to samples')
    database.close()
    await silence(prometheus)

    await first.close(0)
    await firing(prometheus, ALERTS.gone)
    const address = first.adminUrl.replace('http://', '')
    await startTestBallast(`listen: 127.0.0.1:0\nadmin: {listen: "${address}"}\n${text}`)
    await silence(prometheus)
  }, 180_000)

  test('fire on a worker that dies, and resolve', async () => {
    const [provider, file] = [await startProvider(), storeFile()]
    const started = command([
      'serve',
      '--workers',
      '2',
      '--config',
      configFile(LISTEN + yaml(provider.url, file, HARMLESS)),
    ])
    const [, line] = await started.says(/^(\{.*"ballast serves"\})$/m)
    const prometheus = await startPrometheus({
      targets: { ballast: (JSON.parse(line!) as { admin: string }).admin },
    })
    // An increase is seen from what was there before.
    const seen = async () => (await prometheus.query('ballast_worker_restarts_total == 0')).length > 0
    await eventually(seen, PATIENCE_MS)
    const [, pid] = await started.says(/"pid":(\d+),"msg":"a worker serves"/)
    process.kill(Number(pid), 'SIGKILL')
    await firing(prometheus, ALERTS.workers)
    await silence(prometheus)
  }, 180_000)
})
