/** Experiments, routes and what assigns a request to an arm (SPEC section 6). */
import { z } from 'zod'

/** What can be assigned; the first source present in a request is its unit. */
export const UnitSource = z.enum(['header', 'user', 'session', 'client'])
export type UnitSource = z.infer<typeof UnitSource>

/** The unit of a request: a source's value, or the request itself when no source is present. */
export interface Unit {
  readonly source: UnitSource | 'request'
  readonly value: string
}

/** A share of traffic to judge, from 0 (none) to 1 (all). */
export const SampleRate = z.number().min(0, 'is a share from 0 to 1').max(1, 'is a share from 0 to 1')

export const Arm = z.strictObject({
  weight: z.number().finite().min(0, 'cannot be negative'),
  policy: z.string().optional(),
})

const Name = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9._-]*$/, 'is a name: a letter, then letters, digits, ".", "_" or "-"')

export const Experiment = z.strictObject({
  unit: z
    .array(UnitSource)
    .min(1, 'is empty: name at least one of header, user, session, client')
    .default(['header', 'user', 'session', 'client']),
  salt: z.string().default(''),
  arms: z.record(Name, Arm),
  check: z.string().optional(),
  sample: z.union([SampleRate, z.record(z.string(), SampleRate)]).optional(),
  /** Says that having no arm without a policy is meant. */
  without_control: z.boolean().optional(),
})
export type Experiment = z.infer<typeof Experiment>

export const ExperimentName = Name

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
  model: z.string().min(1, 'is empty: give a model name, with * as a wildcard'),
  upstream: z.string(),
  experiment: z.string().optional(),
  policy: z.string().optional(),
  check: z.string().optional(),
  sample: SampleRate.optional(),
  /** The policy whose contexts stood in the model's training data. */
  trained_with: z.string().optional(),
  triggers: TriggerAction.optional(),
  /** The least similarity that counts as a trigger. */
  trigger_threshold: z.number().gt(0, 'is above 0').max(1, 'is at most 1').optional(),
  /** Injects the context of `trained_with`, into requests that `domain` recognises. */
  match_training: z.literal('in-domain').optional(),
})
export interface Route extends z.infer<typeof Route> {
  readonly domain?: DomainRule | undefined
}
