/** Interventions and policies (SPEC section 5): what context goes where. Read from `policies/*.yaml`. */
import { z } from 'zod'

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
