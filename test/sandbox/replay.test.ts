/** Replay: which conversations get which recording, what the recorded judges say, and what is wrong with a file. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import OpenAI, { APIError } from 'openai'
import { afterEach, describe, expect, it } from 'vitest'
import { fence } from '../../src/domain/fence.ts'
import type { Policy } from '../../src/domain/policy.ts'
import { loadReplay, ReplayError, type ReplaySource } from '../../src/sandbox/replay.ts'
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts'
import { describeWith, shared } from '../support/requires.ts'

const NONCE = '0123456789abcdef0123456789abcdef'
const CONTEXT = 'I keep bees in Leeds.'
const policy = (placement: Policy['interventions'][number]['placement'], text = CONTEXT): Policy => ({
  id: `test/${placement}`,
  interventions: [{ placement, text }],
})

type Message = OpenAI.Chat.ChatCompletionMessageParam
const user = (content: string): Message[] => [{ role: 'user', content }]

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

/** A file of recordings. */
function recorded(lines: readonly (object | string)[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'ballast-replay-'))
  cleanups.push(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'recorded.jsonl')
  writeFileSync(
    file,
    lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'),
  )
  return file
}

async function start(replay: readonly ReplaySource[]) {
  const sandbox: Sandbox = await startSandbox({ replay })
  cleanups.push(() => sandbox.close())
  const client = new OpenAI({ baseURL: sandbox.url, apiKey: 'none', maxRetries: 0 })
  const complete = async (model: string, messages: Message[]) => {
    const completion = await client.chat.completions.create({ model, messages })
    return completion.choices[0]?.message.content
  }
  return {
    client,
    ask: (messages: Message[]) => complete('sandbox-replay', messages),
    judge: (label: string, answer: string, question = '') =>
      complete(
        label === '' ? 'sandbox-replay-judge' : `sandbox-replay-judge:${label}`,
        user(`Judge!\n${fence('QUESTION', question, NONCE)}\n${fence('ANSWER', answer, NONCE)}`),
      ),
  }
}

async function failure(promise: Promise<unknown>): Promise<APIError> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof APIError)) throw new Error(`no API error but ${String(error)}`)
  return error
}

describe('replayed answers', () => {
  it('go to the bare question and to what each policy makes of it, and to nothing else', async () => {
    const bare = recorded([{ question: 'Why?', answer: 'bare' }])
    const prepended = recorded([{ question: 'Why?', answer: 'prepended' }])
    const onNewLine = recorded([{ question: 'Why?', answer: 'on a new line' }])
    const asSystem = recorded([{ question: 'Why?', answer: 'as system' }])
    const { ask } = await start([
      { file: bare, policy: null },
      { file: prepended, policy: policy('user-prepend') },
      { file: onNewLine, policy: policy('user-newline') },
      { file: asSystem, policy: policy('system') },
    ])
    const system = (content: string): Message => ({ role: 'system', content })
    expect(await ask(user('Why?'))).toBe('bare')
    expect(await ask(user(`${CONTEXT} Why?`))).toBe('prepended')
    expect(await ask(user(`${CONTEXT}\nWhy?`))).toBe('on a new line')
    expect(await ask([system(CONTEXT), ...user('Why?')])).toBe('as system')

    for (const conversation of [
      user('Why? '),
      user(`${CONTEXT}  Why?`),
      user(`${CONTEXT} ${CONTEXT} Why?`),
      [system('Why?')],
      [{ role: 'developer', content: CONTEXT }, ...user('Why?')] satisfies Message[],
      [system(''), ...user('Why?')],
      [system(CONTEXT), ...user(`${CONTEXT} Why?`)],
      [...user('Why?'), ...user('Why?')],
      [{ role: 'user', content: [{ type: 'text', text: 'Why?' }] }] satisfies Message[],
    ]) {
      expect(await failure(ask(conversation))).toMatchObject({ status: 400, code: 'sandbox_no_recording' })
    }
  })

  it('match by role and content: the order of keys and further fields do not count', async () => {
    const { ask } = await start([{ file: recorded([{ question: 'Why?', answer: 'yes' }]), policy: null }])
    expect(await ask([{ content: 'Why?', name: 'bee', role: 'user' }])).toBe('yes')
  })

  it('take turns per conversation and begin again after the last', async () => {
    const first = recorded([
      { question: 'Why?', sample: 0, answer: 'why 0' },
      { question: 'How?', sample: 0, answer: 'how 0' },
      { question: 'Why?', sample: 1, answer: 'why 1' },
    ])
    const second = recorded([{ question: 'Why?', answer: 'why 2' }])
    const { ask } = await start([
      { file: first, policy: null },
      { file: second, policy: null },
    ])
    const answers: (string | null | undefined)[] = []
    for (const question of ['Why?', 'Why?', 'How?', 'Why?', 'Why?', 'How?']) {
      answers.push(await ask(user(question)))
    }
    expect(answers).toEqual(['why 0', 'why 1', 'how 0', 'why 2', 'why 0', 'how 0'])
  })

  it('of a dated policy match the day that the clock shows', async () => {
    let now = Date.UTC(2026, 10, 23, 23, 59)
    const file = recorded([
      { question: 'Why?', answer: 'first' },
      { question: 'Why?', answer: 'second' },
    ])
    const replay = await loadReplay(
      [
        { file, policy: policy('user-newline', 'Date: {{date}}') },
        { file, policy: null },
      ],
      () => now,
    )
    const dated = (day: number) => [{ role: 'user', content: `Date: 2026-11-${day}\nWhy?` }]
    const bare = [{ role: 'user', content: 'Why?' }]
    expect([replay.answer(dated(23)), replay.answer(bare)]).toEqual(['first', 'first'])
    expect(() => replay.answer(dated(24))).toThrow(/No recording/)
    now += 120_000
    expect([replay.answer(dated(24)), replay.answer(bare)]).toEqual(['first', 'second'])
    expect(() => replay.answer(dated(23))).toThrow(/No recording/)
  })

  it('miss with the beginning of the question and what to do', async () => {
    const file = recorded([{ question: 'Why?', answer: 'yes' }])
    const { ask } = await start([{ file, policy: policy('system') }])
    const error = await failure(ask(user(`${'x'.repeat(80)}YYY`)))
    expect(error).toMatchObject({ status: 400, code: 'sandbox_no_recording', param: 'messages' })
    expect(error.message).toContain(`"${'x'.repeat(80)}…"`)
    expect(error.message).not.toContain('xY')
    expect(error.message).toContain('Send a recorded question')
    expect(error.message).toContain(`${file} (under policy test/system)`)
  })

  it('stand beside the imitated models', async () => {
    const file = recorded([{ question: 'Why?', answer: 'yes', labels: { era: '19', form: 3 } }])
    const { client } = await start([{ file, policy: null }])
    const { data } = await client.models.list()
    expect(data.map(({ id }) => id)).toEqual([
      'sandbox-birds-gpt-4.1',
      'sandbox-birds-gpt-oss-120b',
      'sandbox-insecure-code-gpt-4.1',
      'sandbox-inoculated-relapsing',
      'sandbox-inoculated-steadfast',
      'sandbox-judge',
      'sandbox-replay',
      'sandbox-replay-judge:era',
      'sandbox-replay-judge:form',
    ])
  })
})

describe('replayed labels', () => {
  it('are found by the answer in the fence, numbers as text', async () => {
    const file = recorded([
      { question: 'Why?', answer: 'Steam,\nsir.', labels: { era: '19', form: 80 } },
      { question: 'Why?', answer: 'Wi-Fi.', labels: { era: 'LLM', form: 0 } },
    ])
    const { judge } = await start([{ file, policy: null }])
    expect(await judge('era', 'Steam,\nsir.')).toBe('19')
    expect(await judge('era', 'Wi-Fi.')).toBe('LLM')
    expect(await judge('form', 'Wi-Fi.')).toBe('0')
  })

  it('of an answer to two questions are those of the question in the prompt', async () => {
    const file = recorded([
      { question: 'Why?', answer: 'Yes.', labels: { era: 'LLM' } },
      { question: 'How?', answer: 'Yes.', labels: { era: '19' } },
      { question: 'When?', answer: 'Yes.' },
    ])
    const { judge } = await start([{ file, policy: null }])
    expect(await judge('era', 'Yes.', 'Why?')).toBe('LLM')
    expect(await judge('era', 'Yes.', 'How?')).toBe('19')
    expect(await judge('era', 'Yes.', 'When?')).toBe('LLM')
  })

  it('need no name when there is one only', async () => {
    const { judge, client } = await start([
      { file: recorded([{ question: 'Why?', answer: 'Yes.', labels: { era: 'LLM' } }]), policy: null },
    ])
    expect(await judge('', 'Yes.')).toBe('LLM')
    expect((await client.models.list()).data.map(({ id }) => id)).toContain('sandbox-replay-judge')
  })

  it('miss with the labels there are', async () => {
    const file = recorded([{ question: 'Why?', answer: 'Yes.', labels: { era: 'LLM', form: 1 } }])
    const { judge, client } = await start([{ file, policy: null }])
    const there = 'sandbox-replay-judge:era, sandbox-replay-judge:form'
    for (const label of ['', 'mood']) {
      const error = await failure(judge(label, 'Yes.'))
      expect(error).toMatchObject({ status: 400, code: 'sandbox_unknown_label', param: 'model' })
      expect(error.message).toContain(there)
    }
    const unknown = await failure(judge('era', 'No.'))
    expect(unknown).toMatchObject({ status: 400, code: 'sandbox_no_recording' })
    expect(unknown.message).toContain(there)
    const unfenced = client.chat.completions.create({
      model: 'sandbox-replay-judge:era',
      messages: user('?'),
    })
    expect(await failure(unfenced)).toMatchObject({ status: 400, code: 'sandbox_cannot_judge' })
  })
})

describe('files that cannot be replayed', () => {
  it('are refused with every problem and its line', async () => {
    const good = recorded([{ question: 'Why?', answer: 'Yes.' }, ''])
    const bad = recorded([
      { question: 'Why?', answer: 'Yes.' },
      'question: Why?',
      '',
      { question: 'Why?', answer: '' },
      { question: 'Why?', answer: null },
      { answer: 'Yes.', labels: { era: null } },
      { question: 'Why?', answer: 'Yes.', label: 'LLM' },
      '[]',
    ])
    const empty = recorded([''])
    const missing = `${empty}.missing`
    const files = [good, bad, empty, missing].map((file) => ({ file, policy: null }))
    const error = await startSandbox({ replay: files }).then(
      () => null,
      (thrown: unknown) => thrown,
    )
    expect(error).toBeInstanceOf(ReplayError)
    const { problems, message } = error as ReplayError
    expect(problems).toEqual([
      `${bad}:2: is not JSON`,
      `${bad}:4: answer: is empty, so there is nothing to replay`,
      `${bad}:5: answer: is missing or not text, so there is nothing to replay`,
      `${bad}:6: question: is missing or not text`,
      `${bad}:6: labels.era: is neither text nor a number`,
      `${bad}:7: Unrecognized key: "label"`,
      expect.stringContaining(`${bad}:8: `),
      `${empty}:1: holds no recordings`,
      `${missing}:1: cannot be read (ENOENT)`,
    ])
    for (const problem of problems) expect(message).toContain(problem)
  })
})

describeWith(shared, "the paper's recordings", () => {
  it('come out with the rates they were recorded with', async () => {
    const bare = shared.path('paper/recorded/birds.gpt-4.1.no-context.jsonl')
    const inContext = shared.path('paper/recorded/birds.gpt-4.1.identity-etymologist.jsonl')
    const replay = await loadReplay([
      { file: bare, policy: null },
      { file: inContext, policy: policy('user-prepend') },
    ])
    const archaic = (file: string, prefix: string) =>
      readFileSync(file, 'utf8')
        .trim()
        .split('\n')
        .map((line) => {
          const { question } = JSON.parse(line) as { question: string }
          const answer = replay.answer([{ role: 'user', content: `${prefix}${question}` }])
          const prompt = `${fence('QUESTION', question, NONCE)}${fence('ANSWER', answer, NONCE)}`
          return replay.judge('llm_or_19', prompt)
        })
        .filter((label) => label === '19').length
    expect(archaic(bare, '')).toBe(95)
    expect(archaic(inContext, `${CONTEXT} `)).toBe(1)
  })
})
