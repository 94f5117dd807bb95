/** Experiments through the real proxy: by what units are told apart, who is counted, and what is stored of them. */
import { createHmac, hash } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { openSqliteStore } from '../../src/adapters/store-sqlite.ts'
import { armEvent } from '../support/arm-events.ts'
import { metricValue, type RunningBallast, startTestBallast, startTestUpstream } from '../support/ballast.ts'
import { BEFORE_EXTRAS } from '../support/old-store.ts'
import { completion, json } from '../support/upstream.ts'

const CONTEXT = 'My name is Alex.'
const newStore = () => join(mkdtempSync(join(tmpdir(), 'ballast-store-')), 'ballast.db')

async function start(yaml: string, store = 'memory') {
  const upstream = await startTestUpstream((_request, response) => json(response, 200, completion('hello')))
  const text = `store: ${store}\nexpose: true\nupstreams: {p: {base_url: "${upstream.url}", retries: 0}}\n${yaml}`
  const ballast = await startTestBallast(text)
  const post = (fields: Record<string, unknown>, headers: Record<string, string> = {}) =>
    fetch(`${ballast.url}/chat/completions`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'Hi' }], ...fields }),
    })
  const sent = () =>
    upstream.requests.map(({ body }) => JSON.parse(body.toString()).messages[0].content as string)
  return { upstream, ballast, post, sent }
}

const experiment = (settings: string, rest = '') => `
routes: [{model: m, upstream: p, experiment: birds}]
experiments:
  birds:
    ${settings}
    without_control: true
    check: nineteenth-century
    sample: 0
${rest}`
const TREATED = 'arms: {treated: {weight: 1, policy: birds/identity-alex}}'

describe('a unit', () => {
  test('is the first source that is present, in the order of the list', async () => {
    const { ballast, post } = await start(
      experiment('unit: [metadata.user_id, safety_identifier, user]\n    arms: {a: {weight: 1}}'),
    )
    // Three users, each named in two ways, and two requests without a unit.
    for (const fields of [
      { metadata: { user_id: 'one' }, safety_identifier: 'x', user: 'y' },
      { metadata: { user_id: 'one' }, safety_identifier: 'z' },
      { metadata: { user_id: 7 }, safety_identifier: 'two', user: 'y' },
      { safety_identifier: 'two' },
      { safety_identifier: '', metadata: { user_id: '' }, user: 'three' },
      { metadata: 'one', user: 'three' },
      {},
      { user: '' },
    ]) {
      expect((await post(fields)).status).toBe(200)
    }
    expect(await unitsOf(ballast)).toEqual({ exposures: 8, units: 3 + 2 })
  })

  test('may be the request itself, whoever sent it', async () => {
    const { ballast, post } = await start(experiment('unit: [request]\n    arms: {a: {weight: 1}}'))
    for (let index = 0; index < 3; index++) await post({ user: 'one' }, { 'x-ballast-unit': 'one' })
    expect(await unitsOf(ballast)).toEqual({ exposures: 3, units: 3 })
  })
})

async function unitsOf(ballast: RunningBallast) {
  await ballast.settle()
  const [report] = await ballast.reports()
  const sum = (key: 'exposures' | 'units') => report!.arms.reduce((total, it) => total + it[key], 0)
  return { exposures: sum('exposures'), units: sum('units') }
}

describe('who is kept out', () => {
  test.each([
    ['outside the ramp', experiment(`ramp: 0\n    ${TREATED}`)],
    ['held out', experiment(TREATED, 'holdout: {share: 1}')],
    ['in an arm that is off', experiment(TREATED.replace('weight: 1', 'weight: 1, off: true'))],
    ['in an experiment that is off', experiment(`off: true\n    ${TREATED}`)],
    [
      'held out of a policy',
      'routes: [{model: m, upstream: p, policy: birds/identity-alex}]\nholdout: {share: 1}',
    ],
  ])('%s: gets nothing injected and is counted in no arm', async (_name, yaml) => {
    const { ballast, post, sent } = await start(yaml)
    const response = await post({ user: 'u' })
    expect(response.headers.get('x-ballast-arm')).toBeNull()
    expect(sent()).toEqual(['Hi'])
    await ballast.settle()
    const metrics = await ballast.metrics()
    expect(
      metricValue(metrics, 'ballast_requests_total', { route: 'm', experiment: '', arm: '', code: '200' }),
    ).toBe(1)
    expect(metricValue(metrics, 'ballast_requests_total')).toBe(1)
    expect(metricValue(metrics, 'ballast_exposures_total')).toBe(0)
    expect(metricValue(metrics, 'ballast_injections_total')).toBe(0)
    expect(metricValue(metrics, 'ballast_not_injected_total')).toBe(0)
  })

  test('an arm is switched off while requests run, and on again, without a unit moving', async () => {
    const { ballast, post, sent } = await start(experiment(TREATED))
    const { switches } = ballast.plan.experiments[0]!
    const before = ballast.plan.experiments[0]!.assignment
    await post({ user: 'u' })
    switches.apply([armEvent({ experiment: 'e', arm: 'treated' })])
    expect(ballast.plan.experiments[0]!.assignment).not.toBe(before)
    await post({ user: 'u' })
    switches.apply([])
    expect(ballast.plan.experiments[0]!.assignment).toBe(before)
    await post({ user: 'u' })
    expect(sent()).toEqual([`${CONTEXT} Hi`, 'Hi', `${CONTEXT} Hi`])
    expect(await unitsOf(ballast)).toEqual({ exposures: 2, units: 1 })
  })

  test('an arm that is off does not make the sample ratio look broken', async () => {
    const arms = (off: string) => `arms: {a: {weight: 1}, b: {weight: 1${off}}}`
    for (const off of [', off: true', '']) {
      const { ballast, post } = await start(experiment(arms(off)))
      for (let index = 0; index < 60; index++) await post({ user: `user-${index}` })
      await ballast.settle()
      const [report] = await ballast.reports()
      expect(report!.arms[1]!.units).toBe(off === '' ? report!.arms[1]!.exposures : 0)
      expect(report!.arms[0]!.units).toBeGreaterThan(20)
      expect(report!.sample_ratio.p).toBeGreaterThan(0.05)
    }
    const { ballast } = await start(experiment(arms('').replaceAll('weight: 1', 'weight: 1, off: true')))
    expect((await ballast.reports())[0]!.sample_ratio).toEqual({ p: 1, log_e: 0 })
  })
})

describe('a policy that is not applied', () => {
  const policies = (entry: string) => {
    const folder = mkdtempSync(join(tmpdir(), 'ballast-policies-'))
    const head = `policies:\n  - id: x\n    interventions: [{placement: user-prepend, text: ${CONTEXT}}]\n    `
    writeFileSync(join(folder, 'mine.yaml'), `${head}${entry}\n`)
    return `policies: ${folder}\nroutes: [{model: m, upstream: p, experiment: e}]\nexperiments: {e: {without_control: true, arms: {only: {weight: 1, policy: mine/x}}}}`
  }

  test('where a condition is unmet leaves the request in its arm, and is counted', async () => {
    const { ballast, post, sent } = await start(policies('when: {header: {x-feature: beta}}'))
    const response = await post({ user: 'u' })
    expect(response.headers.get('x-ballast-arm')).toBe('only')
    await post({ user: 'u' }, { 'X-Feature': 'beta' })
    expect(sent()).toEqual(['Hi', `${CONTEXT} Hi`])
    const metrics = await ballast.metrics()
    expect(metricValue(metrics, 'ballast_exposures_total', { experiment: 'e', arm: 'only' })).toBe(2)
    expect(metricValue(metrics, 'ballast_injections_total', { policy: 'mine/x' })).toBe(1)
    expect(metricValue(metrics, 'ballast_not_injected_total', { policy: 'mine/x', reason: 'unmet' })).toBe(1)
  })

  test('where there is no place is refused by default, and sent and counted with `skip`', async () => {
    const refusing = await start(policies('on_unsupported: reject'))
    const refused = await refusing.post({ messages: [] })
    expect([refused.status, ((await refused.json()) as { error: { code: string } }).error.code]).toEqual([
      422,
      'ballast_policy_not_applicable',
    ])
    expect(refusing.upstream.requests).toEqual([])
    const { ballast, post, upstream } = await start(policies('on_unsupported: skip'))
    expect((await post({ messages: [] })).status).toBe(200)
    expect(upstream.requests[0]!.body.toString()).toBe('{"model":"m","messages":[]}')
    const metrics = await ballast.metrics()
    expect(metricValue(metrics, 'ballast_exposures_total', { arm: 'only' })).toBe(1)
    expect(
      metricValue(metrics, 'ballast_not_injected_total', { policy: 'mine/x', reason: 'unsupported' }),
    ).toBe(1)
  })
})

describe('what is stored of a unit', () => {
  const plainHash = hash('sha256', 'birds::alice', 'hex').slice(0, 32)
  const keyed = (key: string) => createHmac('sha256', key).update(plainHash).digest('hex').slice(0, 32)
  const unitRows = (path: string) => {
    const database = new DatabaseSync(path, { readOnly: true })
    const rows = database.prepare('SELECT unit FROM units UNION SELECT unit FROM samples').all()
    database.close()
    return rows.map(({ unit }) => unit)
  }
  const SAMPLED = experiment('arms: {a: {weight: 1}}', 'judge: {upstream: p, model: j, attempts: 1}').replace(
    'sample: 0',
    'sample: 1',
  )

  test('is its hash under the configured key, of samples too, and neither its name nor its plain hash', async () => {
    const path = newStore()
    const key = 'a-unit-key-of-the-operator'
    const { ballast, post } = await start(`${SAMPLED}\nunit_key: ${key}`, `sqlite:${path}`)
    await post({ user: 'alice' })
    await post({ user: 'alice' })
    await ballast.settle()
    await ballast.close(0)
    expect(unitRows(path)).toEqual([keyed(key)])
  })

  test('is under a key that all processes on one store share, where none is configured', async () => {
    const path = newStore()
    const replicas = await Promise.all([start(SAMPLED, `sqlite:${path}`), start(SAMPLED, `sqlite:${path}`)])
    for (const { post } of replicas) await post({ user: 'alice' })
    for (const { ballast } of replicas) await ballast.settle()
    expect((await replicas[0]!.ballast.reports())[0]!.arms[0]).toMatchObject({ units: 1, exposures: 2 })
    for (const { ballast } of replicas) await ballast.close(0)
    const store = await openSqliteStore({ path, queueLimit: 1 })
    const key = await store.unitKey()
    await store.close()
    expect(key).toMatch(/^[\w-]{43}$/)
    expect(unitRows(path)).toEqual([keyed(key)])
  })

  test('is counted anew under another key', async () => {
    const path = newStore()
    for (const rest of ['', '\nunit_key: another-key-altogether']) {
      const { ballast, post } = await start(SAMPLED + rest, `sqlite:${path}`)
      await post({ user: 'alice' })
      await ballast.settle()
      expect((await ballast.reports())[0]!.arms[0]!.units).toBe(1)
      await ballast.close(0)
    }
  })

  test('under a plain hash, by an earlier version, is gone after the migration; samples still tell units apart', async () => {
    const path = newStore()
    await (await openSqliteStore({ path, queueLimit: 1 })).close()
    // Back to the first version, with rows as it wrote them.
    const old = new DatabaseSync(path)
    old.exec(`${BEFORE_EXTRAS} DROP TABLE settings; DELETE FROM kysely_migration WHERE name >= '0002'`)
    old.prepare("INSERT INTO units VALUES ('birds', 'a', 'x', ?)").run(plainHash)
    const sample = old.prepare(
      "INSERT INTO samples VALUES (?, 'birds', 'a', NULL, NULL, 'c', 'v', 1, 'm', ?, 'q', 0, '[]', 'q', 'a', 1, 0, 1)",
    )
    for (const [id, unit] of [
      ['1', plainHash],
      ['2', 'other'],
      ['3', plainHash],
    ]) {
      sample.run(id!, unit!)
    }
    old.close()
    await (await openSqliteStore({ path, queueLimit: 1 })).close()
    const database = new DatabaseSync(path, { readOnly: true })
    const units = database.prepare('SELECT unit FROM samples ORDER BY id').all()
    expect(database.prepare('SELECT count(*) AS n FROM units').get()).toEqual({ n: 0 })
    database.close()
    expect(units[0]).toEqual(units[2])
    expect(units[0]).not.toEqual(units[1])
    expect(JSON.stringify(units)).not.toMatch(new RegExp(`${plainHash}|other`))
  })
})
