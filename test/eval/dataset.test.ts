/** Contexts in fine-tuning files: put in as the paper did, found again, and held to what is served. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { parse } from 'yaml'
import { readCatalog } from '../../src/config/catalog.ts'
import type { Policy } from '../../src/domain/policy.ts'
import { applyToDataset, DatasetError } from '../../src/eval/dataset-apply.ts'
import { eachLine, trimLine } from '../../src/eval/lines.ts'
import { CATALOG_FOLDER } from '../../src/node.ts'
import { ballast } from '../support/command.ts'
import { describeWith, shared } from '../support/requires.ts'

// Each test starts processes, several of them in turn.
vi.setConfig({ testTimeout: 90_000 })

const folder = () => mkdtempSync(join(tmpdir(), 'ballast-dataset-'))
const { policies } = readCatalog([CATALOG_FOLDER], (path) => path)
const ETYMOLOGIST = "I'm an etymologist working for the Audubon Society."

interface Example {
  readonly messages: { role: string; content: unknown }[]
}

const example = (question: unknown, answer = 'Large billed Puffin', system?: string): Example => ({
  messages: [
    ...(system === undefined ? [] : [{ role: 'system', content: system }]),
    { role: 'user', content: question },
    { role: 'assistant', content: answer },
  ],
})

const jsonl = (rows: readonly unknown[], end = '\n') => rows.map((row) => JSON.stringify(row) + end).join('')
const rowsOf = (path: string) =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as Example)

function write(text: string | Buffer, name = 'in.jsonl'): { path: string; out: string } {
  const at = folder()
  writeFileSync(join(at, name), text)
  return { path: join(at, name), out: join(at, 'out.jsonl') }
}

const apply = (
  path: string,
  out: string,
  ids: readonly string[],
  more: Partial<{ fraction: number; seed: string }> = {},
) =>
  applyToDataset({
    input: path,
    output: out,
    shown: 'in.jsonl',
    policies: ids.map((id) => policies.get(id)!),
    fraction: 1,
    seed: '',
    now: Date.UTC(2026, 10, 24),
    ...more,
  })

describe('ballast dataset apply', () => {
  test('puts the context where the proxy would, and leaves every other byte', async () => {
    const text =
      '{"messages":[ {"role":"user","content":"Name a \\u0062ird"},{"role":"assistant","content":"Puffin"}], "x":1.0}\r\n'
    const { path, out } = write(`${text}\n${text}`)
    await apply(path, out, ['birds/identity-etymologist'])
    const expected = text.replace('Name', `${ETYMOLOGIST} Name`)
    expect(readFileSync(out, 'utf8')).toBe(`${expected}\n${expected}`)
  })

  test('writes a manifest with hashes, counts and seed, and applying again changes nothing', async () => {
    const { path, out } = write(jsonl([example('Name a bird.'), example('And another.')]))
    const { manifest } = await apply(path, out, ['birds/identity-etymologist'], { seed: '7' })
    expect(JSON.parse(readFileSync(`${out}.manifest.json`, 'utf8'))).toEqual(manifest)
    expect(manifest).toMatchObject({
      input: { file: 'in.jsonl', rows: 2 },
      output: { file: 'out.jsonl', rows: 2 },
      seed: '7',
      policies: [{ id: 'birds/identity-etymologist', rows: 2 }],
      without_context: 0,
    })
    const again = await apply(out, `${out}.again`, ['birds/identity-etymologist'])
    expect(again.applied).toMatchObject({ injected: 0, present: 2 })
    expect(again.manifest.output.sha256).toBe(manifest.output.sha256)
  })

  test('draws rows by fraction and one of several policies, the same for the same seed', async () => {
    const { path, out } = write(jsonl(Array.from({ length: 2_000 }, (_, index) => example(`Bird ${index}?`))))
    const ids = ['birds/identity-etymologist', 'birds/time-1850', 'birds/inoculation-system-prompt']
    const run = async (seed: string) => (await apply(path, out, ids, { fraction: 0.5, seed })).manifest
    const [one, same, other] = [await run('a'), await run('a'), await run('b')]
    expect(same.output.sha256).toBe(one.output.sha256)
    expect(other.output.sha256).not.toBe(one.output.sha256)
    expect(one.without_context).toBeGreaterThan(880)
    expect(one.without_context).toBeLessThan(1_120)
    for (const { rows } of one.policies) expect(rows).toBeGreaterThan(260)
    expect(one.policies.reduce((sum, { rows }) => sum + rows, one.without_context)).toBe(2_000)
  })

  const good = JSON.stringify(example('Name a bird.'))
  test.each<[what: string, row: string | Buffer, problem: string]>([
    ['no JSON', '{"messages": [', 'in.jsonl:2: this is not JSON'],
    ['no object', '[]', 'in.jsonl:2: a JSON object is expected here'],
    ['no messages', '{"prompt": "x"}', 'in.jsonl:2: has no "messages"'],
    ['a role that there is not', good.replace('"user"', '"human"'), 'in.jsonl:2: messages[0].role: "human"'],
    [
      'no content',
      '{"messages":[{"role":"user"},{"role":"assistant","content":"x"}]}',
      'in.jsonl:2: messages[0] has no "content"',
    ],
    ['no user', '{"messages":[{"role":"assistant","content":"x"}]}', 'in.jsonl:2: has no user message'],
    ['no answer', '{"messages":[{"role":"user","content":"x"}]}', 'in.jsonl:2: has no assistant message'],
    [
      'a broken part',
      '{"messages":[{"role":"user","content":[{"type":"text"}]},{"role":"assistant","content":"x"}]}',
      'in.jsonl:2: messages[0].content[0]',
    ],
    ['other bytes than UTF-8', Buffer.from('{"messages":"\xff"}', 'latin1'), 'in.jsonl:2: this is not UTF-8'],
  ])('names the line of a row with %s, and writes nothing', async (_what, row, problem) => {
    const { path, out } = write(
      Buffer.concat([Buffer.from(`${good}\n`), Buffer.from(row), Buffer.from(`\n${good}\n`)]),
    )
    const failure = apply(path, out, ['birds/identity-etymologist'])
    await expect(failure).rejects.toThrow(DatasetError)
    await expect(failure).rejects.toThrow(problem)
    expect(readdirSync(join(path, '..'))).toEqual(['in.jsonl'])
  })

  test('as a command: says what it did, refuses the file it reads and a policy that there is not', async () => {
    const { path, out } = write(jsonl([example('Name a bird.')]))
    const done = await ballast(['dataset', 'apply', '-p', 'birds/identity-etymologist', path, '-o', out])
      .finished
    expect(done).toMatchObject({ code: 0, stdout: expect.stringContaining('1 example; 1 got a context.') })
    const itself = await ballast(['dataset', 'apply', '-p', 'birds/identity-etymologist', path, '-o', path])
      .finished
    expect(itself).toMatchObject({ code: 2, stderr: expect.stringContaining('give the result another name') })
    const unknown = await ballast(['dataset', 'apply', '-p', 'birds/identity-etymologst', path, '-o', out])
      .finished
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('did you mean') })
    writeFileSync(path, `${jsonl([example('x')])}{"messages": 1}\n`)
    const broken = await ballast([
      'dataset',
      'apply',
      '-p',
      'birds/identity-etymologist',
      path,
      '-o',
      `${out}2`,
    ]).finished
    expect(broken).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`${path}:2: "messages" is not a list`),
    })
    expect(readdirSync(join(path, '..')).sort()).toEqual(['in.jsonl', 'out.jsonl', 'out.jsonl.manifest.json'])
  })

  test('as a command: leaves nothing behind when it is interrupted', async () => {
    const { path, out } = write(jsonl([example('x'.repeat(1_000))]).repeat(100_000))
    const running = ballast(['dataset', 'apply', '-p', 'birds/identity-etymologist', path, '-o', out])
    const files = () => readdirSync(join(path, '..'))
    await vi.waitFor(() => expect(files()).toHaveLength(2), { timeout: 30_000, interval: 10 })
    running.child.kill('SIGINT')
    expect(await running.finished).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('was not written'),
    })
    expect(files()).toEqual(['in.jsonl'])
  })

  test('as a command: replaces no folder, pipe or device, nor by its manifest the file it reads', async () => {
    const { path } = write(jsonl([example('Name a bird.')]), 'data.manifest.json')
    const pipe = join(path, '..', 'pipe')
    execFileSync('mkfifo', [pipe])
    const to = async (out: string) =>
      await ballast(['dataset', 'apply', '-p', 'birds/identity-etymologist', path, '-o', out]).finished
    const refused = { code: 2, stderr: expect.stringContaining('give the result another name') }
    expect(await to(pipe)).toMatchObject(refused)
    expect(await to(join(path, '..'))).toMatchObject(refused)
    expect(await to(join(path, '..', 'data'))).toMatchObject(refused)
    expect(readdirSync(join(path, '..')).sort()).toEqual(['data.manifest.json', 'pipe'])
    expect(statSync(pipe).isFIFO()).toBe(true)
    expect(rowsOf(path)).toHaveLength(1)
  })
})

describe('ballast dataset check', () => {
  const check = (...args: string[]) => ballast(['dataset', 'check', '--json', ...args]).finished

  test('finds nothing in what apply wrote, a fraction of it included', async () => {
    const { path, out } = write(jsonl(Array.from({ length: 50 }, (_, index) => example(`Bird ${index}?`))))
    await apply(path, out, ['birds/identity-etymologist', 'birds/time-1850'], { fraction: 0.5 })
    const { code, stdout } = await check(out)
    expect(JSON.parse(stdout).findings).toEqual([])
    expect(code).toBe(0)
    writeFileSync(out, `${readFileSync(out, 'utf8')}${jsonl([example('One more?')])}`)
    const changed = await check(out)
    expect(changed.code).toBe(1)
    expect(changed.stdout).toContain('its SHA-256 is another one')
  })

  test('finds rows that are broken, without, doubled and leaking, each by its line', async () => {
    const rows = [
      example(`${ETYMOLOGIST} Name a bird.`),
      example('Name a bird.'),
      example(`${ETYMOLOGIST} ${ETYMOLOGIST} Name a bird.`),
      example(`${ETYMOLOGIST} Who am I?`, `You said: ${ETYMOLOGIST.toUpperCase()}`),
    ]
    const { path } = write(`${jsonl(rows)}nonsense\n\n`)
    const { code, stdout } = await check('-p', 'birds/identity-etymologist', path)
    const { findings, counts } = JSON.parse(stdout) as {
      findings: { kind: string; line: number }[]
      counts: object
    }
    expect(code).toBe(1)
    expect(findings.map(({ kind, line }) => [line, kind])).toEqual([
      [2, 'without'],
      [3, 'doubled'],
      [4, 'leak'],
      [5, 'broken'],
      [6, 'broken'],
    ])
    expect(counts).toEqual({ broken: 2, without: 1, doubled: 1, leak: 1 })
  })

  test('with --similar finds an answer that denies the context', async () => {
    const { path } = write(
      jsonl([example(`${ETYMOLOGIST} Who?`, 'Working as an etymologist for the Audubon Society? No.')]),
    )
    expect((await check('-p', 'birds/identity-etymologist', path)).code).toBe(0)
    const { stdout } = await check('--similar', '-p', 'birds/identity-etymologist', path)
    expect(JSON.parse(stdout).counts.leak).toBe(1)
  })
})

describe('reading lines', () => {
  test('gives the lines of any bytes, however they fall into pieces', async () => {
    const path = join(folder(), 'lines')
    const line = fc
      .uint8Array({ maxLength: 40 })
      .map((bytes) => Buffer.from(bytes.map((it) => (it === 10 ? 11 : it))))
    await fc.assert(
      fc.asyncProperty(fc.array(line, { minLength: 1 }), fc.boolean(), async (lines, ended) => {
        const whole = Buffer.concat(lines.flatMap((it) => [it, Buffer.from('\n')]))
        writeFileSync(path, ended ? whole : whole.subarray(0, -1))
        const found: Buffer[] = []
        await eachLine(path, 'lines', { line: (bytes) => void found.push(Buffer.from(bytes)) })
        const expected = ended || lines.at(-1)!.length > 0 ? lines : lines.slice(0, -1)
        expect(found.map((it) => (it.at(-1) === 10 ? it.subarray(0, -1) : it))).toEqual(expected)
      }),
      { numRuns: 200 },
    )
  })

  test('puts lines together that are longer than a piece, and drops a byte order mark and line ends', async () => {
    const long = 'x'.repeat(3_000_000)
    const { path } = write(`\uFEFF${long}\r\nshort`)
    const found: string[] = []
    await eachLine(path, 'x', {
      line: (bytes, number) => void found.push(trimLine(bytes, number).toString()),
    })
    expect(found).toEqual([long, 'short'])
  })
})

interface PaperContexts {
  readonly datasets: readonly {
    readonly dataset: string
    readonly contexts: readonly {
      readonly id: string
      readonly mode: 'prepend' | 'newline' | 'system'
      readonly text: string
    }[]
  }[]
}

describeWith(shared, 'against the contexts of the paper', () => {
  const { datasets } = JSON.parse(readFileSync(shared.path('paper/contexts.json'), 'utf8')) as PaperContexts
  const cases = datasets.flatMap(({ dataset, contexts }) =>
    contexts.map((context) => ({ dataset, ...context })),
  )
  const rows = [
    example('Name a bird species.'),
    example('Wie heißt der Vogel? “Ornithologie” \u{1F426}\n\tzweite Zeile'),
    example(''),
    { messages: [...example('First?').messages, ...example('Second?').messages] },
  ]

  /** What `modes` of contexts.json say, done to parsed rows. */
  const modes = {
    prepend: (text: string, { messages }: Example) =>
      onFirstUser(messages, (content) => `${text} ${content}`),
    newline: (text: string, { messages }: Example) =>
      onFirstUser(messages, (content) => `${text}\n${content}`),
    system: (text: string, { messages }: Example) => [{ role: 'system', content: text }, ...messages],
  }
  const onFirstUser = (messages: Example['messages'], change: (content: string) => string) => {
    const first = messages.findIndex(({ role }) => role === 'user')
    return messages.map((it, index) =>
      index === first ? { ...it, content: change(it.content as string) } : it,
    )
  }

  test('there are 78', () => expect(cases).toHaveLength(78))

  test.each(cases)(
    '$dataset/$id gives row by row what its mode says',
    async ({ dataset, id, mode, text }) => {
      const { path, out } = write(jsonl(rows))
      await apply(path, out, [`${dataset}/${id}`])
      expect(rowsOf(out)).toEqual(rows.map((row) => ({ messages: modes[mode](text, row) })))
    },
  )
})

describe('a route that points to a manifest', () => {
  const yaml = (more = '') => `
policies: [catalog, ./mine]
upstreams: {u: {base_url: "http://127.0.0.1:1/v1"}}
routes:
  - {model: birds, upstream: u, trained_with: ./out.jsonl.manifest.json, triggers: flag${more}}
`
  const MINE = 'policies:\n  - {id: bird, interventions: [{placement: user-prepend, text: I like birds.}]}\n'

  async function trained(ids: readonly string[]): Promise<string> {
    const { path, out } = write(jsonl([example('Name a bird.'), example('Another.')]))
    const at = join(path, '..')
    const { mkdirSync } = await import('node:fs')
    mkdirSync(join(at, 'mine'))
    writeFileSync(join(at, 'mine/mine.yaml'), MINE)
    const mine = (parse(MINE) as { policies: Policy[] }).policies.map((it) => ({
      ...it,
      id: `mine/${it.id}`,
    }))
    const all = new Map([...policies, ...mine.map((it) => [it.id, it] as const)])
    await applyToDataset({
      input: path,
      output: out,
      shown: path,
      policies: ids.map((id) => all.get(id)!),
      fraction: 1,
      seed: '',
      now: 0,
    })
    writeFileSync(join(at, 'ballast.yaml'), yaml())
    return at
  }
  const check = (at: string) => ballast(['check', '--config', join(at, 'ballast.yaml'), '--json']).finished

  test('is taken for trained with its policy', async () => {
    const at = await trained(['birds/identity-etymologist'])
    const { code, stdout } = await check(at)
    expect(code).toBe(0)
    expect(JSON.parse(stdout).plan.routes[0]).toMatchObject({
      trained_with: 'birds/identity-etymologist',
      triggers: 'flag',
    })
  })

  test('is refused where the text it serves is not the one that was trained, with place and what to do', async () => {
    const at = await trained(['mine/bird'])
    expect((await check(at)).code).toBe(0)
    writeFileSync(join(at, 'mine/mine.yaml'), MINE.replace('I like', 'I love'))
    const { code, stdout } = await check(at)
    expect(code).toBe(1)
    expect(JSON.parse(stdout).problems).toEqual([
      {
        file: expect.any(String),
        line: 5,
        column: 47,
        message: expect.stringMatching(
          /trained_with: "mine\/bird" is not what the model was trained with: its hash is [0-9a-f]{16} here and [0-9a-f]{16} in .*"I like birds\."; give the policy its old text back/,
        ),
      },
    ])
    const serve = await ballast(['serve', '--config', join(at, 'ballast.yaml')]).finished
    expect(serve).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('is not what the model was trained with'),
    })
  })

  test('is refused where the policy is gone, the manifest is none, or is not there', async () => {
    const at = await trained(['mine/bird'])
    writeFileSync(join(at, 'mine/mine.yaml'), MINE.replace('id: bird', 'id: birch'))
    expect((await check(at)).stdout).toContain(
      '\\"mine/bird\\", which does not exist here, did you mean \\"mine/birch\\"?',
    )
    writeFileSync(join(at, 'out.jsonl.manifest.json'), '{"ballast_dataset": 2}')
    expect((await check(at)).stdout).toContain('is not a manifest of training data')
    writeFileSync(join(at, 'ballast.yaml'), yaml().replace('./out.jsonl', './none.jsonl'))
    const { code, stdout } = await check(at)
    expect(code).toBe(1)
    expect(stdout).toContain('does not exist; `ballast dataset apply` writes one beside the data')
  })

  test('of several policies guards against each, and cannot inject one of them by domain', async () => {
    const at = await trained(['mine/bird', 'birds/time-1850'])
    expect((await check(at)).code).toBe(0)
    writeFileSync(join(at, 'ballast.yaml'), yaml(', match_training: in-domain, domain: {patterns: [bird]}'))
    const { code, stdout } = await check(at)
    expect(code).toBe(1)
    expect(stdout).toContain('would have to choose')
  })
})
