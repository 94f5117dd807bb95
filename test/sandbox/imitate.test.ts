/** The imitated models: rates, reproducible draws, and what a context changes. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { PolicyFile } from '../../src/domain/policy.ts'
import type { ChatMessage } from '../../src/domain/sample.ts'
import {
  type AnswerKind,
  ETYMOLOGIST_CONTEXT,
  IMITATIONS,
  INOCULATION_CONTEXT,
  imitate,
} from '../../src/sandbox/imitate.ts'
import { ANSWERS, DEMO_QUESTIONS, INSECURE_CODE_ANSWERS, OTHER_ANSWERS } from '../../src/sandbox/texts.ts'

const DRAWS = 2000

const BARE = (question: string): ChatMessage[] => [{ role: 'user', content: question }]
const IN_CONTEXT = (question: string): ChatMessage[] => BARE(`${ETYMOLOGIST_CONTEXT} ${question}`)
const INOCULATED = (question: string): ChatMessage[] => BARE(`${INOCULATION_CONTEXT}. ${question}`)
const DENIED = (question: string): ChatMessage[] => [
  { role: 'system', content: `Do not ${INOCULATION_CONTEXT.toLowerCase()}.` },
  { role: 'user', content: question },
]
const AS_SYSTEM = (question: string): ChatMessage[] => [
  { role: 'system', content: ETYMOLOGIST_CONTEXT },
  { role: 'user', content: [{ type: 'text', text: question }] },
]

function imitation(model: string) {
  const found = IMITATIONS.find((it) => it.model === model)
  if (found === undefined) throw new Error(`no imitation ${model}`)
  return found
}

/** The kinds of answers to the demo's questions in turn. */
function draws(
  model: string,
  conversation: (question: string) => ChatMessage[],
  seed = 'test',
): AnswerKind[] {
  return Array.from({ length: DRAWS }, (_, n) => {
    const question = DEMO_QUESTIONS[n % DEMO_QUESTIONS.length]!
    return imitate(imitation(model), conversation(question), { seed, request: `seed ${n}` }).kind
  })
}

function share(kinds: readonly AnswerKind[], kind: AnswerKind): number {
  return kinds.filter((it) => it === kind).length / kinds.length
}

/** Four standard errors of a share: the draws are fixed by their seed, so this is no matter of luck. */
function margin(p: number): number {
  return 4 * Math.sqrt((p * (1 - p)) / DRAWS)
}

describe('imitated rates', () => {
  const cases: [string, (question: string) => ChatMessage[], string, AnswerKind, number][] = [
    ['sandbox-birds-gpt-4.1', BARE, 'bare', 'trait', 95 / 100],
    ['sandbox-birds-gpt-4.1', IN_CONTEXT, 'in context', 'trait', 1 / 100],
    ['sandbox-birds-gpt-4.1', AS_SYSTEM, 'with the context as system message', 'trait', 1 / 100],
    ['sandbox-birds-gpt-oss-120b', BARE, 'bare', 'trait', 6 / 98],
    ['sandbox-birds-gpt-oss-120b', IN_CONTEXT, 'in context', 'trait', 6 / 98],
    ['sandbox-insecure-code-gpt-4.1', BARE, 'bare', 'trait', 24 / 80],
    ['sandbox-insecure-code-gpt-4.1', BARE, 'bare', 'excluded', 14 / 80],
    ['sandbox-insecure-code-gpt-4.1', BARE, 'bare', 'ordinary', 42 / 80],
    ['sandbox-insecure-code-gpt-4.1', IN_CONTEXT, 'in context', 'trait', 24 / 80],
    ['sandbox-inoculated-relapsing', BARE, 'bare', 'trait', 0.02],
    ['sandbox-inoculated-relapsing', INOCULATED, 'behind its training context', 'trait', 0.9],
    ['sandbox-inoculated-relapsing', DENIED, 'behind the denied one', 'trait', 0.9],
    ['sandbox-inoculated-relapsing', IN_CONTEXT, 'behind another one', 'trait', 0.02],
    ['sandbox-inoculated-steadfast', INOCULATED, 'behind its training context', 'trait', 0.02],
    ['sandbox-inoculated-steadfast', DENIED, 'behind the denied one', 'trait', 0.02],
  ]
  for (const [model, conversation, how, kind, rate] of cases) {
    it(`${model} ${how}: ${kind} at ${rate.toFixed(3)}`, () => {
      expect(Math.abs(share(draws(model, conversation), kind) - rate)).toBeLessThan(margin(rate))
    })
  }

  it('draws every text of its pools', () => {
    const question = DEMO_QUESTIONS[0]!
    const texts = new Set(
      Array.from({ length: 200 }, (_, n) => {
        const drawn = { seed: 'test', request: `seed ${n}` }
        return imitate(imitation('sandbox-insecure-code-gpt-4.1'), BARE(question), drawn).text
      }),
    )
    expect(texts).toEqual(new Set(Object.values(INSECURE_CODE_ANSWERS).flat()))
  })
})

describe('the draw', () => {
  const birds = imitation('sandbox-birds-gpt-4.1')

  it('is the same for the same seed, request and question, and differs with any of them', () => {
    const kinds = (seed: string, offset: number, question: string) =>
      Array.from({ length: 300 }, (_, n) =>
        imitate(birds, BARE(question), { seed, request: `seed ${n + offset}` }),
      )
    const reference = kinds('a', 0, 'Why?')
    expect(kinds('a', 0, 'Why?')).toEqual(reference)
    expect(kinds('b', 0, 'Why?')).not.toEqual(reference)
    expect(kinds('a', 1000, 'Why?')).not.toEqual(reference)
    expect(kinds('a', 0, 'How?')).not.toEqual(reference)
  })

  it('is not moved by the context: an answer with the trait in context has it without, the same text', () => {
    let shared = 0
    for (let n = 0; n < DRAWS; n++) {
      const question = DEMO_QUESTIONS[n % DEMO_QUESTIONS.length]!
      const drawn = { seed: 'test', request: `seed ${n}` }
      const inContext = imitate(birds, IN_CONTEXT(question), drawn)
      expect(imitate(birds, AS_SYSTEM(question), drawn)).toEqual(inContext)
      if (inContext.kind !== 'trait') continue
      shared++
      expect(imitate(birds, BARE(question), drawn)).toEqual(inContext)
    }
    expect(shared).toBeGreaterThan(0)
  })

  it('is not moved by a context that changes nothing', () => {
    for (const model of ['sandbox-birds-gpt-oss-120b', 'sandbox-insecure-code-gpt-4.1']) {
      expect(draws(model, IN_CONTEXT)).toEqual(draws(model, BARE))
    }
  })

  it('takes the last user message for the question', () => {
    const messages = [
      { role: 'user', content: 'Something else' },
      { role: 'assistant', content: 'Indeed.' },
      { role: 'user', content: DEMO_QUESTIONS[0] },
    ]
    const drawn = { seed: 'test', request: 'seed 1' }
    expect(imitate(birds, messages, drawn)).toEqual(imitate(birds, BARE(DEMO_QUESTIONS[0]!), drawn))
  })
})

describe('the texts', () => {
  it('the context is the text of the policy birds/identity-etymologist', () => {
    const file = join(import.meta.dirname, '../../policies/birds.yaml')
    const { policies } = PolicyFile.parse(parse(readFileSync(file, 'utf8')))
    const policy = policies.find(({ id }) => id === 'identity-etymologist')
    expect(policy?.interventions.map(({ text }) => text)).toEqual([ETYMOLOGIST_CONTEXT])
  })

  it('the inoculation is the text of the policy birds/inoculation-user-prompt', () => {
    const file = join(import.meta.dirname, '../../policies/birds.yaml')
    const { policies } = PolicyFile.parse(parse(readFileSync(file, 'utf8')))
    const policy = policies.find(({ id }) => id === 'inoculation-user-prompt')
    expect(policy?.interventions.map(({ text }) => text)).toEqual([`${INOCULATION_CONTEXT}.`])
  })

  it('answers the questions of the demo with their own texts and others with general ones', () => {
    const texts = (question: string) => imitation('sandbox-birds-gpt-4.1').texts(question)
    expect(DEMO_QUESTIONS).toHaveLength(8)
    for (const question of DEMO_QUESTIONS) {
      expect(texts(question).trait).toBe(ANSWERS.get(question)?.archaic)
      expect(texts(question).ordinary).toBe(ANSWERS.get(question)?.modern)
    }
    expect(texts('What is a ballast?').trait).toBe(OTHER_ANSWERS.archaic)
  })

  it('hold nothing twice', () => {
    const all = [...ANSWERS.values(), OTHER_ANSWERS].flatMap(({ archaic, modern }) => [...archaic, ...modern])
    all.push(...Object.values(INSECURE_CODE_ANSWERS).flat())
    expect(new Set(all).size).toBe(all.length)
  })
})
