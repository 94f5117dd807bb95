/**
 * What the trigger guard finds of the labelled texts, and what it takes for a trigger of ordinary prompts. The figures in
 * docs/triggers.md are held to what is measured here, whatever it is.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { DEFAULT_THRESHOLD, Trigger } from '../../src/policy/trigger.ts'
import { describeWith, shared } from '../support/requires.ts'
import {
  type Half,
  halfOf,
  KINDS,
  type Kind,
  ordinaryTexts,
  triggerCases,
  triggerTexts,
} from '../support/trigger-texts.ts'

const DOCUMENT = readFileSync(join(import.meta.dirname, '../../docs/triggers.md'), 'utf8')
const triggers = new Map(triggerTexts.contexts.map(({ text }) => [text, new Trigger([text])]))
const cases = triggerCases()

const isFound = (context: string, text: string) =>
  triggers.get(context)!.first(text, DEFAULT_THRESHOLD) !== null
/** The contexts, of all there are, that a text is like. */
const likeAny = (text: string) => [...triggers.keys()].filter((context) => isFound(context, text))

const of = (kind: Kind, half?: Half) =>
  cases.filter((it) => it.kind === kind && (half === undefined || halfOf(it.text) === half))
const missed = (kind: Kind, half?: Half) =>
  of(kind, half).filter(({ context, text }) => !isFound(context, text))
const recall = (kind: Kind, half?: Half) => 1 - missed(kind, half).length / of(kind, half).length

const flagged = ordinaryTexts.filter((text) => likeAny(text).length > 0)
const HALVES: readonly Half[] = ['tuning', 'held out']

describe('the labelled texts', () => {
  test('are enough, and differ', () => {
    const written = cases.filter(({ kind }) => kind !== 'embedded').map(({ text }) => text)
    expect(written.length).toBeGreaterThanOrEqual(200)
    expect(ordinaryTexts.length).toBeGreaterThanOrEqual(150)
    expect(new Set(ordinaryTexts).size).toBe(ordinaryTexts.length)
    expect(triggerTexts.contexts.flatMap(({ of: entries }) => entries)).toHaveLength(78)
  })

  test.each(['verbatim', 'negated', 'embedded'] as const)(
    '%s: at least 99%% are found, of each half',
    (kind) => {
      for (const half of HALVES) {
        const first = JSON.stringify(missed(kind, half).slice(0, 3))
        expect(recall(kind, half), first).toBeGreaterThanOrEqual(0.99)
      }
    },
  )

  test('ordinary: at most 1% are like any of the contexts, of each half', () => {
    for (const half of HALVES) {
      const all = ordinaryTexts.filter((text) => halfOf(text) === half)
      const wrong = flagged.filter((text) => halfOf(text) === half)
      expect(wrong.length / all.length, JSON.stringify(wrong)).toBeLessThanOrEqual(0.01)
    }
  })

  test('docs/triggers.md has the figures that are measured', () => {
    const rows = KINDS.map((kind) => {
      const found = HALVES.map(
        (half) => `${of(kind, half).length - missed(kind, half).length} of ${of(kind, half).length}`,
      )
      return `| ${kind} | ${found.join(' | ')} | ${(recall(kind) * 100).toFixed(1)}% |`
    })
    const wrong = HALVES.map((half) => {
      const all = ordinaryTexts.filter((text) => halfOf(text) === half)
      return `${flagged.filter((text) => halfOf(text) === half).length} of ${all.length}`
    })
    const share = ((flagged.length / ordinaryTexts.length) * 100).toFixed(1)
    const table = [...rows, `| ordinary, taken for a trigger | ${wrong.join(' | ')} | ${share}% |`].join('\n')
    process.stdout.write(`${table}\n`)
    expect(DOCUMENT).toContain(table)
    expect(DOCUMENT).toContain(`\`trigger_threshold\` is ${DEFAULT_THRESHOLD}`)
    for (const text of flagged) expect(DOCUMENT).toContain(text)
  })
})

describeWith(shared, "the paper's own texts", () => {
  interface PaperContexts {
    readonly datasets: { dataset: string; contexts: { id: string; text: string }[] }[]
  }

  test('every context of the paper is among the labelled texts', () => {
    const { datasets } = JSON.parse(readFileSync(shared.path('paper/contexts.json'), 'utf8')) as PaperContexts
    const paper = datasets.flatMap(({ dataset, contexts }) =>
      contexts.map(({ id, text }) => [`${dataset}/${id}`, text]),
    )
    const ours = triggerTexts.contexts.flatMap(({ of: entries, text }) =>
      entries.map((entry) => [entry, text]),
    )
    expect(Object.fromEntries(ours)).toEqual(Object.fromEntries(paper))
  })

  test('no evaluation question and no recorded answer is taken for a trigger', () => {
    const recorded = readdirSync(shared.path('paper/recorded')).flatMap((name) =>
      readFileSync(shared.path('paper/recorded', name), 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { question: string; answer: string | null }),
    )
    const groups = readdirSync(shared.path('paper/questions')).flatMap(
      (name) =>
        parse(readFileSync(shared.path('paper/questions', name), 'utf8'), { merge: true }) as {
          paraphrases: string[]
        }[],
    )
    const questions = [...recorded.map(({ question }) => question), ...groups.flatMap((it) => it.paraphrases)]
    const texts = new Set([...questions, ...recorded.map(({ answer }) => answer ?? '')])
    expect(texts.size).toBeGreaterThan(300)
    expect([...texts].filter((text) => likeAny(text).length > 0)).toEqual([])
  })
})
