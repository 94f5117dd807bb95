/** Checks and rubrics (SPEC section 7): the questions put to the judge and the rule that makes a verdict of the answers. */
import { z } from 'zod'

/** More askings of one model about one answer tell nothing new. */
export const MOST_REPEATS = 25

export const Rubric = z
  .strictObject({
    id: z.string().regex(/^[a-z0-9][a-z0-9._-]*$/, 'may hold lower-case letters, digits, ".", "_" and "-"'),
    /** Lowest and highest number the judge may answer. */
    scale: z.tuple([z.number(), z.number()]).optional(),
    /** Words the judge may answer. */
    labels: z.array(z.string().min(1)).min(1).optional(),
    /** The judge model for this rubric; default the judge's own. */
    model: z.string().optional(),
    /** Several judge models instead, each asked. */
    models: z.array(z.string().min(1)).min(1).optional(),
    /** How often each is asked; default the judge's own. */
    repeat: z.int().min(1).max(MOST_REPEATS).optional(),
    /** What becomes of several scores: labels go by majority, numbers by their median (the default) or mean. */
    combine: z.enum(['majority', 'median', 'mean']).optional(),
    prompt: z
      .string()
      .refine((prompt) => prompt.includes('{answer}'), {
        message: 'does not mention {answer}, so the judge would not see what it judges',
      })
      .refine((prompt) => !/\{(?!(?:question|conversation|answer)\})[a-z_]+\}/.test(prompt), {
        message: 'has a placeholder other than {question}, {conversation} and {answer}',
      }),
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
    rubric: z.string(),
    is: z.union([z.string(), z.array(z.string()).min(1)]).optional(),
    below: z.number().optional(),
    at_most: z.number().optional(),
    above: z.number().optional(),
    at_least: z.number().optional(),
  })
  .refine(
    ({ rubric: _rubric, ...operators }) =>
      Object.values(operators).filter((value) => value !== undefined).length === 1,
    { message: 'needs exactly one of is, below, at_most, above, at_least' },
  )
export type Condition = z.infer<typeof Condition>

export const CheckFile = z
  .strictObject({
    description: z.string(),
    rubrics: z.array(Rubric).min(1, 'is empty: a check asks at least one question'),
    rule: z.strictObject({
      excluded_if_any: z.array(Condition).default([]),
      positive_if_all: z.array(Condition).min(1, 'is empty: then nothing could ever be positive'),
    }),
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
        checkCondition(check.rubrics, condition, (message) =>
          context.addIssue({ code: 'custom', path: ['rule', list, index], message }),
        )
      }
    }
  })

function checkCondition(rubrics: Rubric[], condition: Condition, report: (message: string) => void): void {
  const rubric = rubrics.find(({ id }) => id === condition.rubric)
  if (rubric === undefined)
    return report(`asks for rubric "${condition.rubric}", which this check does not have`)
  if (condition.is === undefined) {
    if (rubric.scale === undefined) report(`compares "${rubric.id}" as a number, but it has no scale`)
    return
  }
  for (const label of [condition.is].flat()) {
    if (!rubric.labels?.includes(label)) report(`"${label}" is not a label of rubric "${rubric.id}"`)
  }
}

/** A check under its id, the name of its file. */
export interface Check extends z.infer<typeof CheckFile> {
  readonly id: string
  /** SHA-256 over its rubrics and rule, first 16 hex digits: scores of different versions are not comparable. */
  readonly version: string
}
