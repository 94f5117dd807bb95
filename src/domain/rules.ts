/** When ballast acts on an arm by itself: the settings `rollback` and `promote` of an experiment. */
import { z } from 'zod'

const Alpha = z
  .number()
  .gt(0, 'is above 0 and below 1')
  .lt(1, 'is above 0 and below 1')
  .default(0.05)
  .describe('Chance that it ever acts although it should not.')

export const Rollback = z.strictObject({
  worse_than: z
    .string()
    .optional()
    .describe('The arm the others are compared with; default the first that injects nothing.'),
  alpha: Alpha,
  above: z
    .number()
    .gt(0, 'is a rate above 0 and below 1')
    .lt(1, 'is a rate above 0 and below 1')
    .optional()
    .describe('An arm whose rate is proven to be above it is switched off too; takes half of alpha.'),
})

export const Promote = z.strictObject({
  better_than: z
    .string()
    .optional()
    .describe('The arm the others are compared with; default the first that injects nothing.'),
  alpha: Alpha,
})
