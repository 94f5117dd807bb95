/** Samples as `/api` gives them. All texts in them are untrusted. Used by `routes.ts`. */
import { z } from '@hono/zod-openapi'
import { Placement } from '../../../domain/policy.ts'
import { VERDICTS } from '../../../domain/verdict.ts'
import { Moment } from './report.ts'

export const Piece = z
  .strictObject({
    text: z.string(),
    injected: Placement.nullable().openapi({
      description: 'Where ballast put it; null: it is the client’s.',
    }),
  })
  .openapi('Piece')

const Message = z
  .strictObject({
    role: z.string(),
    pieces: z.array(Piece).readonly(),
    cut: z
      .int()
      .nonnegative()
      .openapi({ description: 'Characters left out of this list; the sample itself has them.' }),
  })
  .openapi('Message')

const Texts = z
  .strictObject({
    messages: z.array(Message).readonly(),
    messages_left_out: z.int().nonnegative(),
    answer: z.string(),
    answer_cut: z.int().nonnegative(),
  })
  .openapi('Texts', { description: 'What client and model wrote. Untrusted text.' })

const Score = z
  .strictObject({
    rubric: z.string(),
    kind: z.enum(['number', 'label', 'unparsed', 'error']),
    value: z
      .union([z.number(), z.string()])
      .openapi({ description: 'Of `unparsed`, what the judge wrote: untrusted text.' }),
    by: z
      .array(
        z.strictObject({ model: z.string(), kind: z.string(), value: z.union([z.number(), z.string()]) }),
      )
      .readonly()
      .openapi({ description: 'What it is made of, where the rubric was judged more than once.' }),
  })
  .openapi('Score')

const Label = z.strictObject({ by: z.string(), verdict: z.enum(['positive', 'negative', 'excluded']) })

export const VerdictFilter = z.enum([...VERDICTS, 'waiting'])

export const Sample = z
  .strictObject({
    id: z.string(),
    requested_at: Moment,
    experiment: z.string(),
    arm: z.string(),
    policy: z.string().nullable(),
    check: z.string(),
    check_version: z.string(),
    model: z.string().openapi({ description: 'As the client named it: untrusted text.' }),
    probability: z.number(),
    extra: z
      .enum(['trigger'])
      .nullable()
      .openapi({ description: 'Why it was kept although it was not drawn.' }),
    verdict: VerdictFilter,
    judged_at: Moment.nullable(),
    scores: z.array(Score).readonly(),
    labels: z.array(Label).readonly(),
    injection: z.string().openapi({ description: 'What is known of the injection, in a sentence.' }),
    texts: Texts.nullable(),
    without_texts: z
      .enum(['erased', 'keep'])
      .nullable()
      .openapi({ description: 'Why there are none: they were erased, or `samples.keep` is `verdicts`.' }),
  })
  .openapi('Sample')

export const Samples = z
  .strictObject({
    samples: z.array(Sample).readonly(),
    next: z
      .string()
      .nullable()
      .openapi({ description: 'For `after`: where the following ones begin; null: there are none.' }),
  })
  .openapi('Samples')

const MOST = 50

export const SampleQuery = z.object({
  experiment: z
    .string()
    .optional()
    .openapi({ param: { name: 'experiment', in: 'query' } }),
  arm: z.string().optional(),
  verdict: VerdictFilter.optional(),
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(MOST)
    .default(20)
    .openapi({ type: 'integer', minimum: 1, maximum: MOST, default: 20 }),
  after: z
    .string()
    .regex(/^\d{1,15}\..{1,200}$/, 'is not what `next` was')
    .optional()
    .openapi({ description: 'The `next` of the answer before.' }),
})
export type SampleQuery = z.output<typeof SampleQuery>
