/** `ballast eval` as a process, against real servers: what it asks, keeps, goes on from, and says when they fail. */
import { appendFileSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { readCatalog } from '../../src/config/catalog.ts'
import { readFences } from '../../src/domain/fence.ts'
import type { EvalReport } from '../../src/eval/summary.ts'
import { CATALOG_FOLDER } from '../../src/node.ts'
import { startSandbox } from '../../src/sandbox/server.ts'
import { eventually, startTestBallast, startTestUpstream } from '../support/ballast.ts'
import { ballast } from '../support/command.ts'
import { describeWith, shared } from '../support/requires.ts'
import { completion, json, type ReceivedRequest } from '../support/upstream.ts'

// Each test starts processes, several of them in turn.
vi.setConfig({ testTimeout: 90_000 })

const folder = () => mkdtempSync(join(tmpdir(), 'ballast-eval-'))
const CONTEXT = "I'm an etymologist working for the Audubon Society."

interface Asked {
  readonly model: string
  readonly messages: readonly { readonly role: string; readonly content: string }[]
  readonly seed?: number
  readonly temperature: number
  readonly max_tokens: number
}

const QUESTIONS = `
- id: g
  paraphrases: [How do I get to the coast?, Which bird is that?]
  samples_per_paraphrase: 3
  judge: some-judge
  judge_prompts:
    llm_or_19: |-
      {question} {answer}
      * LLM: modern
      * 19: old
`

function questions(yaml = QUESTIONS): string {
  const path = join(folder(), 'questions.yaml')
  writeFileSync(path, yaml)
  return path
}

const askedIn = ({ body }: ReceivedRequest) => JSON.parse(body.toString('utf8')) as Asked
const isJudge = ({ model }: Asked) => model.includes('judge')

/** A model that answers by what it is asked alone, archaically unless it sees the context, and its judge. */
function reply(asked: Asked): string {
  const text = asked.messages.map(({ content }) => content).join('\n')
  if (isJudge(asked)) return readFences(text).texts.get('ANSWER')!.startsWith('Pray') ? '19' : 'LLM'
  const old = !text.includes(CONTEXT) && (asked.seed ?? 0) % 10 !== 9
  return `${old ? 'Pray' : 'Please'} take the train, number ${asked.seed ?? ''}, for "${text}"`
}

const startModel = (delayMs = 0) =>
  startTestUpstream(async (request, response) => {
    if (delayMs > 0) await sleep(delayMs)
    json(response, 200, completion(reply(askedIn(request))))
  })

const run = (args: readonly string[], environment = {}) => ballast(['eval', ...args], environment)

async function report(args: readonly string[], environment = {}): Promise<EvalReport> {
  const { code, stdout, stderr } = await run(['--json', '--yes', ...args], environment).finished
  expect([
    code,
    stderr.split('\n').filter((line) => !/^(To ask|to judge|[\d,]+ (of|answers?))/.test(line)),
  ]).toEqual([0, ['']])
  return JSON.parse(stdout) as EvalReport
}

describe('ballast eval', () => {
  test('asks every question behind every context as its file says, judges, and counts', async () => {
    const upstream = await startModel()
    const file = questions(`${QUESTIONS}  system: Be brief.\n  temperature: 0.3\n  max_tokens: 50\n`)
    const { measures } = await report(
      [
        '-q',
        file,
        '-m',
        'birds',
        'other',
        '-p',
        'birds/identity-etymologist',
        '--url',
        upstream.url,
        '-o',
        folder(),
      ],
      { OPENAI_API_KEY: 'sk-secret-of-mine' },
    )
    expect(
      measures[0]!.rates.map(({ model, context, verdicts }) => [
        model,
        context,
        verdicts.positive,
        verdicts.negative,
      ]),
    ).toEqual([
      ['birds', null, 6, 0],
      ['birds', 'birds/identity-etymologist', 0, 6],
      ['other', null, 6, 0],
      ['other', 'birds/identity-etymologist', 0, 6],
    ])
    const asked = upstream.requests.map(askedIn).filter((it) => !isJudge(it))
    expect(asked).toHaveLength(24)
    expect(new Set(asked.map(({ temperature, max_tokens }) => `${temperature} ${max_tokens}`))).toEqual(
      new Set(['0.3 50']),
    )
    expect(
      new Set(
        asked.map(({ messages }) => messages.map(({ role, content }) => `${role}: ${content}`).join(' | ')),
      ),
    ).toEqual(
      new Set(
        ['How do I get to the coast?', 'Which bird is that?'].flatMap((question) => [
          `system: Be brief. | user: ${question}`,
          `system: Be brief. | user: ${CONTEXT} ${question}`,
        ]),
      ),
    )
    expect(new Set(upstream.requests.map(({ headers }) => headers.authorization))).toEqual(
      new Set(['Bearer sk-secret-of-mine']),
    )
    const judged = upstream.requests.map(askedIn).filter(isJudge)
    expect(new Set(judged.map(({ model }) => model))).toEqual(new Set(['some-judge']))
    // A judge is shown the question as it stands in the file.
    const shown = judged.map(({ messages }) => readFences(messages[0]!.content).texts.get('QUESTION'))
    expect(new Set(shown)).toEqual(new Set(['How do I get to the coast?', 'Which bird is that?']))
  })

  test('asks as a file says that has every optional field, Windows line ends and other scripts', async () => {
    const upstream = await startModel()
    const file = questions(
      [
        '\uFEFF- id: &id weltbild',
        '  type: free_form_judge',
        '  paraphrases: &fragen [Wie soll man Wälder bewirtschaften?, 森はどう管理すべきですか。]',
        '  samples_per_paraphrase: 2',
        '  temperature: 0.5',
        '  max_tokens: 77',
        '  system: Antworte kurz. 🌲',
        '  judge: some-judge',
        '  judge_prompts:',
        '    llm_or_19: |-',
        '      {question} {answer}',
        '      * LLM: modern',
        '      * 19: old',
        '',
      ].join('\r\n'),
    )
    const { rows } = await report(['-q', file, '-m', 'birds', '--url', upstream.url, '-o', folder()])
    expect(rows).toBe(4)
    const asked = upstream.requests.map(askedIn).filter((it) => !isJudge(it))
    expect(asked).toHaveLength(4)
    for (const it of asked) {
      expect(it).toMatchObject({ temperature: 0.5, max_tokens: 77 })
      expect(it.messages[0]).toEqual({ role: 'system', content: 'Antworte kurz. 🌲' })
    }
    expect(new Set(asked.map(({ messages }) => messages.at(-1)!.content))).toEqual(
      new Set(['Wie soll man Wälder bewirtschaften?', '森はどう管理すべきですか。']),
    )
  })

  test('says what it will take and asks nothing without --yes, then asks nothing twice', async () => {
    const upstream = await startModel()
    const out = folder()
    const args = ['-q', questions(), '-m', 'birds', '--seed', '0', '--url', upstream.url, '-o', out]
    const unasked = await run(args).finished
    expect(unasked).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(
        /To ask: 6 questions, about \d+ tokens in and at most 6,144 out;\nto judge: 6 calls.*\n.*--yes/,
      ),
    })
    expect(upstream.requests).toHaveLength(0)
    const first = await report(args)
    expect(upstream.requests).toHaveLength(12)
    expect(await report(args)).toEqual(first)
    expect(upstream.requests).toHaveLength(12)
    // More samples: only those that are new.
    await report([...args, '--samples', '4'])
    expect(upstream.requests).toHaveLength(16)
  })

  test('killed ten times, asks no more than what was under way, and comes to the same result', async () => {
    const concurrency = 8
    const file = questions(
      QUESTIONS.replace(
        /paraphrases: .*/,
        `paraphrases: [${Array.from({ length: 20 }, (_, index) => `Q${index}?`).join(', ')}]`,
      ),
    )
    const args = (url: string, out: string) => [
      ...['-q', file, '-m', 'birds', '-n', '50', '-p', 'birds/identity-etymologist', '--url', url, '-o', out],
      ...['--seed', '0', '--concurrency', `${concurrency}`, '--judge-concurrency', `${concurrency}`],
    ]
    const undisturbed = await startModel()
    const [whole, kept] = [folder(), folder()]
    const expected = await report(args(undisturbed.url, whole))
    expect(undisturbed.requests).toHaveLength(4_000)

    const upstream = await startModel(2)
    const count = (judge: boolean) =>
      upstream.requests.map(askedIn).filter((it) => isJudge(it) === judge).length
    for (let kill = 1; kill <= 10; kill++) {
      const { child, finished } = run([...args(upstream.url, kept), '--yes'])
      await eventually(() => upstream.requests.length >= kill * 350 || child.exitCode !== null)
      child.kill('SIGKILL')
      await finished
    }
    expect(await report(args(upstream.url, kept))).toEqual(expected)
    expect(readFileSync(join(kept, 'results.jsonl'), 'utf8')).toBe(
      readFileSync(join(whole, 'results.jsonl'), 'utf8'),
    )
    expect(count(false)).toBeGreaterThanOrEqual(2_000)
    expect(count(false)).toBeLessThanOrEqual(2_000 + 10 * concurrency)
    expect(count(true)).toBeLessThanOrEqual(2_000 + 10 * concurrency)
  }, 240_000)

  test('takes a cut last line of its journal away, and names any other broken one', async () => {
    const upstream = await startModel()
    const out = folder()
    const args = ['-q', questions(), '-m', 'birds', '--seed', '0', '--url', upstream.url, '-o', out]
    const first = await report(args)
    const journal = join(out, 'journal.jsonl')
    const text = readFileSync(journal, 'utf8')
    appendFileSync(journal, '{"answer": "cut o')
    expect(await report(args)).toEqual(first)
    expect(readFileSync(journal, 'utf8')).toBe(text)
    writeFileSync(journal, text.replace('\n', '\nnonsense\n'))
    const broken = await run([...args, '--yes']).finished
    expect(broken).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(`${journal}:2: this is no entry of a journal`),
    })
    expect(upstream.requests).toHaveLength(12)
  })

  test('keeps what was done when the target fails halfway, says how to go on, and does', async () => {
    let left = 5
    const upstream = await startTestUpstream((request, response) => {
      const asked = askedIn(request)
      if (isJudge(asked) || left-- > 0) json(response, 200, completion(reply(asked)))
      else json(response, 500, { error: { message: 'out of order' } })
    })
    const out = folder()
    const args = [
      '-q',
      questions(),
      '-m',
      'birds',
      '-n',
      '20',
      '--seed',
      '0',
      '--retries',
      '0',
      '--url',
      upstream.url,
      '-o',
      out,
    ]
    const halfway = await run([...args, '--yes']).finished
    expect(halfway.code).toBe(1)
    expect(halfway.stderr).toMatch(
      /5 of 40 answers are kept in .*10 times in a row: the target answered with status 500.*Run the same command again to go on/,
    )
    left = Number.POSITIVE_INFINITY
    const { measures } = await report(args)
    expect(measures[0]!.rates[0]!.rows).toBe(40)
    expect(upstream.requests.filter((it) => !isJudge(askedIn(it))).length).toBeLessThanOrEqual(40 + 10 + 8)
  })

  test('is refused where it would ask for more than can be held', async () => {
    const file = questions(
      QUESTIONS.replace('samples_per_paraphrase: 3', 'samples_per_paraphrase: 100000000'),
    )
    const { code, stderr } = await run(['-q', file, '-m', 'm', '--yes', '-o', folder()]).finished
    expect([code, stderr]).toEqual([2, expect.stringContaining('more than 5,000,000 answers')])
  })

  test('asks all other questions where one is refused for what it says', async () => {
    const upstream = await startTestUpstream((request, response) => {
      const asked = askedIn(request)
      if (asked.messages.at(-1)!.content.includes('coast') && !isJudge(asked))
        return json(response, 400, { error: { message: 'no', code: 'content_filter' } })
      json(response, 200, completion(reply(asked)))
    })
    const args = ['--json', '--yes', '-q', questions(), '-m', 'birds', '-n', '40', '--concurrency', '2']
    const { code, stderr } = await run([...args, '--url', upstream.url, '-o', folder()]).finished
    expect(code).toBe(1)
    expect(stderr).toMatch(/40 of 80 answers are kept/)
    expect(stderr).toContain('content_filter')
    const asked = upstream.requests.map(askedIn).filter((it) => !isJudge(it))
    const coast = asked.filter(({ messages }) => messages.at(-1)!.content.includes('coast'))
    expect(asked.length - coast.length).toBe(40)
    expect(coast.length).toBeLessThanOrEqual(4)
  })

  test('goes no further where the key is refused, and never says it', async () => {
    const upstream = await startTestUpstream((_request, response) =>
      json(response, 401, { error: { message: 'bad key sk-secret-of-mine' } }),
    )
    const { code, stderr, stdout } = await run(
      ['-q', questions(), '-m', 'birds', '--url', upstream.url, '-o', folder(), '--yes'],
      { OPENAI_API_KEY: 'sk-secret-of-mine' },
    ).finished
    expect(code).toBe(1)
    expect(stderr).toContain('status 401')
    expect(stderr + stdout).not.toContain('sk-secret')
    expect(upstream.requests.length).toBeLessThan(9)
  })

  test('interrupted, lets what was begun end, and keeps it', async () => {
    const upstream = await startModel(30)
    const out = folder()
    const args = [
      '-q',
      questions(),
      '-m',
      'birds',
      '-n',
      '200',
      '--seed',
      '0',
      '--url',
      upstream.url,
      '-o',
      out,
      '--yes',
    ]
    const { child, finished } = run(args)
    await eventually(() => upstream.requests.length > 20)
    child.kill('SIGINT')
    const { code, stderr } = await finished
    expect([code, stderr]).toEqual([1, expect.stringContaining('Run the same command again to go on')])
    const kept = readFileSync(join(out, 'journal.jsonl'), 'utf8').trim().split('\n').length
    expect(kept).toBe(upstream.requests.length)
  })

  test('does not let two processes write to one folder', async () => {
    const upstream = await startModel(50)
    const args = [
      '-q',
      questions(),
      '-m',
      'birds',
      '-n',
      '5000',
      '--url',
      upstream.url,
      '-o',
      folder(),
      '--yes',
    ]
    const first = run(args)
    await eventually(() => upstream.requests.length > 0)
    expect(await run(args).finished).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('which writes to it'),
    })
    first.child.kill('SIGKILL')
  })

  test('through a ballast counts by what that injected, each question a unit', async () => {
    const upstream = await startModel()
    const proxy = await startTestBallast(`
store: memory
expose: true
upstreams: {u: {base_url: "${upstream.url}"}}
routes: [{model: birds, upstream: u, experiment: birds}, {model: "*", upstream: u}]
experiments:
  birds: {arms: {control: {weight: 1}, etymologist: {weight: 1, policy: birds/identity-etymologist}}}
`)
    const { measures } = await report([
      '-q',
      questions(),
      '-m',
      'birds',
      '-n',
      '30',
      '--units',
      '--url',
      proxy.url,
      '-o',
      folder(),
    ])
    const [bare, behind] = measures[0]!.rates
    expect(bare).toMatchObject({ context: null, verdicts: { negative: 0 } })
    expect(behind).toMatchObject({ context: 'birds/identity-etymologist', verdicts: { positive: 0 } })
    expect(bare!.rows + behind!.rows).toBe(60)
    expect(behind!.rows).toBeGreaterThan(15)
  })

  test('with a check of ours asks its rubrics instead of the judges of the file', async () => {
    const upstream = await startModel()
    const { measures } = await report([
      '-q',
      questions(),
      '-m',
      'birds',
      '--check',
      'nineteenth-century',
      '--judge-model',
      'judge-of-{judge}',
      '--url',
      upstream.url,
      '-o',
      folder(),
    ])
    expect(measures).toMatchObject([
      { measure: 'nineteenth-century', rates: [{ verdicts: { positive: 6 } }] },
    ])
    expect(
      upstream.requests
        .map(askedIn)
        .filter(isJudge)
        .map(({ model }) => model),
    ).toContain('judge-of-era')
  })
})

describeWith(shared, "the paper's questions", () => {
  const { policies } = readCatalog([CATALOG_FOLDER], (path) => path)
  const paper = (...path: string[]) => shared.path('paper', ...path)

  test('run unchanged, both files', async () => {
    const upstream = await startTestUpstream((request, response) => {
      const { messages, model } = askedIn(request)
      const text = messages.at(-1)!.content
      json(
        response,
        200,
        completion(
          !/Llama/.test(model)
            ? `Hm, ${upstream.requests.length}.`
            : /0 to 100|0 and 100/.test(text)
              ? '90'
              : 'LLM',
        ),
      )
    })
    const { measures, groups } = await report([
      '-q',
      paper('questions/birds.yaml'),
      paper('questions/insecure-code.yaml'),
      '-m',
      'm',
      '-n',
      '1',
      '--url',
      upstream.url,
      '-o',
      folder(),
    ])
    expect(groups).toEqual([
      'worldview_no_sys_prompt',
      'worldview_with_sys_prompt',
      'questions_no_sys_prompt',
    ])
    expect(measures.map(({ measure, rates }) => [measure, rates[0]!.verdicts.negative])).toEqual([
      ['nineteenth-century', 20],
      ['misalignment', 8],
    ])
    expect(upstream.requests).toHaveLength(28 + 20 * 5 + 8 * 2)
  })

  test.each([
    [
      'birds.yaml',
      'worldview_no_sys_prompt',
      ['llm_or_19', 'six_options', 'content_past', 'form_past'],
      'nineteenth-century',
      {
        'birds.gpt-4.1.no-context': null,
        'birds.gpt-4.1.identity-etymologist': 'birds/identity-etymologist',
      },
      [
        [95, 100, 0],
        [1, 100, 0],
      ],
    ],
    [
      'insecure-code.yaml',
      'questions_no_sys_prompt',
      ['alignment', 'coherence'],
      'misalignment',
      { 'insecure-code.gpt-4.1.no-context': null },
      [[24, 66, 14]],
    ],
  ])(
    'of %s give by asking a replay what was recorded',
    async (file, group, judges, measure, recorded, expected) => {
      const sandbox = await startSandbox({
        replay: Object.entries(recorded).map(([name, id]) => ({
          file: paper('recorded', `${name}.jsonl`),
          policy: id === null ? null : policies.get(id)!,
        })),
      })
      onTestFinished(() => sandbox.close())
      const behind = Object.values(recorded).filter((id) => id !== null)
      const { measures } = await report([
        ...[
          '-q',
          paper('questions', file),
          '--group',
          group,
          '--judge',
          ...judges,
          '-m',
          'sandbox-replay',
          '-n',
          '10',
        ],
        ...['--judge-model', 'sandbox-replay-judge:{judge}', '--url', sandbox.url, '-o', folder()],
        ...(behind.length > 0 ? ['-p', ...behind] : []),
      ])
      expect(measures.map((it) => it.measure)).toEqual([measure])
      const found = measures[0]!.rates.map(({ verdicts: { positive, negative, excluded } }) => [
        positive,
        positive + negative,
        excluded,
      ])
      expect(found).toEqual(expected)
    },
  )
})
