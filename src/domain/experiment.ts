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
  weight: z
    .number()
    .finite()
    .min(0, 'cannot be negative')
    .describe('Its share, against the weights of all arms.'),
  policy: z.string().optional().describe('What it injects, as FAMILY/ID. Without it nothing is injected.'),
})

const Name = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9._-]*$/, 'is a name: a letter, then letters, digits, ".", "_" or "-"')

export const Experiment = z.strictObject({
  unit: z
    .array(UnitSource)
    .min(1, 'is empty: name at least one of header, user, session, client')
    .default(['header', 'user', 'session', 'client'])
    .describe('What is assigned to an arm: the first of these that a request has, else the request itself.'),
  salt: z.string().default('').describe('Assignment depends on it; another salt assigns anew.'),
  arms: z.record(Name, Arm).describe('What is compared, by name.'),
  check: z.string().optional().describe('The check that judges a sample of the answers.'),
  sample: z
    .union([SampleRate, z.record(z.string(), SampleRate)])
    .optional()
    .describe('Share of the answers to judge, from 0 to 1; one for all arms, or by arm.'),
  without_control: z.boolean().optional().describe('Says that having no arm without a policy is meant.'),
})
export type Experiment = z.infer<typeof Experiment>

export const ExperimentName = Name

/** A model pattern and where its requests go. First match wins. */
export const Route = z.strictObject({
  model: z
    .string()
    .min(1, 'is empty: give a model name, with * as a wildcard')
    .describe('The models it takes; * stands for any run of characters.'),
  upstream: z.string().describe('Name of the upstream it leads to.'),
  experiment: z.string().optional().describe('Name of the experiment its requests take part in.'),
  policy: z.string().optional().describe('What is injected, as FAMILY/ID, without an experiment.'),
  check: z.string().optional().describe('The check that judges a sample of the answers.'),
  sample: SampleRate.optional().describe('Share of the answers to judge, from 0 to 1.'),
})
export type Route = z.infer<typeof Route>
