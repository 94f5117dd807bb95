/** `ballast label` as a process: at a pseudo-terminal, and with labels from a file. */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { loadConfigFile } from '../src/config/load.ts'
import { CATALOG_FOLDER } from '../src/node.ts'
import { ballast, configFile } from './support/command.ts'
import { describeWith, pseudoTerminal } from './support/requires.ts'
import { openStoreAt, sampleOf, verdictOf } from './support/samples.ts'

const yaml = `
upstreams: {p: {base_url: "http://127.0.0.1:9/v1"}}
routes: [{model: "*", upstream: p, experiment: birds}]
experiments:
  birds:
    arms: {control: {weight: 1}, secretarm: {weight: 1, policy: birds/identity-etymologist}}
    check: nineteenth-century
    sample: 1
judge: {upstream: p, model: judge}
`

async function judged(ids: readonly string[], answer = (id: string) => `The answer of ${id}.`) {
  const config = configFile(yaml)
  const { checks } = loadConfigFile(config, { environment: {}, catalog: CATALOG_FOLDER })
  const checkVersion = checks.get('nineteenth-century')!.version
  const store = await openStoreAt(join(dirname(config), 'ballast.db'))
  for (const [index, id] of ids.entries()) {
    await store.offer(
      sampleOf({ id, arm: index % 2 === 0 ? 'control' : 'secretarm', checkVersion, answer: answer(id) }),
    )
    await store.addVerdict({ ...verdictOf(id, index < 2 ? 'positive' : 'negative'), checkVersion })
  }
  const labels = async () =>
    (await store.find({}, 99)).flatMap(({ labels }) => labels).sort((a, b) => a.at - b.at)
  return { config, store, labels }
}

/** Goes on as long as there are pages. */
const PAGES = 'pages'

/** Runs the command at a pseudo-terminal of 80 columns, and types each key when the next question stands there. */
async function type(args: readonly string[], keys: readonly string[]) {
  const command = [process.execPath, 'src/cli/main.ts', ...args].join(' ')
  const child = spawn('script', ['-qec', `stty cols 80 rows 24; ${command}`, '/dev/null'], {
    cwd: join(import.meta.dirname, '..'),
    env: { ...process.env, FORCE_COLOR: undefined, NO_COLOR: '1', TERM: 'xterm' },
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let shown = ''
  let answered = 0
  const left = [...keys]
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    shown += chunk
    // The question is drawn again when a key was pressed: only a new one is answered.
    const question = /\((?:p\/n\/x|y\/n)[^)]*\)\p{Cc}/u.exec(shown.slice(answered))
    if (question === null || left.length === 0) return
    const paging = left[0] === PAGES
    const more = question[0].includes('space: ')
    if (paging && !more) left.shift()
    const key = paging && more ? ' ' : left.shift()!
    answered = shown.length
    // The cursor is placed behind it with the same write; then keys are read.
    setTimeout(() => child.stdin.write(key), 150)
  })
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  return { shown, code, left }
}

describeWith(pseudoTerminal, 'ballast label at a terminal', () => {
  const label = (config: string, ...more: string[]) => [
    'label',
    '--config',
    config,
    '--experiment',
    'birds',
    '--by',
    'ann',
    ...more,
  ]

  test('asks blind, stores each label at once, goes on where it stopped, and sums up', async () => {
    const ids = ['s0', 's1', 's2', 's3', 's4', 's5']
    const { config, labels } = await judged(ids)
    const first = await type(label(config), ['p', 'n', 'q'])
    expect(first.left).toEqual([])
    expect(first.code).toBe(0)
    expect(first.shown).toContain('Check nineteenth-century')
    expect(first.shown).toContain('1 of 6')
    expect(first.shown).not.toContain('secretarm')
    const asked = first.shown.slice(0, first.shown.indexOf('2 labels of ann'))
    expect(asked).not.toMatch(/judge: (positive|negative)/)
    const given = await labels()
    expect(given.map(({ verdict, by, probability }) => [verdict, by, probability])).toEqual([
      ['positive', 'ann', 1],
      ['negative', 'ann', 1],
    ])
    const second = await type(label(config), ['s', 'x', 'n', 'p'])
    expect(second.shown).toContain('3 of 6')
    for (const { sampleId } of given) expect(second.shown).not.toContain(`The answer of ${sampleId}.`)
    expect(await labels()).toHaveLength(5)
    expect(second.shown).toContain('5 labels of ann; the judge says the same of')
    const third = await type(label(config), ['p'])
    expect(third.shown).toContain('6 of 6')
    const last = await type(label(config), [])
    expect(last.shown).toContain('ann has labelled all 6 that were chosen')
  })

  test('takes a label back with u', async () => {
    const { config, labels } = await judged(['s0', 's1', 's2', 's3'])
    const { shown } = await type(label(config), ['p', 'u', 'n', 'q'])
    expect(shown.match(/1 of 4/g)!.length).toBe(2)
    expect((await labels()).map(({ verdict }) => verdict)).toEqual(['negative'])
    await type(label(config), ['x', 'u', 's', 'q'])
    expect(await labels()).toHaveLength(1)
  })

  test('shows long and hostile answers page by page, and lets nothing of them reach the terminal', async () => {
    const answer = `\u001b]0;owned\u0007\u202e${'word '.repeat(2_000)}THE-END`
    const { config, labels } = await judged(['s0'], () => answer)
    const { shown } = await type(label(config), [PAGES, 'p'])
    expect(shown).toContain('space: ')
    expect(shown).not.toContain('\u001b]0;')
    expect(shown).not.toContain('\u202e')
    expect(shown.indexOf('THE-END')).toBeGreaterThan(shown.indexOf('space: '))
    expect(await labels()).toHaveLength(1)
  })

  test('Ctrl-C leaves, and what was labelled stays', async () => {
    const { config, labels } = await judged(['s0', 's1', 's2'])
    const { code, shown } = await type(label(config), ['p', '\u0003'])
    expect(code).toBe(0)
    expect(shown).toContain('1 label of ann')
    expect(await labels()).toHaveLength(1)
  })

  test('a higher limit corrects the probabilities of earlier labels', async () => {
    const { config, labels } = await judged(Array.from({ length: 12 }, (_, index) => `s${index}`))
    await type(label(config, '--limit', '4'), ['p', 'p', 'p', 'p'])
    const before = (await labels()).map(({ probability }) => probability)
    await type(label(config, '--limit', '12'), ['q'])
    expect(before.sort()).toEqual([0.2, 0.2, 1, 1])
    expect((await labels()).map(({ probability }) => probability)).toEqual([1, 1, 1, 1])
  })

  test('`samples delete` asks, and erases nothing unless told to', async () => {
    const { config, store } = await judged(['s0'])
    await type(['samples', 'delete', 's0', '--config', config], ['n'])
    expect(await store.howMany({ erased: true })).toBe(0)
    await type(['samples', 'delete', 's0', '--config', config], ['y'])
    expect(await store.howMany({ erased: true })).toBe(1)
  })
})

describe('ballast label', () => {
  const run = (config: string, ...more: string[]) =>
    ballast(['label', '--config', config, '--experiment', 'birds', '--by', 'bob', ...more]).finished

  test('takes labels from a file', async () => {
    const { config, labels } = await judged(['s0', 's1', 's2', 's3'])
    const file = join(dirname(config), 'labels.jsonl')
    writeFileSync(file, '{"id":"s0","verdict":"positive"}\r\n\n{"id":"s3","verdict":"excluded"}\n')
    const { code, stdout, stderr } = await run(config, '--from', file)
    expect([code, stderr]).toEqual([0, '2 labels of bob stored.\n'])
    expect(stdout).toContain('2 labels of bob; the judge says the same of 1.')
    expect(
      (await labels()).map(({ sampleId, verdict, probability }) => [sampleId, verdict, probability]),
    ).toEqual([
      ['s0', 'positive', null],
      ['s3', 'excluded', null],
    ])
  })

  test('stores nothing of a file with bad lines, and names each', async () => {
    const { config, labels } = await judged(['s0', 's1'])
    const file = join(dirname(config), 'labels.jsonl')
    const lines = [
      '{"id":"s0","verdict":"positive"}',
      'not json',
      '{"id":"s1","verdict":"postive"}',
      '{"id":"nobody","verdict":"negative"}',
      '{"id":"s0","verdict":"negative"}',
      '{"id":1}',
    ]
    writeFileSync(file, lines.join('\n'))
    const { code, stderr } = await run(config, '--from', file)
    expect(code).toBe(1)
    expect(stderr.replaceAll(file, 'FILE').trim().split('\n')).toEqual([
      'FILE:2: is not an object such as {"id": "…", "verdict": "positive"}',
      'FILE:3: "postive" is not a label, did you mean "positive"?',
      'FILE:4: there is no sample nobody',
      'FILE:5: labels s0 again, after line 1',
      'FILE:6: is not an object such as {"id": "…", "verdict": "positive"}',
      'Nothing was stored: 5 bad lines.',
    ])
    expect(await labels()).toEqual([])
  })

  test.each([
    [[], 'no terminal'],
    [['--check', 'nineteenth-centruy'], 'did you mean "nineteenth-century"?'],
    [['--from', 'no-such.jsonl'], 'no-such.jsonl cannot be read'],
  ])('called wrongly with %j ends with 2', async (options, message) => {
    const { config } = await judged(['s0'])
    const { code, stderr } = await run(config, ...options)
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)])
  })

  test('ends with 1 where nothing can be labelled', async () => {
    const { config } = await judged([])
    expect((await run(config)).code).toBe(1)
  })
})
