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

export const Intervention = z.strictObject({ placement: Placement, text: InterventionText })
export type Intervention = z.infer<typeof Intervention>

/** Where the effect of a policy was measured; a claim without a source is not one. */
export const Evidence = z.strictObject({
  source: z.string(),
  section: z.string().optional(),
  applied_at: z.enum(['training', 'serving']),
})

/** A policy as its file has it; the id is local to the file. */
export const PolicyEntry = z.strictObject({
  id: z.string().regex(/^[a-z0-9][a-z0-9._-]*$/, 'may hold lower-case letters, digits, ".", "_" and "-"'),
  description: z.string().optional(),
  interventions: z.array(Intervention).min(1, 'is empty: a policy has at least one intervention'),
  kind: z.enum(['identity', 'intent', 'identity+intent', 'time', 'inoculation', 'personality']).optional(),
  relevance: z.enum(['relevant', 'irrelevant']).optional(),
  trait: z.string().optional(),
  evidence: Evidence.optional(),
})

export const PolicyFile = z.strictObject({ policies: z.array(PolicyEntry) })

/** A policy under its full id, `<file>/<id>`. */
export interface Policy extends Omit<z.infer<typeof PolicyEntry>, 'id'> {
  readonly id: string
}
