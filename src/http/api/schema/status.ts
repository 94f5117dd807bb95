/** How ballast is doing and what it runs, as `/api` gives it. Used by `routes.ts`. */
import { z } from '@hono/zod-openapi'
import { Moment } from './report.ts'

const JudgeModel = z
  .strictObject({
    model: z.string(),
    upstream: z.string(),
    state: z.enum(['asked', 'probed', 'left-alone', 'no-budget']).openapi({
      description:
        'asked: as usual. left-alone: it keeps failing and is not asked for a while. probed: likewise, and is tried next. no-budget: its budget is used up.',
    }),
    failing_since: Moment.nullable(),
    reason: z.string().nullable().openapi({ description: 'What its last failure was.' }),
  })
  .openapi('JudgeModel')

const Judging = z
  .strictObject({
    where: z.enum(['here', 'elsewhere', 'nowhere']).openapi({
      description: 'here: in this process. elsewhere: by `ballast judge`. nowhere: no judge is configured.',
    }),
    down: z.boolean().openapi({ description: 'Whether a judge keeps failing, so that samples wait.' }),
    queue: z.strictObject({
      depth: z.int().openapi({ description: 'Samples without a verdict.' }),
      oldest_at: Moment.nullable(),
      limit: z.int().nullable(),
    }),
    models: z.array(JudgeModel).readonly(),
  })
  .openapi('Judging')

const Upstream = z
  .strictObject({
    upstream: z.string(),
    breaker: z.enum(['closed', 'open', 'half-open']).openapi({
      description: 'open: it kept failing and is left alone. half-open: one request tries it.',
    }),
    failures: z.int().openapi({ description: 'Failures in a row.' }),
    retry_in_ms: z.int().openapi({ description: 'Until it is tried again; 0 while it is closed.' }),
    fallback: z.array(z.string()).readonly(),
  })
  .openapi('Upstream')

export const Status = z
  .strictObject({
    at: Moment,
    started_at: Moment,
    draining: z.boolean(),
    config: z.strictObject({
      hash: z.string(),
      since: Moment,
      failed_at: Moment.nullable().openapi({
        description: 'When the last reload was refused; null: it was not.',
      }),
    }),
    judging: Judging.nullable().openapi({
      description: 'Null where the back office or the store does not answer.',
    }),
    trouble: z.string().nullable().openapi({ description: 'Why a part of this is missing.' }),
    upstreams: z.array(Upstream).readonly(),
    experiments: z.array(z.string()).readonly().openapi({
      description: 'Names of all there are, also of those that no check measures, and of routes without one.',
    }),
  })
  .openapi('Status', { description: 'As this process sees it; other replicas may fare otherwise.' })

const Change = z
  .strictObject({
    at: Moment,
    outcome: z.enum(['applied', 'failed']),
    hash: z.string().openapi({ description: 'Of the configuration in force afterwards.' }),
    changes: z
      .record(z.string(), z.record(z.string(), z.union([z.array(z.string()).readonly(), z.boolean()])))
      .openapi({
        description: 'By kind, the names of what was added, removed or changed.',
      }),
    problems: z.array(z.string()).readonly(),
  })
  .openapi('ConfigChange')

export const RunningConfig = z
  .strictObject({
    hash: z.string(),
    since: Moment,
    changes: z
      .array(Change)
      .readonly()
      .openapi({ description: 'Reloads since ballast started, newest first, 20 at most.' }),
    values: z.record(z.string(), z.unknown()).openapi({
      description: 'With defaults; durations in milliseconds, sizes in bytes. Secrets are not in it.',
    }),
  })
  .openapi('RunningConfig')

export const Problem = z
  .strictObject({
    error: z.strictObject({
      message: z.string(),
      type: z.string().optional(),
      param: z.string().nullable().optional(),
      code: z.string().optional(),
    }),
  })
  .openapi('Problem')
