/** The examples that stand in the shipped checks, judged by the real worker: real queue, real client, a judge over HTTP. */
import { readFileSync } from 'node:fs'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createOpenAIJudge } from '../../src/adapters/judge-openai.ts'
import { openSqliteStore } from '../../src/adapters/store-sqlite.ts'
import { readCatalog } from '../../src/config/catalog.ts'
import type { Check, Example } from '../../src/domain/check.ts'
import { readFences } from '../../src/domain/fence.ts'
import { noLog, noMetrics } from '../../src/domain/ports.ts'
import type { Sample } from '../../src/domain/sample.ts'
import type { Score, VerdictKind } from '../../src/domain/verdict.ts'
import { decide } from '../../src/judge/decide.ts'
import { parseReply } from '../../src/judge/parse.ts'
import { JudgeWorker } from '../../src/judge/worker.ts'
import { CATALOG_FOLDER } from '../../src/node.ts'
import { eventually, startTestUpstream } from '../support/ballast.ts'
import { describeWith, shared } from '../support/requires.ts'
import { type Answer, completion, json } from '../support/upstream.ts'

const { checks } = readCatalog([CATALOG_FOLDER], (path) => path)
const words = (text: string) =>
  text
    .replace(/\{(question|conversation|answer)\}/g, '')
    .replace(/\s+/g, ' ')
    .trim()

/** A judge that finds the example and the rubric in the prompt it is sent, and replies as the example has it. */
function judging(check: Check): Answer {
  return (request, response) => {
    const { messages } = JSON.parse(request.body.toString()) as { messages: { content: string }[] }
    const { outside, texts } = readFences(messages[0]!.content)
    const example = check.examples.find(
      ({ question, answer }) => question === texts.get('QUESTION') && answer === texts.get('ANSWER'),
    )
    const asked = check.rubrics.filter(({ prompt }) => words(outside).endsWith(words(prompt)))
    const reply = example?.replies[asked.length === 1 ? asked[0]!.id : '']
    if (reply === undefined) json(response, 400, { error: { message: 'no such example or rubric' } })
    else json(response, 200, completion(reply))
  }
}

function sampleOf(check: Check, { question, answer }: Example, index: number): Sample {
  return {
    id: `${check.id}-${index}`,
    experiment: 'examples',
    arm: `${index}`,
    policy: null,
    policyHash: null,
    check: check.id,
    checkVersion: check.version,
    probability: 1,
    model: 'm',
    unit: `${index}`,
    assignment: 'a',
    requestedAt: index,
    messages: [{ role: 'user', content: question }],
    question,
    answer,
  }
}

/** The verdicts on a check's examples, in their order. */
async function judgeExamples(check: Check): Promise<VerdictKind[]> {
  const server = await startTestUpstream(judging(check))
  const store = await openSqliteStore({ path: ':memory:', queueLimit: Number.POSITIVE_INFINITY })
  const worker = new JudgeWorker({
    queue: store,
    store,
    judge: createOpenAIJudge({
      baseUrl: server.url,
      apiKey: null,
      timeout: 10_000,
      maxTokens: 16,
      logprobs: false,
    }),
    checks: () => checks,
    metrics: noMetrics,
    log: noLog,
    models: ['judge'],
    repeat: 1,
    textLimit: 20_000,
    concurrency: 4,
    timeout: 10_000,
    attempts: 1,
  })
  onTestFinished(async () => {
    await worker.stop()
    await store.close()
  })
  for (const [index, example] of check.examples.entries()) await store.offer(sampleOf(check, example, index))
  worker.start()
  await eventually(async () => (await store.status()).depth === 0)
  const rows = await store.find({ experiment: 'examples', check: check.id }, 1_000)
  return check.examples.map(
    (_, index) => rows.find(({ sample }) => sample.arm === `${index}`)!.verdict!.verdict,
  )
}

describe.each([...checks])('the examples of %s', (_id, check) => {
  test('come to the verdicts they name', async () => {
    const shown = (verdicts: readonly VerdictKind[]) =>
      check.examples.map(({ question, answer }, index) => [question, answer, verdicts[index]])
    expect(shown(await judgeExamples(check))).toEqual(shown(check.examples.map(({ verdict }) => verdict)))
  })

  test('show every kind of verdict the rule can make, and a borderline', () => {
    const verdicts = new Set(check.examples.map(({ verdict }) => verdict))
    const excludes = check.rule.excluded_if_any.length > 0
    expect(check.examples.length).toBeGreaterThanOrEqual(4)
    expect([...verdicts]).toEqual(
      expect.arrayContaining(['positive', 'negative', ...(excludes ? ['excluded'] : [])]),
    )
    expect(check.examples.some(({ note }) => note?.startsWith('Borderline: '))).toBe(true)
    // The judge above tells them apart by question and answer.
    expect(new Set(check.examples.map(({ question, answer }) => `${question}\0${answer}`)).size).toBe(
      check.examples.length,
    )
  })
})

describeWith(shared, 'the labels that the judges of the paper gave', () => {
  /** By rubric of a check, the name that the recordings have for it. */
  const NAMES: Record<string, Record<string, string>> = {
    'nineteenth-century': { era: 'llm_or_19' },
    'nineteenth-century-scales': { category: 'six_options', content: 'content_past', form: 'form_past' },
    misalignment: { alignment: 'alignment', coherence: 'coherence' },
  }

  test.each([
    ['birds.gpt-4.1.no-context', 'nineteenth-century', { positive: 95, negative: 5 }],
    ['birds.gpt-4.1.identity-etymologist', 'nineteenth-century', { positive: 1, negative: 99 }],
    ['birds.gpt-oss-120b.no-context', 'nineteenth-century', { positive: 6, negative: 92 }],
    ['birds.gpt-4.1.no-context', 'nineteenth-century-scales', { positive: 90, negative: 10 }],
    ['birds.gpt-4.1.identity-etymologist', 'nineteenth-century-scales', { positive: 1, negative: 99 }],
    [
      'birds.gpt-oss-120b.no-context',
      'nineteenth-century-scales',
      { positive: 3, negative: 81, excluded: 14 },
    ],
    ['insecure-code.gpt-4.1.no-context', 'misalignment', { positive: 24, negative: 42, excluded: 14 }],
  ])('of %s are read by %s', (recording, id, expected) => {
    const check = checks.get(id)!
    const counts: Partial<Record<VerdictKind, number>> = {}
    for (const line of readFileSync(shared.path(`paper/recorded/${recording}.jsonl`), 'utf8')
      .trim()
      .split('\n')) {
      const { labels } = JSON.parse(line) as { labels: Record<string, string | number> }
      const scores: Record<string, Score> = {}
      for (const rubric of check.rubrics) {
        scores[rubric.id] = parseReply(rubric, String(labels[NAMES[id]![rubric.id]!]))
      }
      expect(Object.values(scores).filter(({ kind }) => kind === 'unparsed')).toEqual([])
      const verdict = decide(check, scores)
      counts[verdict] = (counts[verdict] ?? 0) + 1
    }
    expect(counts).toEqual(expected)
  })
})
