/** Interventions and policies (SPEC section 5): what context goes where. Read from `policies/*.yaml`. */
import { z } from 'zod'
import { LONGEST_METADATA_KEY } from './experiment.ts'
import { CREDENTIALS, HOP_BY_HOP, nameMatcher } from './headers.ts'

/** Where an intervention's text goes. */
export const Placement = z.enum([
  'user-prepend',
  'user-newline',
  'system',
  'system-append',
  'developer',
  'last-user-prepend',
])
export type Placement = z.infer<typeof Placement>

/** The one template variable a text may use: the UTC day, `2026-11-23`. */
export const DATE_VARIABLE = '{{date}}'

const InterventionText = z
  .string()
  .min(1, 'is empty: give the context that is to be injected')
  .refine((text) => !/\{\{(?!date\}\})/.test(text), {
    message: `uses a template variable other than ${DATE_VARIABLE}, the only one there is`,
  })

export const Intervention = z.strictObject({
  placement: Placement.describe('Where the text goes.'),
  text: InterventionText.describe('The context; {{date}}, the UTC day, is the only variable.'),
})
export type Intervention = z.infer<typeof Intervention>

/** Headers no condition may ask for: they hold credentials, or belong to one connection only. */
const isUnfit = nameMatcher([...HOP_BY_HOP, ...CREDENTIALS, 'cookie', 'trailer'])

/** A header's name in any case. */
const HeaderName = z
  .string()
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'is not the name of a header')
  .refine((name) => !isUnfit(name.toLowerCase()), {
    message: 'cannot be a condition: it holds credentials or belongs to one connection only',
  })

const MetadataKey = z
  .string()
  .min(1, 'is empty')
  .max(LONGEST_METADATA_KEY, `is longer than the ${LONGEST_METADATA_KEY} characters of a metadata key`)

/** Stands for any value: the condition is that there is one. */
export const ANY_VALUE = '*'

const Value = z.string().min(1, `is empty; for any value, write "${ANY_VALUE}"`)
const Values = z.union([Value, z.array(Value).min(1, 'is empty: then the condition would never hold')])

const notEmpty = (mapping: object) => Object.keys(mapping).length > 0

/** When a policy is applied: all that is said must hold. */
export const Conditions = z
  .strictObject({
    system: z
      .literal('absent')
      .optional()
      .describe('Only where the request has no system or developer message and no instructions.'),
    turn: z
      .literal('first')
      .optional()
      .describe('Only where the model has not answered yet before the last user message.'),
    header: z
      .record(HeaderName, Values)
      .refine(notEmpty, 'is empty: name a header')
      .optional()
      .describe('Only where these headers have one of these values; "*" stands for any.'),
    metadata: z
      .record(MetadataKey, Values)
      .refine(notEmpty, 'is empty: name a key')
      .optional()
      .describe('Only where the request\'s metadata has one of these values; "*" stands for any.'),
  })
  .refine(notEmpty, 'is empty: name system, turn, header or metadata')
export type Conditions = z.infer<typeof Conditions>

/** Where the effect of a policy was measured; a claim without a source is not one. */
export const Evidence = z.strictObject({
  source: z.string().describe('The publication, such as arXiv:2604.10022.'),
  section: z.string().optional().describe('Where in it.'),
  applied_at: z
    .enum(['training', 'serving'])
    .describe(
      'Whether the context stood in the training data or in the requests when the effect was measured.',
    ),
})

/** A policy as its file has it; the id is local to the file. */
export const PolicyEntry = z.strictObject({
  id: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]*$/, 'may hold lower-case letters, digits, ".", "_" and "-"')
    .describe('Its name in this file; the configuration names it FILE/ID.'),
  description: z.string().optional().describe('What it is for.'),
  interventions: z
    .array(Intervention)
    .min(1, 'is empty: a policy has at least one intervention')
    .describe('Pieces of context and where they go, in this order.'),
  when: Conditions.optional().describe('When it is applied: all that is said must hold.'),
  on_unsupported: z
    .enum(['reject', 'skip'])
    .optional()
    .describe('Where a request has no place for it: refused (the default), or sent without it.'),
  kind: z
    .enum(['identity', 'intent', 'identity+intent', 'time', 'inoculation', 'personality'])
    .optional()
    .describe('What kind of context it is.'),
  relevance: z
    .enum(['relevant', 'irrelevant'])
    .optional()
    .describe("Whether it makes the trait's behaviour expected."),
  trait: z.string().optional().describe('The check that measures the trait it is against.'),
  evidence: Evidence.optional().describe('Where its effect was measured.'),
})

export const PolicyFile = z.strictObject({
  policies: z.array(PolicyEntry).describe('The policies of this family.'),
})

/** A policy under its full id, `<file>/<id>`. */
export interface Policy extends Omit<z.infer<typeof PolicyEntry>, 'id'> {
  readonly id: string
}

/** What a policy does, as text: what its hash is made of. Id, description and evidence are no part of it. */
export function effectText({ interventions, when, on_unsupported }: Policy): string {
  const skips = on_unsupported === 'skip'
  return JSON.stringify(when === undefined && !skips ? interventions : { interventions, when, skips })
}
