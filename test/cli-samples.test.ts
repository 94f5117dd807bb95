/** `ballast samples` as a process, over a real store file. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ballast, configFile } from './support/command.ts'
import { DAY_MS, openStoreAt, sampleOf, verdictOf } from './support/samples.ts'

const HOSTILE = '\u001b[2J\u001b]0;owned\u0007\u009b31m\u202eevil\u2066\r\u0000'
const STEERING = /(?![\n\t])\p{Cc}|[\u202a-\u202e\u2066-\u2069]/u

const yaml = `
upstreams: {p: {base_url: "http://127.0.0.1:9/v1"}}
routes: [{model: "*", upstream: p}]
`

/** A configuration with a store that holds what `fill` says. */
async function stored(fill: (store: Awaited<ReturnType<typeof openStoreAt>>) => Promise<void>) {
  const config = configFile(yaml)
  const path = join(dirname(config), 'ballast.db')
  const store = await openStoreAt(path)
  await fill(store)
  const run = (...args: string[]) => ballast(['samples', ...args, '--config', config]).finished
  return { run, store, path, folder: dirname(config) }
}

const some = () =>
  stored(async (store) => {
    const now = Date.now()
    await store.offer(sampleOf({ id: 'a', requestedAt: now - 5 * DAY_MS }))
    await store.addVerdict(verdictOf('a', 'positive', { era: { kind: 'label', value: '19' } }))
    await store.offer(
      sampleOf({ id: 'b', requestedAt: now - 1_000, arm: 'treated', policy: 'birds/x', policyHash: 'h' }),
    )
    await store.addVerdict(
      verdictOf('b', 'error', { era: { kind: 'error', message: 'the judge did not answer' } }),
    )
    await store.offer(
      sampleOf({
        id: 'hostile',
        requestedAt: now,
        messages: [{ role: `user${HOSTILE}`, content: HOSTILE }],
        question: HOSTILE,
        answer: HOSTILE,
      }),
    )
    await store.addLabel({
      sampleId: 'a',
      check: 'nineteenth-century',
      checkVersion: 'v1',
      by: 'ann',
      verdict: 'negative',
      probability: 0.5,
      at: now,
    })
  })

const listedIds = (text: string) => (JSON.parse(text) as { id: string }[]).map(({ id }) => id)

describe('ballast samples list', () => {
  test('shows the newest first, a line each, with nothing that steers a terminal', async () => {
    const { run } = await some()
    const { code, stdout } = await run('list')
    expect(code).toBe(0)
    const lines = stdout.trim().split('\n')
    expect(lines.map((line) => line.split(/\s+/)[0])).toEqual(['id', 'hostile', 'b', 'a'])
    expect(lines[3]).toMatch(/positive \(people: negative\)\s+19\s+Which bird is this\?$/)
    expect(stdout).not.toMatch(STEERING)
  })

  test.each([
    [['--verdict', 'waiting'], ['hostile']],
    [['--verdict', 'positive'], ['a']],
    [['--arm', 'treated'], ['b']],
    [
      ['--since', '2d'],
      ['hostile', 'b'],
    ],
    [['--before', '2d'], ['a']],
    [['--before', '2026-01-01'], []],
    [['--labelled'], ['a']],
    [['--unlabelled'], ['hostile', 'b']],
    [['--experiment', 'other'], []],
    [['--limit', '1'], ['hostile']],
  ])('narrows down by %j', async (options, ids) => {
    const { run } = await some()
    const { code, stdout } = await run('list', '--json', ...options)
    expect(listedIds(stdout)).toEqual(ids)
    expect(stdout).not.toMatch(STEERING)
    expect(code).toBe(ids.length === 0 ? 1 : 0)
  })

  test.each([
    ['--since', 'yesterday'],
    ['--since', '2026-13-01'],
    ['--verdict', 'good'],
    ['--limit', '0'],
  ])('refuses %s %s', async (...options) => {
    const { run } = await some()
    expect((await run('list', ...options)).code).toBe(2)
  })

  test('of an empty store finds nothing and ends with 1', async () => {
    const { run } = await stored(async () => {})
    const { code, stderr, stdout } = await run('list')
    expect([code, stderr, stdout]).toEqual([1, 'No sample is like that.\n', ''])
  })

  test.each(['list', 'show x', 'export', 'delete x --yes', 'retry x'])(
    'of a store that is not there (%s) says so and makes none',
    async (command) => {
      const config = configFile(yaml)
      const { code, stderr } = await ballast(['samples', ...command.split(' '), '--config', config]).finished
      expect(code).toBe(2)
      expect(stderr).toContain(`There is no store at ${join(dirname(config), 'ballast.db')}`)
      expect(existsSync(join(dirname(config), 'ballast.db'))).toBe(false)
    },
  )

  test('of a store in memory says that nobody can read it', async () => {
    const config = configFile(`store: memory${yaml}`)
    const { code, stderr } = await ballast(['samples', 'list', '--config', config]).finished
    expect(code).toBe(2)
    expect(stderr).toContain('in memory')
  })
})

describe('ballast samples show', () => {
  test('shows conversation, answer, scores, labels and what was injected', async () => {
    const { run } = await some()
    const a = (await run('show', 'a')).stdout
    for (const text of [
      'Which bird is this?',
      'A wren.',
      'era: 19',
      'negative by ann',
      'nothing was injected',
    ])
      expect(a).toContain(text)
    const b = (await run('show', 'b')).stdout
    expect(b).toContain('arm treated: policy birds/x (h)')
    expect(b).toContain('the judge did not answer')
  })

  test('makes harmless what would steer a terminal', async () => {
    const { run } = await some()
    const { stdout } = await run('show', 'hostile')
    expect(stdout).toContain('\\u001b[2J')
    expect(stdout).not.toMatch(STEERING)
  })

  test('shows an answer of 100 kB whole', async () => {
    const { run } = await stored(async (store) => {
      await store.offer(sampleOf({ id: 'long', answer: `${'word '.repeat(20_000)}end` }))
    })
    const { stdout } = await run('show', 'long')
    expect(stdout.match(/word/g)).toHaveLength(20_000)
    expect(stdout.trimEnd().endsWith('end')).toBe(true)
  })

  test('of an id that does not exist ends with 1', async () => {
    const { run } = await some()
    const { code, stderr } = await run('show', 'nobody\u001b[2J')
    expect([code, stderr]).toEqual([1, 'There is no sample nobody\\u001b[2J.\n'])
  })
})

describe('ballast samples export', () => {
  test('writes JSON lines with all that is known, or without texts', async () => {
    const { run } = await some()
    const lines = (await run('export')).stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines.map(({ id }) => id)).toEqual(['hostile', 'b', 'a'])
    expect(lines[0].answer).toBe(HOSTILE)
    expect(lines[2]).toMatchObject({
      verdict: 'positive',
      labels: [{ by: 'ann', probability: 0.5 }],
      probability: 0.5,
    })
    const { stdout } = await run('export', '--no-text')
    expect(stdout).not.toContain('bird is this')
    expect(stdout).not.toContain('did not answer')
  })

  test('puts a file in its place whole, readable for its owner alone', async () => {
    const { run, folder } = await some()
    const file = join(folder, 'out.jsonl')
    expect((await run('export', '-o', file)).code).toBe(0)
    expect(readFileSync(file, 'utf8').trim().split('\n')).toHaveLength(3)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([])
    const failed = await run('export', '-o', join(folder, 'no-folder/out.jsonl'))
    expect(failed.code).toBe(1)
  })

  test('of 100,000 samples takes flat memory', async () => {
    const answer = 'x'.repeat(2_000)
    const { path, folder } = await stored(async (store) => {
      await store.offer(sampleOf({ id: 'first', requestedAt: 1, answer }))
    })
    const { DatabaseSync } = await import('node:sqlite')
    const database = new DatabaseSync(path)
    const columns = database
      .prepare('pragma table_info(samples)')
      .all()
      .map(({ name }) => String(name))
    const copied = columns.map((name) =>
      name === 'id' ? `'s' || value` : name === 'requested_at' ? 'value % 5000' : name,
    )
    database.exec(`
      with recursive n(value) as (select 2 union all select value + 1 from n where value < 100000)
      insert into samples (${columns.join(', ')}) select ${copied.join(', ')} from samples, n where id = 'first'`)
    database.close()
    const file = join(folder, 'all.jsonl')
    const config = join(folder, 'ballast.yaml')
    const { code, stderr } = await ballast(['samples', 'export', '-o', file, '--config', config], {
      NODE_OPTIONS: '--max-old-space-size=100',
    }).finished
    expect(stderr).toContain('100,000 samples')
    expect(code).toBe(0)
    // All of it is some 250 MB.
    const seen = new Set<string>()
    for (const line of readFileSync(file, 'utf8').split('\n'))
      if (line !== '') seen.add(/"id":"([^"]+)"/.exec(line)![1]!)
    expect(seen.size).toBe(100_000)
  })
})

describe('ballast samples delete', () => {
  test('says what it would erase, and erases nothing with --dry-run or without a terminal', async () => {
    const { run, store } = await some()
    const dry = await run('delete', '--since', '2d', '--dry-run')
    expect(dry.code).toBe(0)
    expect(dry.stderr).toContain('The texts of 2 samples')
    expect(dry.stderr).toContain('1 of them is not judged yet and will have the verdict error')
    const asked = await run('delete', 'a')
    expect(asked.code).toBe(2)
    expect(asked.stderr).toContain('--yes')
    expect((await run('delete', '--yes')).code).toBe(2)
    expect(await store.howMany({ erased: true })).toBe(0)
  })

  test('erases with --yes, and the verdicts stay counted', async () => {
    const { run, store } = await some()
    const tallies = await store.tallies('birds', 'nineteenth-century')
    const { code, stderr } = await run('delete', 'a', 'nobody', '--yes')
    expect(code).toBe(0)
    expect(stderr).toContain('There is no sample nobody.')
    expect(stderr).toContain('The texts of 1 sample were erased.')
    const [a] = await store.find({ ids: ['a'] }, 1)
    expect([a!.sample.answer, a!.verdict!.verdict, a!.erased]).toEqual(['', 'positive', true])
    expect(await store.tallies('birds', 'nineteenth-century')).toEqual(tallies)
    expect((await run('delete', 'a', '--yes')).code).toBe(1)
    await run('delete', '--all', '--yes')
    expect(await store.howMany({ erased: false })).toBe(0)
    expect((await run('show', 'a')).stdout).toContain('Its texts were erased.')
  })
})

describe('ballast samples retry', () => {
  test('has those judged again whose verdict is error, and only those', async () => {
    const { run, store } = await some()
    const { code, stderr } = await run('retry', '--experiment', 'birds')
    expect([code, stderr]).toEqual([0, '1 sample waits to be judged again.\n'])
    expect(await store.howMany({ verdict: 'waiting' })).toBe(2)
    expect((await run('retry', 'a')).code).toBe(1)
    expect((await run('retry', '--verdict', 'positive')).code).toBe(2)
  })
})
