/** What is Postgres' own: connections, schemas, secrets, and samples and jobs in one transaction. */
import { createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { openStore } from '../../src/adapters/store.ts'
import { type Log, noLog } from '../../src/domain/ports.ts'
import { eventually } from '../support/ballast.ts'
import { PASSWORD, postgres, usePostgres } from '../support/postgres.ts'
import { describeWith } from '../support/requires.ts'
import { makeSample, verdictOn } from '../support/store-samples.ts'
import { open } from './engines.ts'

/** What opening it says; it must not succeed. */
async function refusal(url: string): Promise<string> {
  const error = await openStore(url, { queueLimit: 1, log: noLog }).then(
    () => null,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(Error)
  // Whatever a log would show of it.
  expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('SECRET')
  return (error as Error).message
}

/** The URL with something else in it. */
function changed(url: string, change: (url: URL) => void): string {
  const it = new URL(url)
  change(it)
  return it.href
}

describeWith(postgres, 'Postgres as a store', () => {
  const server = usePostgres()

  test('that cannot be used is named, without its password', async () => {
    const url = await server().database()
    const { port } = new URL(url)
    const silent = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => silent.once('listening', resolve))
    const free = (silent.address() as { port: number }).port
    await new Promise((resolve) => silent.close(resolve))
    const cases: [string, string][] = [
      [
        changed(url, (it) => (it.port = `${free}`)),
        `127.0.0.1:${free}/test_1 cannot be opened: no server listens there`,
      ],
      [changed(url, (it) => (it.hostname = 'nowhere.invalid')), 'its host is not known'],
      [
        changed(url, (it) => (it.password = 'SECRET-too')),
        'password authentication failed for user "ballast"',
      ],
      [changed(url, (it) => (it.pathname = '/missing')), 'database "missing" does not exist'],
      [changed(url, (it) => (it.search = '?sslmode=require')), 'does not support SSL'],
      ['postgres://ballast:pa#SECRET@127.0.0.1/x', 'is not a URL'],
      [changed(url, (it) => (it.hash = '#SECRET')), 'is not a URL'],
      [changed(url, (it) => (it.search = '?sslmode=whatever')), 'sslmode'],
      [changed(url, (it) => (it.search = '?schema=a-b')), 'schema'],
    ]
    for (const [address, message] of cases) expect(await refusal(address)).toContain(message)
    expect(await refusal(changed(url, (it) => (it.pathname = '/missing')))).toContain(
      `the store postgres://127.0.0.1:${port}/missing cannot be opened`,
    )
  })

  test('goes on after its connections are lost, and after a restart of the server', async () => {
    const warnings: unknown[] = []
    const log: Log = { ...noLog, warn: (fields) => warnings.push(fields) }
    const store = await openStore(await server().database(), { queueLimit: 100, log })
    onTestFinished(() => store.close())
    const samples = [makeSample(), makeSample(), makeSample()]
    await store.offer(samples[0]!)
    await server().disconnect()
    await eventually(() => store.offer(samples[1]!).catch(() => false))
    server().stop()
    await expect(store.offer(samples[2]!)).rejects.toThrow()
    await expect(store.take(1, 1_000)).rejects.toThrow()
    server().start()
    await eventually(() => store.offer(samples[2]!).catch(() => false))
    expect((await store.status()).depth).toBe(3)
    expect(await store.take(5, 1_000)).toHaveLength(3)
    expect(JSON.stringify(warnings)).not.toContain(PASSWORD)
  })

  test('stores a sample and its job together, or neither', async () => {
    const url = await server().database()
    const store = await open(url)
    const [first, second] = [makeSample(), makeSample()]
    await store.offer(first)
    await server().query(url, 'alter table ballast_jobs.job_common rename to elsewhere')
    await expect(store.offer(second)).rejects.toThrow()
    await expect(store.addVerdict(verdictOn(first))).rejects.toThrow()
    await server().query(url, 'alter table ballast_jobs.elsewhere rename to job_common')
    expect(await store.find({}, 10)).toMatchObject([{ sample: first, verdict: null }])
    expect(await store.tallies('birds', 'archaic')).toMatchObject([{ kind: 'sample', count: 1 }])
    expect(await store.addVerdict(verdictOn(first))).toBe(true)
    const jobs = await server().query(url, 'select data, state::text from ballast_jobs.job')
    expect(jobs).toEqual([{ data: { sample: first.id }, state: 'completed' }])
  })

  test('passes over jobs whose samples somebody deleted', async () => {
    const url = await server().database()
    const store = await open(url)
    const [gone, kept] = [makeSample(), makeSample()]
    for (const sample of [gone, kept]) await store.offer(sample)
    await server().query(url, `delete from ballast.samples where id = '${gone.id}'`)
    expect(await store.take(5, 60_000)).toMatchObject([{ sample: kept }])
    expect((await store.status()).depth).toBe(1)
  })

  test('has its tables in the schema that the URL names, apart from those of others', async () => {
    const url = await server().database()
    const [usual, own] = [await open(url), await open(`${url}?schema=staging`)]
    await usual.offer(makeSample())
    expect((await own.status()).depth).toBe(0)
    expect(await own.take(1, 1_000)).toEqual([])
    const rows = await server().query(
      url,
      "select distinct table_schema as name from information_schema.tables where table_schema !~ '^(pg_|information_)' order by 1",
    )
    expect(rows.map(({ name }) => name)).toEqual(['ballast', 'ballast_jobs', 'staging', 'staging_jobs'])
  })

  test('gives back times and counts as numbers', async () => {
    const store = await open(await server().database())
    const sample = makeSample()
    await store.offer(sample)
    await store.writeNote('n', 'x', 0)
    await store.addExposures([
      { experiment: 'birds', arm: 'a', assignment: 'x', exposures: 2 ** 40, units: ['u'], anonymousUnits: 1 },
    ])
    expect(await store.status()).toEqual({ depth: 1, oldestAt: sample.requestedAt })
    expect((await store.readNote('n'))!.revision).toBe(1)
    expect(await store.exposures('birds')).toMatchObject([{ exposures: 2 ** 40, units: 2 }])
    expect((await store.tallies('birds', 'archaic'))[0]).toMatchObject({ count: 1, weights: 2 })
  })
})
