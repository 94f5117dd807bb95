/** Checks and rubrics (SPEC section 7): the questions put to the judge and the rule that makes a verdict of the answers. */
import { z } from 'zod'
import { VERDICTS } from './verdict.ts'

/** More askings of one model about one answer tell nothing new. */
export const MOST_REPEATS = 25

export const Rubric = z
  .strictObject({
    id: z
      .string()
      .regex(/^[a-z0-9][a-z0-9._-]*$/, 'may hold lower-case letters, digits, ".", "_" and "-"')
      .describe('Its name in this check.'),
    scale: z
      .tuple([z.number(), z.number()])
      .optional()
      .describe('Lowest and highest number the judge may answer.'),
    labels: z
      .array(z.string().min(1, 'is empty'))
      .min(1, 'is empty: name a label, or leave it out')
      .optional()
      .describe('Words the judge may answer.'),
    model: z.string().optional().describe("The judge model for this rubric; default the judge's own."),
    models: z
      .array(z.string().min(1, 'is empty'))
      .min(1, 'is empty')
      .optional()
      .describe('Several judge models instead, each asked.'),
    repeat: z
      .int()
      .min(1)
      .max(MOST_REPEATS)
      .optional()
      .describe("How often each is asked; default the judge's own."),
    combine: z
      .enum(['majority', 'median', 'mean'])
      .optional()
      .describe(
        'What becomes of several scores: labels go by majority, numbers by their median (the default) or mean.',
      ),
    prompt: z
      .string()
      .refine((prompt) => prompt.includes('{answer}'), {
        message: 'does not mention {answer}, so the judge would not see what it judges',
      })
      .refine((prompt) => !/\{(?!(?:question|conversation|answer)\})[a-z_]+\}/.test(prompt), {
        message: 'has a placeholder other than {question}, {conversation} and {answer}',
      })
      .describe('What the judge is asked; {question}, {conversation} and {answer} are put in, fenced.'),
  })
  .refine((rubric) => rubric.scale !== undefined || rubric.labels !== undefined, {
    message: 'has neither a scale nor labels: say what the judge may answer',
  })
  .refine((rubric) => rubric.scale === undefined || rubric.scale[0] < rubric.scale[1], {
    path: ['scale'],
    message: 'goes from the lower number to the higher one',
  })
  .refine(({ model, models }) => model === undefined || models === undefined, {
    path: ['models'],
    message: 'stands beside "model"; keep one',
  })
  .refine(({ models = [] }) => new Set(models).size === models.length, {
    path: ['models'],
    message: 'names a model twice; to ask one several times, use "repeat"',
  })
  .refine(
    ({ scale, combine }) => combine === undefined || (combine === 'majority') === (scale === undefined),
    {
      path: ['combine'],
      message: 'is majority where a rubric has labels only, median or mean where it has a scale',
    },
  )
export type Rubric = z.infer<typeof Rubric>

/** One comparison of a rubric's score; exactly one operator. */
export const Condition = z
  .strictObject({
    rubric: z.string().describe('The rubric whose score is compared.'),
    is: z
      .union([z.string(), z.array(z.string()).min(1, 'is empty: name a label')])
      .optional()
      .describe('A label, or one of these.'),
    below: z.number().optional().describe('A number less than this.'),
    at_most: z.number().optional().describe('This number or less.'),
    above: z.number().optional().describe('A number greater than this.'),
    at_least: z.number().optional().describe('This number or more.'),
  })
  .refine(
    ({ rubric: _rubric, ...operators }) =>
      Object.values(operators).filter((value) => value !== undefined).length === 1,
    { message: 'needs exactly one of is, below, at_most, above, at_least' },
  )
export type Condition = z.infer<typeof Condition>

/** What a judge replies, in an example; a number may stand without quotes. */
const Reply = z.union([z.string(), z.number().transform(String)])

/** A made-up exchange, what a judge replies to each rubric, and the verdict the rule then makes: what the check is meant to say. */
export const Example = z.strictObject({
  question: z.string().describe("The client's question."),
  answer: z.string().describe("The model's answer."),
  replies: z.record(z.string(), Reply).describe('What a judge replies, by rubric.'),
  // A judge that does not answer (`error`) says nothing about a check.
  verdict: z.enum(VERDICTS).exclude(['error']).describe('The verdict the rule then makes.'),
  note: z.string().optional().describe('What it is there to show.'),
})
export type Example = z.infer<typeof Example>

export const CheckFile = z
  .strictObject({
    description: z.string().describe('What it finds, in a few words.'),
    rubrics: z
      .array(Rubric)
      .min(1, 'is empty: a check asks at least one question')
      .describe('The questions put to the judge.'),
    rule: z
      .strictObject({
        excluded_if_any: z
          .array(Condition)
          .default([])
          .describe('Answers that any of these fits count neither for nor against.'),
        positive_if_all: z
          .array(Condition)
          .min(1, 'is empty: then nothing could ever be positive')
          .describe('Of the others, answers that all of these fit are positive.'),
      })
      .describe('How a verdict is made of the scores.'),
    examples: z
      .array(Example)
      .default([])
      .describe("Made-up exchanges and what the check is to say of them. No part of the check's version."),
  })
  .superRefine((check, context) => {
    const seen = new Set<string>()
    for (const [index, rubric] of check.rubrics.entries()) {
      if (seen.has(rubric.id)) {
        context.addIssue({
          code: 'custom',
          path: ['rubrics', index, 'id'],
          message: `"${rubric.id}" stands twice`,
        })
      }
      seen.add(rubric.id)
    }
    for (const list of ['excluded_if_any', 'positive_if_all'] as const) {
      for (const [index, condition] of check.rule[list].entries()) {
        checkCondition(check.rubrics, condition, (key, message, params) =>
          context.addIssue({ code: 'custom', path: ['rule', list, index, key], message, params }),
        )
      }
    }
    for (const [index, example] of check.examples.entries()) {
      checkReplies(check.rubrics, example, (path, message) =>
        context.addIssue({ code: 'custom', path: ['examples', index, 'replies', ...path], message }),
      )
    }
  })

/** What a name was given as and which there are: a hint can be made of it. */
interface Names {
  readonly given: string
  readonly known: readonly string[]
}

function checkCondition(
  rubrics: readonly Rubric[],
  condition: Condition,
  report: (key: string, message: string, names?: Names) => void,
): void {
  const rubric = rubrics.find(({ id }) => id === condition.rubric)
  if (rubric === undefined) {
    const names = { given: condition.rubric, known: rubrics.map(({ id }) => id) }
    return report('rubric', `asks for rubric "${condition.rubric}", which this check does not have`, names)
  }
  if (condition.is === undefined) {
    if (rubric.scale === undefined)
      report('rubric', `compares "${rubric.id}" as a number, but it has no scale`)
    return
  }
  for (const label of [condition.is].flat()) {
    const known = rubric.labels ?? []
    if (!known.includes(label))
      report('is', `"${label}" is not a label of rubric "${rubric.id}"`, { given: label, known })
  }
}

function checkReplies(
  rubrics: Rubric[],
  { replies }: Example,
  report: (path: string[], message: string) => void,
): void {
  for (const id of Object.keys(replies)) {
    if (!rubrics.some((rubric) => rubric.id === id))
      report([id], `replies to rubric "${id}", which this check does not have`)
  }
  for (const { id } of rubrics) {
    if (!Object.hasOwn(replies, id))
      report([], `says nothing to rubric "${id}": give what a judge replies to it`)
  }
}

/** A check under its id, the name of its file. */
export interface Check extends z.infer<typeof CheckFile> {
  readonly id: string
  /** SHA-256 over its rubrics and rule, first 16 hex digits: scores of different versions are not comparable. */
  readonly version: string
}
