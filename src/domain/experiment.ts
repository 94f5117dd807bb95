/** Experiments, routes and what assigns a request to an arm (SPEC section 6). */
import { z } from 'zod'
import { Promote, Rollback } from './rules.ts'

/** What can be assigned, by where it stands in a request; the first source that is present is the request's unit. */
export type UnitSource =
  | 'header'
  | 'user'
  | 'safety_identifier'
  | `metadata.${string}`
  | 'session'
  | 'client'
  | 'request'

/** Longest key of a request's `metadata`, in UTF-16 units, as OpenAI has it. */
export const LONGEST_METADATA_KEY = 64

const UNIT_SOURCES = ['header', 'user', 'safety_identifier', 'metadata.KEY', 'session', 'client', 'request']
const UNIT_SOURCE = /^(header|user|safety_identifier|session|client|request|metadata\.[\s\S]{1,64})$/

export const UnitSource = z
  .string()
  .meta({ pattern: UNIT_SOURCE.source })
  .superRefine((given, context) => {
    if (UNIT_SOURCE.test(given)) return
    const message = `is not one of ${UNIT_SOURCES.join(', ')}`
    context.addIssue({ code: 'custom', message, params: { given, known: UNIT_SOURCES } })
  }) as unknown as z.ZodType<UnitSource, string>

export const DEFAULT_UNIT: readonly UnitSource[] = [
  'header',
  'user',
  'safety_identifier',
  'session',
  'client',
]

/** The unit of a request: a source's value, or the request itself when no other source is present. */
export interface Unit {
  readonly source: UnitSource
  readonly value: string
}

/** A share of traffic or of units, from 0 (none) to 1 (all). */
export const Share = z.number().min(0, 'is a share from 0 to 1').max(1, 'is a share from 0 to 1')

const Weight = z.number().finite().min(0, 'cannot be negative')

export const Arm = z.strictObject({
  weight: Weight.describe('Its share, against the weights of all arms.'),
  policy: z.string().optional().describe('What it injects, as FAMILY/ID. Without it nothing is injected.'),
  off: z
    .boolean()
    .optional()
    .describe('Kill switch: its units stay its own, but get nothing injected and are not counted.'),
})

const Name = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9._-]*$/, 'is a name: a letter, then letters, digits, ".", "_" or "-"')

/** A UTC day, `2026-11-23`, that there is. */
const Day = z.string().refine((text) => {
  const moment = /^\d{4}-\d{2}-\d{2}$/.test(text) ? new Date(`${text}T00:00:00Z`) : null
  return moment !== null && !Number.isNaN(moment.getTime()) && moment.toISOString().startsWith(text)
}, 'is not a day such as 2026-11-23')

/** The share of units taken in: always the same, or from midnight UTC of each day on. */
export const Ramp = z.union([
  Share,
  z.record(Day, Share).refine((days) => Object.keys(days).length > 0, 'is empty: give a day and a share'),
])
export type Ramp = z.infer<typeof Ramp>

/** Units that are kept out of all experiments and policies. */
export const Holdout = z.strictObject({
  share: Share.describe('Share of the units that are kept out, from 0 to 1.'),
  salt: z.string().default('').describe('Who is kept out depends on it.'),
})
export type Holdout = z.infer<typeof Holdout>

export const Experiment = z.strictObject({
  unit: z
    .array(UnitSource)
    .min(1, `is empty: name at least one of ${DEFAULT_UNIT.join(', ')}`)
    .default([...DEFAULT_UNIT])
    .describe('What is assigned to an arm: the first of these that a request has, else the request itself.'),
  salt: z.string().default('').describe('Assignment depends on it; another salt assigns anew.'),
  arms: z.record(Name, Arm).describe('What is compared, by name.'),
  ramp: Ramp.default(1).describe(
    'Share of the units taken in, from 0 to 1; or by the UTC day it begins to hold.',
  ),
  off: z.boolean().optional().describe('Kill switch for all arms at once.'),
  check: z.string().optional().describe('The check that judges a sample of the answers.'),
  sample: z
    .union([Share, z.record(z.string(), Share)])
    .optional()
    .describe('Share of the answers to judge, from 0 to 1; one for all arms, or by arm.'),
  rollback: Rollback.optional().describe(
    'Switches an arm off once it is proven to have a higher rate than another arm.',
  ),
  promote: Promote.optional().describe(
    "Gives all units an arm's policy once it is proven to have a lower rate than another arm.",
  ),
  without_control: z.boolean().optional().describe('Says that having no arm without a policy is meant.'),
})
export type Experiment = z.infer<typeof Experiment>

export const ExperimentName = Name

/**
 * Names no experiment may have: the first words of what `policy/` hashes for other decisions about a unit, which
 * must not depend on an experiment's.
 */
export const RESERVED_NAMES: readonly string[] = ['holdout', 'exclusive', 'thin']

/** What to do with a request that holds text like the model's training context. */
export const TriggerAction = z.enum(['flag', 'strip', 'block'])
export type TriggerAction = z.infer<typeof TriggerAction>

/** What tells whether a request is about what the model was trained on. */
export interface DomainRule {
  /** Regular expressions (RE2 syntax); one that matches is enough. */
  readonly patterns?: readonly string[] | undefined
  readonly classifier?: ClassifierSettings | undefined
}

/** A model that is asked. */
export interface ClassifierSettings {
  readonly upstream: string
  readonly model: string
  /** With {question}, and {context} if it likes. */
  readonly prompt?: string | undefined
  /** Milliseconds. */
  readonly timeout: number
}

/** A model pattern and where its requests go. First match wins. */
export const Route = z.strictObject({
  model: z
    .string()
    .min(1, 'is empty: give a model name, with * as a wildcard')
    .describe('The models it takes; * stands for any run of characters.'),
  upstream: z.string().describe('Name of the upstream it leads to.'),
  experiment: z.string().optional().describe('Name of the experiment its requests take part in.'),
  experiments: z
    .record(Name, Weight)
    .optional()
    .describe('Experiments that exclude each other, with weights: a unit takes part in one of them.'),
  policy: z.string().optional().describe('What is injected, as FAMILY/ID, without an experiment.'),
  check: z.string().optional().describe('The check that judges a sample of the answers.'),
  sample: Share.optional().describe('Share of the answers to judge, from 0 to 1.'),
  trained_with: z
    .string()
    .optional()
    .describe(
      "The policy, as FAMILY/ID, whose contexts stood in the model's training data; or the path of the manifest (*.json) that `ballast dataset apply` wrote beside that data.",
    ),
  triggers: TriggerAction.optional().describe(
    'What is done with a request that holds text like the context of `trained_with`: it is noted, loses the text, or is refused.',
  ),
  trigger_threshold: z
    .number()
    .gt(0, 'is above 0')
    .max(1, 'is at most 1')
    .optional()
    .describe('The least similarity that counts as such a text, above 0 to 1; default 0.72.'),
  match_training: z
    .literal('in-domain')
    .optional()
    .describe('Injects the context of `trained_with`, but only into requests that `domain` recognises.'),
})
export interface Route extends z.infer<typeof Route> {
  readonly domain?: DomainRule | undefined
}
