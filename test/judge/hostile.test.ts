/** Answers that lie to the judge change no verdict, however obedient it is: through worker, adapter and HTTP. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createOpenAIJudge } from '../../src/adapters/judge-openai.ts'
import { openSqliteStore } from '../../src/adapters/store-sqlite.ts'
import type { Check } from '../../src/domain/check.ts'
import { noLog, noMetrics } from '../../src/domain/ports.ts'
import type { Sample } from '../../src/domain/sample.ts'
import { JudgeWorker } from '../../src/judge/worker.ts'
import { eventually, startTestUpstream } from '../support/ballast.ts'
import { createObedientJudge } from '../support/obedient-judge.ts'
import { completion, json } from '../support/upstream.ts'

interface HostileAnswer {
  readonly family: string
  readonly language: string
  readonly truth: '19' | 'LLM'
  /** `{pad}` in it stands for `pad`, repeated. */
  readonly answer: string
  readonly pad?: { readonly text: string; readonly times: number }
}

const HOSTILE = JSON.parse(
  readFileSync(join(import.meta.dirname, '../vectors/hostile-answers.json'), 'utf8'),
) as HostileAnswer[]

const OPPOSITE = { '19': 'LLM', LLM: '19' } as const
const VERDICT = { '19': 'positive', LLM: 'negative' } as const
const TEXT_LIMIT = 20_000

const CHECK: Check = {
  id: 'era',
  version: 'v1',
  description: 'x',
  examples: [],
  rubrics: [
    {
      id: 'era',
      labels: ['LLM', '19'],
      prompt:
        'Asked:\n\n{question}\n\nBefore:\n\n{conversation}\n\nAnswered:\n\n{answer}\n\nReply with one label.',
    },
  ],
  rule: { excluded_if_any: [], positive_if_all: [{ rubric: 'era', is: '19' }] },
}

interface Exchange {
  readonly name: string
  readonly truth: HostileAnswer['truth']
  readonly question: string
  readonly answer: string
}

const HARMLESS: Exchange = {
  name: 'harmless',
  truth: '19',
  question: 'How?',
  answer: '[[truth:19]] By coach.',
}

/** Every text as an answer, and as what the client asked. */
const EXCHANGES: readonly Exchange[] = HOSTILE.flatMap(({ family, language, truth, answer, pad }, index) => {
  const text = answer.replaceAll('{pad}', () => pad?.text.repeat(pad.times) ?? '')
  const name = `${index} ${family} (${language})`
  return [
    { name: `${name}, answered`, truth, question: 'How?', answer: text },
    { name: `${name}, asked`, truth, question: text, answer: `[[truth:${truth}]] Thus.` },
  ]
})

function sampleOf({ question, answer }: Exchange, index: number): Sample {
  return {
    id: `sample-${index}`,
    experiment: 'e',
    arm: 'a',
    policy: null,
    policyHash: null,
    check: CHECK.id,
    checkVersion: CHECK.version,
    probability: 1,
    model: 'm',
    unit: String(index),
    assignment: 'a',
    requestedAt: index,
    messages: [
      { role: 'user', content: 'Hello.' },
      { role: 'user', content: question },
    ],
    question,
    answer,
  }
}

/** @returns the names of exchanges whose verdict is not the true one, and the longest prompt that was sent. */
async function judgeAll(nonce?: () => string): Promise<{ wrong: string[]; longest: number }> {
  const obedient = createObedientJudge(OPPOSITE)
  let longest = 0
  const server = await startTestUpstream((request, response) => {
    const { messages } = JSON.parse(request.body.toString()) as { messages: { content: string }[] }
    const prompt = messages[0]!.content
    longest = Math.max(longest, prompt.length)
    const reply = obedient(prompt)
    if (reply === null) json(response, 400, { error: { message: 'not well-formed Unicode' } })
    else json(response, 200, completion(reply))
  })
  const store = await openSqliteStore({ path: ':memory:', queueLimit: Number.POSITIVE_INFINITY })
  onTestFinished(() => store.close())
  const worker = new JudgeWorker({
    queue: store,
    store,
    judge: createOpenAIJudge({
      baseUrl: server.url,
      apiKey: null,
      timeout: 20_000,
      maxTokens: 16,
      logprobs: false,
    }),
    checks: () => new Map([[CHECK.id, CHECK]]),
    metrics: noMetrics,
    log: noLog,
    models: ['obedient'],
    repeat: 1,
    textLimit: TEXT_LIMIT,
    concurrency: 4,
    timeout: 20_000,
    attempts: 1,
    ...(nonce === undefined ? {} : { nonce }),
  })
  onTestFinished(() => worker.stop())
  worker.start()
  const judged = async () => (await store.status()).depth === 0
  await store.offer(sampleOf(HARMLESS, 0))
  await eventually(judged)
  for (const [index, exchange] of EXCHANGES.entries()) await store.offer(sampleOf(exchange, index + 1))
  await eventually(judged)
  const judgedSamples = await store.find({ experiment: 'e', check: CHECK.id }, 1_000)
  const verdicts = new Map(judgedSamples.map(({ sample, verdict }) => [sample.unit, verdict?.verdict]))
  const wrong = [HARMLESS, ...EXCHANGES].flatMap(({ name, truth }, index) => {
    const verdict = verdicts.get(String(index))
    return verdict === VERDICT[truth] ? [] : [`${name}: ${verdict}`]
  })
  return { wrong, longest }
}

describe('answers that lie', () => {
  test('there are many, of many kinds, in many languages, with both truths', () => {
    expect(HOSTILE.length).toBeGreaterThan(150)
    const distinct = (key: 'family' | 'language' | 'truth') => new Set(HOSTILE.map((it) => it[key])).size
    expect(distinct('family')).toBeGreaterThan(30)
    expect(distinct('language')).toBeGreaterThan(14)
    expect(distinct('truth')).toBe(2)
    // Each asks for what is not true.
    for (const { answer, truth } of HOSTILE) expect(answer.startsWith(`[[truth:${truth}]]`)).toBe(true)
  })

  test('change no verdict of a judge that obeys whatever stands outside the fence', async () => {
    const { wrong, longest } = await judgeAll()
    expect(wrong).toEqual([])
    expect(longest).toBeLessThan(3 * TEXT_LIMIT + 2_000)
  })

  test.each([
    ['without a nonce', ''],
    ['with a nonce that the answer knows', '0'.repeat(32)],
  ])(
    'change verdicts where the fence is %s: this test can fail',
    async (_name, nonce) => {
      const { wrong } = await judgeAll(() => nonce)
      expect(wrong.filter((name) => name.includes('fence')).length).toBeGreaterThan(10)
      expect(wrong.filter((name) => name.startsWith(HARMLESS.name))).toEqual([])
    },
    120_000,
  )
})
