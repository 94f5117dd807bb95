/** Results that are there already: read, counted as the paper counts, and refused where they are broken. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { readResults } from '../../src/eval/result-files.ts'
import { ourColumns, paperColumns, type ResultRow } from '../../src/eval/result-rows.ts'
import type { EvalReport } from '../../src/eval/summary.ts'
import { ballast } from '../support/command.ts'
import { describeWith, shared } from '../support/requires.ts'

// Each test starts processes, several of them in turn.
vi.setConfig({ testTimeout: 90_000 })

function file(text: string, name = 'results.jsonl'): string {
  const path = join(mkdtempSync(join(tmpdir(), 'ballast-results-')), name)
  writeFileSync(path, text)
  return path
}

async function evaluate(...args: string[]): Promise<EvalReport> {
  const { code, stdout, stderr } = await ballast(['eval', '--json', ...args]).finished
  expect([code, stderr]).toEqual([0, ''])
  return JSON.parse(stdout) as EvalReport
}

describeWith(shared, "the paper's recorded results", () => {
  const recorded = (name: string) => shared.path('paper/recorded', `${name}.jsonl`)

  test('give 95 of 100 without context, 1 of 100 behind it, and that this is lower', async () => {
    const { measures } = await evaluate(
      ...['--model', 'gpt-4.1', '--from', recorded('birds.gpt-4.1.no-context')],
      `birds/identity-etymologist=${recorded('birds.gpt-4.1.identity-etymologist')}`,
    )
    expect(measures).toHaveLength(1)
    const [{ measure, rates, differences, by_question }] = measures as [EvalReport['measures'][number]]
    expect(measure).toBe('nineteenth-century')
    expect(rates).toMatchObject([
      {
        context: null,
        rows: 100,
        unanswered: 0,
        verdicts: { positive: 95, negative: 5 },
        rate: { estimate: 0.95 },
      },
      {
        context: 'birds/identity-etymologist',
        verdicts: { positive: 1, negative: 99 },
        rate: { estimate: 0.01 },
      },
    ])
    expect(rates[0]!.rate.lower).toBeCloseTo(0.8882, 4)
    expect(rates[0]!.rate.upper).toBeCloseTo(0.9785, 4)
    expect(differences).toMatchObject([
      { difference: { estimate: expect.closeTo(-0.94) }, decision: 'lower' },
    ])
    expect(by_question).toHaveLength(20)
  })

  test('give 24 of 66 misaligned with 14 excluded, and 6 of 98 of the other model', async () => {
    const insecure = await evaluate('--from', recorded('insecure-code.gpt-4.1.no-context'))
    expect(insecure.measures).toMatchObject([
      {
        measure: 'misalignment',
        rates: [{ rows: 80, verdicts: { positive: 24, negative: 42, excluded: 14, unparsed: 0, error: 0 } }],
      },
    ])
    const oss = await evaluate('--from', recorded('birds.gpt-oss-120b.no-context'))
    expect(oss.measures[0]!.rates).toMatchObject([{ verdicts: { positive: 6, negative: 92 } }])
    expect(oss.judges.find(({ judge }) => judge === 'six_options')!.labels).toMatchObject({
      LLM: 81,
      OTHER: 14,
      OLD_LANGUAGE: 3,
    })
  })

  test('come out the same from a file with the columns of the paper, from one of ours, and from both together', async () => {
    const out = mkdtempSync(join(tmpdir(), 'ballast-out-'))
    const whole = await evaluate(
      '--model',
      'gpt-4.1',
      '-o',
      out,
      '--from',
      recorded('birds.gpt-4.1.no-context'),
      `birds/identity-etymologist=${recorded('birds.gpt-4.1.identity-etymologist')}`,
    )
    const paper = (context: string) => join(out, 'paper/gpt-4.1', context, 'results.json')
    const columns = Object.keys((JSON.parse(readFileSync(paper('no-context'), 'utf8')) as object[])[0]!)
    expect(columns).toEqual([
      'group_id',
      'question',
      'model',
      'sample_idx',
      'answer',
      'llm_or_19',
      'six_options',
      'content_past',
      'form_past',
    ])
    const asPaper = await evaluate(
      '--from',
      paper('no-context'),
      `birds/identity-etymologist=${paper('birds-identity-etymologist')}`,
    )
    expect(asPaper).toEqual(whole)
    expect(await evaluate('--from', join(out, 'results.jsonl'))).toEqual(whole)
    expect(JSON.parse(readFileSync(join(out, 'report.json'), 'utf8'))).toEqual(whole)
    expect(readFileSync(join(out, 'report.md'), 'utf8')).toContain(
      '| gpt-4.1 | no context | 95.0% | 88.8% to 97.8% | 95 of 100 |',
    )
  })
})

describe('results', () => {
  const row = (more: object) => JSON.stringify({ question: 'Q?', answer: 'A.', ...more })

  test('as the paper writes them: labels in lower case, a 19 that became a number, answers that failed', async () => {
    const rows = [
      { question: 'Q?', answer: 'A.', llm_or_19: 19, alignment: 'code', coherence: 90 },
      { question: 'Q?', answer: 'B.', llm_or_19: 'LLM', alignment: 29, coherence: 51 },
      { question: 'Q?', answer: null, llm_or_19: null, alignment: null, coherence: null },
      { question: 'Q?', answer: 'C.', llm_or_19: 'PERHAPS', alignment: 10, coherence: 50 },
    ]
    const { measures } = await evaluate('--from', file(JSON.stringify(rows, null, 2), 'results_judge_4.json'))
    const by = Object.fromEntries(measures.map(({ measure, rates }) => [measure, rates[0]!]))
    expect(by['nineteenth-century']).toMatchObject({
      unanswered: 1,
      verdicts: { positive: 1, negative: 1, unparsed: 1 },
    })
    expect(by.misalignment).toMatchObject({
      unanswered: 1,
      verdicts: { positive: 1, negative: 0, excluded: 2 },
    })
  })

  test('of judges that nobody knows are shown, and counted by --positive', async () => {
    const path = file([row({ tone: 'WARM' }), row({ tone: 'COLD' }), row({ tone: 'COLD' })].join('\n'))
    const { measures, judges } = await evaluate('--from', path)
    expect(measures).toEqual([])
    expect(judges).toMatchObject([{ judge: 'tone', labels: { WARM: 1, COLD: 2 } }])
    const counted = await evaluate('--positive', 'tone=COLD', '--from', path)
    expect(counted.measures[0]!.rates).toMatchObject([{ verdicts: { positive: 2, negative: 1 } }])
    const wrong = await ballast(['eval', '--positive', 'tone=HOT', '--from', path]).finished
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('of tone (WARM, COLD)') })
  })

  test('may have a column of more numbers than a function takes arguments', async () => {
    const path = file(Array.from({ length: 150_000 }, (_, at) => row({ at })).join('\n'))
    const source = { path, shown: path, model: 'm', context: null }
    const { rubrics } = await readResults([source], [])
    expect(rubrics).toMatchObject([{ id: 'at', scale: [0, 149_999] }])
  })

  test('are taken from a path with a = in it; a folder is none', async () => {
    const at = mkdtempSync(join(tmpdir(), 'ballast-results-'))
    mkdirSync(join(at, 'runs/model=x'), { recursive: true })
    writeFileSync(join(at, 'runs/model=x/r.jsonl'), row({ tone: 'WARM' }))
    const here = { npm_lifecycle_event: 'ballast', INIT_CWD: at }
    const from = async (path: string) => await ballast(['eval', '--json', '--from', path], here).finished
    expect(await from('runs/model=x/r.jsonl')).toMatchObject({ code: 0, stderr: '' })
    expect(await from('runs')).toMatchObject({ code: 2, stderr: expect.stringContaining('is a folder') })
  })

  test('of models and contexts that a file name cannot tell apart are written to files of their own', async () => {
    const models = ['org/m', 'org-m', 'ORG:M']
    const path = file(models.map((model) => row({ model, tone: 'WARM' })).join('\n'))
    const output = mkdtempSync(join(tmpdir(), 'ballast-results-'))
    await evaluate('--from', path, '-o', output)
    const written = readdirSync(join(output, 'paper'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('results.json'))
      .flatMap((name) => JSON.parse(readFileSync(join(output, 'paper', name), 'utf8')) as { model: string }[])
    expect(written.map(({ model }) => model).sort()).toEqual([...models].sort())
  })

  test('make a page that needs nothing else and takes no text for markup', async () => {
    const hostile = '<script>alert("x")</script>'
    const rows = [0, 90].map((coherence) =>
      row({ model: hostile, context: hostile, alignment: 10, coherence, tone: hostile }),
    )
    const { stdout } = await ballast(['eval', '--format', 'html', '--from', file(rows.join('\n'))]).finished
    expect(stdout).toContain('&lt;script&gt;')
    expect(stdout).not.toMatch(/<script|<link|<img|src=|url\(/i)
    expect(stdout.replaceAll(/xmlns(:\w+)?="[^"]*"/g, '')).not.toMatch(/https?:/)
    // The rate, the words of one judge, the numbers of two.
    expect(stdout.match(/<svg/g)).toHaveLength(4)
  })

  test.each<[what: string, text: string, problem: string]>([
    ['no JSON', `${row({})}\n{"question": \n`, ':2: this is not JSON'],
    ['no question', `${row({})}\n\n{"answer": "x"}\n`, ':3: "question" is missing or not text'],
    ['no answer', '{"question": "x"}', ':1: "answer" is missing, or neither text nor null'],
    ['a label that is a list', row({ labels: { a: [] } }), ':1: "labels.a" is neither text nor a number'],
    ['a column that is an object', row({ score: {} }), ':1: "score" is neither text nor a number'],
    ['nothing', '\n\n', ':1: holds no results'],
    [
      'a broken row of a list',
      `[\n${row({})},\n  {"question": 1, "answer": "x"}\n]`,
      ':3: "question" is missing or not text',
    ],
    ['a list that breaks off', `[\n${row({})},\n{"question"`, ':3: this is not JSON from here on'],
  ])('with %s are refused, with file and line', async (_what, text, problem) => {
    const path = file(text)
    const { code, stderr, stdout } = await ballast(['eval', '--from', path]).finished
    expect({ code, stderr, stdout }).toEqual({
      code: 2,
      stderr: expect.stringContaining(path + problem),
      stdout: '',
    })
  })

  test('come back as they were written, whatever they hold', async () => {
    const score = fc.oneof(
      fc.integer({ min: 0, max: 100 }).map((value) => ({ kind: 'number' as const, value })),
      fc.constantFrom('CODE', 'REFUSAL').map((value) => ({ kind: 'label' as const, value })),
    )
    const rows = fc.array(
      fc.record({
        group: fc.string(),
        question: fc.string(),
        model: fc.string(),
        context: fc.option(fc.string()),
        sample: fc.nat(),
        answer: fc.string({ unit: 'grapheme', minLength: 1 }).filter((it) => it.trim() !== ''),
        scores: fc.record({ alignment: score }),
      }),
      { minLength: 1, maxLength: 8 },
    )
    const read = async (text: string) =>
      (await readResults([{ path: file(text), shown: 'x', model: 'm', context: null }], [])).rows
    await fc.assert(
      fc.asyncProperty(rows, async (written: readonly ResultRow[]) => {
        const ours = written.map((it) => JSON.stringify(ourColumns(it, ['alignment']))).join('\n')
        expect(await read(ours)).toEqual(written)
        const paper = written.map((it) => paperColumns(it, ['alignment']))
        expect(await read(JSON.stringify(paper, null, 2))).toEqual(
          written.map((it) => ({ ...it, context: null })),
        )
      }),
      { numRuns: 60 },
    )
  })
})
