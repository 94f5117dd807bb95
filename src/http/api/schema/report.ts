/** Reports as `/api` gives them: the types of `domain/report.ts` for OpenAPI. Used by `routes.ts`. */
import { z } from '@hono/zod-openapi'

const Count = z.int().nonnegative()
/** A moment in UTC, as `2026-11-24T12:00:00.000Z`. */
export const Moment = z.iso.datetime().openapi({ description: 'A moment, UTC.' })

const VerdictCounts = z
  .strictObject({ positive: Count, negative: Count, excluded: Count, unparsed: Count, error: Count })
  .openapi('VerdictCounts', { description: 'How many samples have each verdict.' })

/** Others have its shape and more; `extend` would make them an `allOf` of closed objects, which nothing fits. */
export const Estimate = z
  .strictObject({
    estimate: z.number().nullable().openapi({ description: 'Null while there is nothing to estimate from.' }),
    lower: z.number(),
    upper: z.number(),
  })
  .openapi('Estimate')

const Weighted = Estimate.openapi({
  description:
    'Where answers were sampled with different probabilities: of all that were eligible, bounds of one look.',
})

export const ArmState = z
  .strictObject({
    state: z.enum(['on', 'off', 'promoted']).openapi({
      description:
        'off: nothing is injected for its units. promoted: its policy is for the units of all arms.',
    }),
    by: z.enum(['config', 'rollback', 'promote', 'person']).nullable(),
    since: Moment.nullable(),
    reason: z.string().nullable(),
  })
  .openapi('ArmState')

const ArmReport = z
  .strictObject({
    arm: z.string(),
    policy: z.string().nullable().openapi({ description: 'Null: it injects nothing.' }),
    units: Count,
    exposures: Count,
    samples: Count,
    verdicts: VerdictCounts,
    rate: z.strictObject({ ...Estimate.shape, weighted: Weighted.optional() }).openapi('Rate', {
      description:
        'Positives over positives and negatives; the bounds (95%) hold however often they are looked at.',
    }),
    extra: z
      .strictObject({ samples: Count, verdicts: VerdictCounts })
      .optional()
      .openapi({ description: 'Kept for their text and not drawn; in none of the numbers.' }),
    state: ArmState.optional().openapi({
      description: 'Missing for an arm that has never been anything but on.',
    }),
  })
  .openapi('ArmReport')

const Comparison = z
  .strictObject({
    arm: z.string(),
    against: z.string(),
    difference: Estimate.openapi({
      description: 'Rate of `arm` minus rate of `against`; bounds hold at any time.',
    }),
    log_e_better: z.number().openapi({ description: 'Natural logarithm of the evidence for a lower rate.' }),
    log_e_worse: z.number(),
    decision: z.enum(['better', 'worse', 'undecided']),
  })
  .openapi('Comparison')

export const Report = z
  .strictObject({
    experiment: z.string(),
    check: z.string(),
    arms: z.array(ArmReport).readonly(),
    comparisons: z.array(Comparison).readonly(),
    sample_ratio: z.strictObject({ p: z.number(), log_e: z.number() }).openapi({
      description: 'Whether units were assigned as the weights say; p below 0.001 means they were not.',
    }),
    evidence: z
      .strictObject({ since: Moment.nullable(), until: Moment.nullable(), verdicts: Count, late: z.int() })
      .optional()
      .openapi({ description: 'What comparisons rest on: one verdict per unit and question.' }),
  })
  .openapi('Report', { description: 'What is known of an experiment, or of a route without one.' })
