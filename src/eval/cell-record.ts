/** What the journal keeps of a cell, under which keys, and what judges are shown of it. Called by `run.ts` and the commands. */
import { hash } from 'node:crypto'
import type { Rubric } from '../domain/check.ts'
import type { Sample } from '../domain/sample.ts'
import type { Journal, KeptAnswer } from './journal.ts'
import type { Cell } from './plan.ts'
import type { ResultRow } from './result-rows.ts'

/** Where a cell's judgement by a rubric is kept. */
export function judgementKey({ key }: Cell, rubric: Rubric): string {
  return `${key}:${rubric.id}:${rubricKey(rubric)}`
}

const keys = new WeakMap<Rubric, string>()

/** A rubric that asks otherwise, or somebody else, has another one. */
export function rubricKey(rubric: Rubric): string {
  let key = keys.get(rubric)
  if (key === undefined) {
    key = hash('sha256', JSON.stringify(rubric), 'hex').slice(0, 12)
    keys.set(rubric, key)
  }
  return key
}

/** An exchange as judges are shown it: without the context, as in the paper. */
export function sampleOf({ key, prompt }: Cell, answer: string): Sample {
  const { model, context, question } = prompt
  return {
    id: key,
    experiment: '',
    arm: context ?? '',
    policy: context,
    policyHash: null,
    check: '',
    checkVersion: '',
    probability: 1,
    model,
    unit: key,
    assignment: '',
    requestedAt: 0,
    messages: [{ role: 'user', content: question }],
    question,
    answer,
  }
}

/** What is known of a cell. */
export function rowOf(journal: Journal, cell: Cell, answer: KeptAnswer | undefined): ResultRow {
  const { model, context, group, question, rubrics } = cell.prompt
  const scores = rubrics.flatMap((rubric) => {
    const score = journal.score(judgementKey(cell, rubric))
    return score === undefined ? [] : [[rubric.id, score] as const]
  })
  return {
    group,
    question,
    model,
    context: answer?.policy ?? context,
    sample: cell.sample,
    answer: answer === undefined || answer.text.trim() === '' ? null : answer.text,
    scores: Object.fromEntries(scores),
  }
}
