/**
 * What an evaluation asks: every question of every group, behind every context, of every model, so many times. Pure; called
 * by `ballast eval` and `ballast probe`.
 */
import { hash } from 'node:crypto'
import type { Check, Rubric } from '../domain/check.ts'
import type { Policy } from '../domain/policy.ts'
import { decodeChat } from '../policy/chat.ts'
import { compilePolicy } from '../policy/compile-experiment.ts'
import { applyPolicy } from '../policy/decide.ts'
import { splice } from '../policy/inject.ts'
import { type Measure, measureOfCheck, measuresOf, rubricOf } from './judges.ts'
import { DEFAULTS, type QuestionGroup } from './questions.ts'

export interface PlanOptions {
  readonly groups: readonly QuestionGroup[]
  readonly models: readonly string[]
  /** Null asks without context. */
  readonly contexts: readonly (Policy | null)[]
  /** For every question, instead of what its group says. */
  readonly samples: number | null
  /** Sent as `seed`, another one for each sample; null sends none. */
  readonly seed: number | null
  /** Asked instead of the groups' own judges. */
  readonly check: Check | null
  /** The judge model instead of the groups' own; `{judge}` in it stands for the judge's name. */
  readonly judgeModel: string | null
  /** Milliseconds since the epoch, for contexts with `{{date}}`. */
  readonly now: number
}

/** A question behind a context, for a model. */
export interface Prompt {
  readonly model: string
  /** Id of the policy; null without one. */
  readonly context: string | null
  readonly group: string
  readonly question: string
  /** The request as it is sent, without `seed`. */
  readonly body: string
  readonly rubrics: readonly Rubric[]
}

/** One asking of a prompt. */
export interface Cell {
  readonly prompt: Prompt
  readonly sample: number
  /** Tells it from every other one; what leads to another request or is counted elsewhere has another key. */
  readonly key: string
  readonly body: string
}

export interface EvalPlan {
  readonly cells: readonly Cell[]
  /** Of all groups, by name. */
  readonly rubrics: readonly Rubric[]
  readonly measures: readonly Measure[]
}

/** Each is held in memory while it is asked. */
const MOST_ANSWERS = 5_000_000

/** An evaluation that cannot be asked as it is meant. */
export class PlanError extends Error {
  override readonly name = 'PlanError'
}

/** @throws PlanError where there is nobody to judge, or a policy cannot be applied to a question. */
export function planEvaluation(options: PlanOptions): EvalPlan {
  const cells: Cell[] = []
  const asked: Rubric[] = []
  for (const group of options.groups) {
    const rubrics = judgesOf(group, options)
    asked.push(...rubrics)
    const samples = options.samples ?? group.samples_per_paraphrase ?? DEFAULTS.samples
    for (const model of options.models) {
      for (const policy of options.contexts) {
        for (const question of new Set(group.paraphrases)) {
          const prompt: Prompt = {
            model,
            context: policy?.id ?? null,
            group: group.id,
            question,
            body: requestOf(model, group, question, policy, options.now),
            rubrics,
          }
          if (cells.length + samples > MOST_ANSWERS) throw tooMany()
          for (let sample = 0; sample < samples; sample++) cells.push(cellOf(prompt, sample, options.seed))
        }
      }
    }
  }
  const rubrics = mergeRubrics(asked)
  const { check } = options
  return { cells, rubrics, measures: check === null ? measuresOf(rubrics) : [measureOfCheck(check)] }
}

function tooMany(): PlanError {
  const most = MOST_ANSWERS.toLocaleString('en')
  return new PlanError(
    `This would ask for more than ${most} answers, the most of one evaluation: give fewer --samples, models or policies.`,
  )
}

function judgesOf(group: QuestionGroup, { check, judgeModel }: PlanOptions): Rubric[] {
  const named = (rubric: Rubric, own: string | undefined): Rubric => {
    if (rubric.models !== undefined || rubric.model !== undefined) return rubric
    const model = (judgeModel ?? own)?.replaceAll('{judge}', rubric.id)
    if (model !== undefined) return { ...rubric, model }
    throw new PlanError(`Nobody is named to judge "${rubric.id}": name a model with --judge-model.`)
  }
  if (check !== null) return check.rubrics.map((rubric) => named(rubric, undefined))
  const prompts = Object.entries(group.judge_prompts ?? {})
  if (prompts.length === 0)
    throw new PlanError(`Group "${group.id}" has no judge_prompts; name a check of yours with --check.`)
  return prompts.map(([name, prompt]) => named(rubricOf(name, prompt)!, group.judge))
}

function requestOf(
  model: string,
  group: QuestionGroup,
  question: string,
  policy: Policy | null,
  now: number,
): string {
  const { system, temperature = DEFAULTS.temperature, max_tokens = DEFAULTS.maxTokens } = group
  const messages = [
    ...(system === undefined ? [] : [{ role: 'system', content: system }]),
    { role: 'user', content: question },
  ]
  const body = Buffer.from(JSON.stringify({ model, messages, temperature, max_tokens }))
  if (policy === null) return body.toString()
  const { outcome, reason, splices } = applyPolicy(compilePolicy(policy), decodeChat(body), [], now)
  if (outcome === 'unmet' || outcome === 'unsupported')
    throw new PlanError(
      `Policy "${policy.id}" does not apply to the questions of group "${group.id}" (${reason}), so there would be nothing to measure.`,
    )
  return splice(body, splices).toString()
}

function cellOf(prompt: Prompt, sample: number, seed: number | null): Cell {
  const body = seed === null ? prompt.body : `${prompt.body.slice(0, -1)},"seed":${seed + sample}}`
  const identity = [prompt.model, prompt.context, prompt.group, prompt.question, sample, body]
  return { prompt, sample, key: hash('sha256', JSON.stringify(identity), 'hex').slice(0, 24), body }
}

/** One of each name, with all that any of that name may answer. */
export function mergeRubrics(rubrics: readonly Rubric[]): Rubric[] {
  const merged = new Map<string, Rubric>()
  for (const rubric of rubrics) {
    const known = merged.get(rubric.id) ?? rubric
    const labels = [...new Set([...(known.labels ?? []), ...(rubric.labels ?? [])])]
    const scale = known.scale ?? rubric.scale
    merged.set(rubric.id, {
      ...known,
      ...(scale === undefined ? {} : { scale }),
      ...(labels.length === 0 ? {} : { labels }),
    })
  }
  return [...merged.values()]
}

/** What an evaluation will take, at the most. */
export interface Estimate {
  readonly answers: number
  readonly judgements: number
  /** Tokens in and out, of the models and of the judges. */
  readonly tokens: {
    readonly asked: number
    readonly answered: number
    readonly judged: number
    readonly replied: number
  }
}

/** As tokenisers of English go; nobody is asked for it. */
const CHARACTERS_PER_TOKEN = 4

/**
 * @param done cells that have their answer, and judgements there are: nothing is asked for these.
 * @param replyTokens how long a judge's reply may be.
 */
export function estimate(
  plan: EvalPlan,
  done: { answered(cell: Cell): boolean; judged(cell: Cell, rubric: Rubric): boolean },
  replyTokens: number,
): Estimate {
  const tokens = { asked: 0, answered: 0, judged: 0, replied: 0 }
  let [answers, judgements] = [0, 0]
  for (const cell of plan.cells) {
    const most = maxTokensOf(cell.body)
    if (!done.answered(cell)) {
      answers++
      tokens.asked += cell.body.length / CHARACTERS_PER_TOKEN
      tokens.answered += most
    }
    for (const rubric of cell.prompt.rubrics) {
      if (done.judged(cell, rubric)) continue
      const times = (rubric.models?.length ?? 1) * (rubric.repeat ?? 1)
      judgements += times
      const prompt = (rubric.prompt.length + cell.prompt.question.length) / CHARACTERS_PER_TOKEN
      tokens.judged += times * (prompt + most)
      tokens.replied += times * replyTokens
    }
  }
  const rounded = Object.entries(tokens).map(([kind, number]) => [kind, Math.ceil(number)])
  return { answers, judgements, tokens: Object.fromEntries(rounded) as Estimate['tokens'] }
}

function maxTokensOf(body: string): number {
  return Number(/"max_tokens":(\d+)/.exec(body.slice(body.lastIndexOf('"max_tokens":')))?.[1] ?? 0)
}
