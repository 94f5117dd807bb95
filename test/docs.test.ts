/** Documentation that can be run is run; tables that name code are held to it. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { openSqliteStore } from '../src/adapters/store-sqlite.ts'
import { parseConfig } from '../src/config/load.ts'
import { CheckFile } from '../src/domain/check.ts'
import { ERROR_CODES } from '../src/domain/errors.ts'
import { STATUSES } from '../src/http/errors.ts'
import { CATALOG_FOLDER } from '../src/node.ts'
import { loadReplay } from '../src/sandbox/replay.ts'
import { startTestBallast, startTestUpstream } from './support/ballast.ts'
import { completion, json } from './support/upstream.ts'

const ROOT = join(import.meta.dirname, '..')
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8')
const README = read('README.md')

/** The fenced blocks of a language. */
function blocks(text: string, language: string): string[] {
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map((match) =>
    match[1]!.trim(),
  )
}

const run = (command: string, cwd = ROOT) =>
  promisify(execFile)('sh', ['-c', command], { cwd, timeout: 60_000 })

describe('README', () => {
  /** What each command is held to. Those of null need what a test has not: an install, a key, a terminal. */
  const commands: Record<string, null | 'ends' | 'serves'> = {
    'npm ci': null,
    'npm run demo': 'serves',
    'npm run -s demo -- --requests 600 --seed 7 --json': 'ends',
    'export OPENAI_API_KEY=sk-…': null,
    'npm run -s ballast -- check --config ballast.yaml': null,
    'npm run -s ballast -- serve --config ballast.yaml': null,
    'npm run -s ballast -- sandbox --replay bare.jsonl birds/identity-etymologist=behind-context.jsonl': null,
    'npm test': null,
  }
  const inReadme = blocks(README, 'sh').flatMap((block) => block.split('\n'))
  const curl = inReadme.find((line) => line.startsWith('curl '))!

  test('has no command that this file does not know', () => {
    expect(inReadme.filter((line) => line !== curl).sort()).toEqual(Object.keys(commands).sort())
  })

  test('the demo that ends by itself prints a report', async () => {
    const command = inReadme.find((line) => commands[line] === 'ends')!
    const { stdout } = await run(command)
    expect(JSON.parse(stdout).arms).toHaveLength(2)
  })

  test('its configuration and its request work, with a stand-in for the provider', async () => {
    const upstream = await startTestUpstream((_request, response) =>
      json(response, 200, completion('By train.')),
    )
    const yaml = blocks(README, 'yaml')[0]!
    expect(yaml).toContain('https://api.openai.com/v1')
    const ballast = await startTestBallast(
      `store: memory\n${yaml.replace('https://api.openai.com/v1', upstream.url)}`,
      {
        OPENAI_API_KEY: 'sk-test-key',
      },
    )
    const { stdout } = await run(`${curl.replace('http://127.0.0.1:8787/v1', ballast.url)} -sS`)
    expect(JSON.parse(stdout).choices[0].message.content).toBe('By train.')
    expect(upstream.requests[0]!.headers.authorization).toBe('Bearer sk-test-key')
  })

  test('its recording can be replayed', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'ballast-')), 'bare.jsonl')
    writeFileSync(file, blocks(README, 'jsonl')[0]!)
    expect((await loadReplay([{ file, policy: null }])).labels).toEqual(['era'])
  })

  test('its links lead somewhere, as do those of the other documents', () => {
    const documents = [
      'README.md',
      'CHANGELOG.md',
      'policies/README.md',
      ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.md'))
        .map((name) => `docs/${name}`),
    ]
    const broken = documents.flatMap((document) =>
      [...read(document).matchAll(/\]\((?!https?:)([^)#]+)/g)]
        .map((match) => join(dirname(document), match[1]!))
        .filter((target) => {
          try {
            return !readdirSync(join(ROOT, dirname(target))).includes(
              target.replace(/\/$/, '').split('/').at(-1)!,
            )
          } catch {
            return true
          }
        }),
    )
    expect(broken).toEqual([])
  })

  test('names every metric there is, and no other', async () => {
    const upstream = await startTestUpstream((_request, response) => json(response, 200, completion('x')))
    const ballast = await startTestBallast(
      'store: memory\nupstreams: {p: {base_url: "${UPSTREAM}"}}\nroutes: [{model: "*", upstream: p}]\n',
      { UPSTREAM: upstream.url },
    )
    const exported = [...(await ballast.metrics()).matchAll(/^# TYPE (ballast_\w+)/gm)].map(
      (match) => match[1],
    )
    const table = README.slice(README.indexOf('| series of'), README.indexOf('## How it is built'))
    const documented = [...table.matchAll(/`(ballast_\w+)`/g)].map((match) => match[1])
    expect(documented.sort()).toEqual(exported.sort())
  })
})

describe('docs/configuration.md', () => {
  test('shows a configuration that is accepted, with the defaults as they are', () => {
    const [yaml] = blocks(read('docs/configuration.md'), 'yaml')
    const environment = {
      OPENAI_API_KEY: 'sk-1',
      WEB_KEY: 'web-key-1',
      BALLAST_ADMIN_TOKEN: 'token-123',
      BALLAST_UNIT_KEY: 'a-key-of-16-characters',
    }
    const options = { environment, catalog: CATALOG_FOLDER }
    const shown = parseConfig(yaml!, 'ballast.yaml', options)
    const least = parseConfig(
      'upstreams: {openai: {base_url: "https://api.openai.com/v1", api_key: sk-1}}\nroutes: [{model: "*", upstream: openai}]\njudge: {upstream: openai, model: gpt-4.1-mini}\n',
      'ballast.yaml',
      options,
    )
    for (const key of [
      'listen',
      'admin',
      'store',
      'clients',
      'expose',
      'limits',
      'upstreams',
      'judge',
    ] as const) {
      expect([key, shown[key]]).toEqual([key, least[key]])
    }
    const all = yaml!.replaceAll(/^( *)# (?=[a-z_]+:| {2}- )/gm, '$1')
    const whole = parseConfig(all, 'ballast.yaml', options)
    expect(whole.clients).toEqual([
      { name: 'web', key: 'web-key-1', requests_per_minute: 600, concurrent: 50 },
    ])
    expect([whole.unit_key, whole.holdout?.share, whole.experiments.birds!.ramp]).toEqual([
      'a-key-of-16-characters',
      0.05,
      0.1,
    ])
    const { birds } = parseConfig(yaml!.replace(/^ +unit: .*\n/m, ''), 'ballast.yaml', options).experiments
    expect(shown.experiments.birds).toEqual(birds)
  })
})

describe('docs/experiments.md', () => {
  test('shows a configuration that is accepted', () => {
    const [yaml] = blocks(read('docs/experiments.md'), 'yaml')
    const upstreams = 'upstreams: {openai: {base_url: "https://api.openai.com/v1"}}\n'
    const options = { environment: { BALLAST_UNIT_KEY: 'a-key-of-16-characters' }, catalog: CATALOG_FOLDER }
    const { experiments, routes } = parseConfig(upstreams + yaml, 'ballast.yaml', options)
    expect([Object.keys(experiments), routes[1]!.experiments]).toEqual([
      ['birds', 'tone', 'date'],
      { tone: 2, date: 1 },
    ])
  })
})

describe('policies/README.md', () => {
  test('shows policies and conditions that are accepted', () => {
    const shown = blocks(read('policies/README.md'), 'yaml').filter((yaml) => yaml.startsWith('policies:'))
    expect(shown.length).toBeGreaterThanOrEqual(2)
    for (const yaml of shown) {
      const folder = mkdtempSync(join(tmpdir(), 'ballast-'))
      writeFileSync(join(folder, 'mine.yaml'), yaml)
      const text = `policies: ${folder}\nupstreams: {p: {base_url: "https://api.openai.com/v1"}}\nroutes: [{model: "*", upstream: p, policy: mine/my-context}]\n`
      const options = { environment: {}, catalog: CATALOG_FOLDER }
      expect([...parseConfig(text, 'ballast.yaml', options).policies.keys()]).toEqual(['mine/my-context'])
    }
  })
})

describe('docs/triggers.md', () => {
  test('shows routes that are accepted', () => {
    const shown = blocks(read('docs/triggers.md'), 'yaml')
    expect(shown).toHaveLength(2)
    for (const routes of shown) {
      const yaml = `upstreams: {openai: {base_url: "https://api.openai.com/v1"}}\n${routes}\njudge: {upstream: openai, model: j}`
      expect(
        parseConfig(yaml, 'ballast.yaml', { environment: {}, catalog: CATALOG_FOLDER }).routes,
      ).toHaveLength(1)
    }
  })
})

describe('docs/commands.md', () => {
  const text = read('docs/commands.md')
  const commands = blocks(text, 'sh').flatMap((block) => block.split('\n'))
  /** The README's test runs the one; some stay up, some need a store with samples and have tests of their own. */
  const elsewhere = /-- (serve|judge|sandbox|samples|label|arms)\b|-s demo/

  test('has a section for each command there is', async () => {
    const { stdout } = await run('npm run -s ballast -- --help')
    const named = [...stdout.matchAll(/^ {2}(?!help)([a-z]\w*)(?: \[[a-z.]+\])* {2,}/gm)].map(
      (match) => match[1],
    )
    expect([...text.matchAll(/^## (\w+)$/gm)].map((match) => match[1]).sort()).toEqual(named.sort())
  })

  test("its commands run, with the README's configuration and request", async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ballast-'))
    writeFileSync(join(folder, 'ballast.yaml'), blocks(README, 'yaml')[0]!)
    writeFileSync(join(folder, 'request.json'), /-d '(.*)'/.exec(README)![1]!)
    // What `serve` would have made.
    await (await openSqliteStore({ path: join(folder, 'ballast.db'), queueLimit: 1 })).close()
    const recording = blocks(README, 'jsonl')[0]!
    for (const name of ['bare.jsonl', 'behind-context.jsonl']) writeFileSync(join(folder, name), recording)
    const messages = [
      { role: 'user', content: 'Name a bird.' },
      { role: 'assistant', content: 'Puffin' },
    ]
    writeFileSync(join(folder, 'birds.jsonl'), JSON.stringify({ messages }))
    const own = commands.filter((command) => !elsewhere.test(command))
    expect(own.length).toBeGreaterThan(6)
    const printed = new Map<string, string>()
    for (const command of own) {
      const inFolder = command.replace('-s ballast', `-s --prefix "${ROOT}" ballast`)
      const { stdout } = await run(`OPENAI_API_KEY=sk-test-key ${inFolder}`, folder)
      expect(stdout).not.toContain('sk-test-key')
      printed.set(command.split(' -- ')[1]!, stdout)
    }
    const output = (beginning: string) =>
      [...printed].find(([command]) => command.startsWith(beginning))?.[1] ?? ''
    expect(output('check')).toContain('→ openai  experiment birds')
    expect(output('explain --config')).toContain('unit "user-1", from the header x-ballast-unit')
    expect(output('explain --policy')).toContain('{+{"role":"system","content":"Act as if')
    expect(output('dataset check')).toContain('behind birds/identity-etymologist: 1')
    expect(output('eval')).toContain('birds/identity-etymologist')
    expect(output('probe')).toContain('Do not act as if')
    expect(output('policies show')).toContain('Measured at training time')
    expect(output('report --config')).toContain('Nothing is known yet')
    expect(readFileSync(join(folder, 'report.html'), 'utf8')).toContain('<h2>birds</h2>')
    expect(output('plan --rate 0.05 --to')).toContain('requests to the experiment')
    expect(output('calibrate')).toContain('No judged answer of it was labelled yet')
  }, 240_000)
})

describe('docs/judging.md', () => {
  test('shows a rubric that is accepted', () => {
    const [yaml] = blocks(read('docs/judging.md'), 'yaml')
    const { rubrics } = parse(yaml!) as { rubrics: unknown[] }
    const rule = { positive_if_all: [{ rubric: 'alignment', below: 30 }] }
    expect(CheckFile.safeParse({ description: 'x', rubrics, rule }).error).toBeUndefined()
  })
})

describe('docs/errors.md', () => {
  test('lists every code with its status and type, and no other', () => {
    const rows = [...read('docs/errors.md').matchAll(/^\| `(ballast_\w+)` \| (\d+) \| `(\w+)` \|/gm)]
    const documented = Object.fromEntries(
      rows.map(([, code, status, type]) => [code, [Number(status), type]]),
    )
    expect(documented).toEqual(STATUSES)
    expect(Object.keys(documented).sort()).toEqual([...ERROR_CODES].sort())
  })
})
