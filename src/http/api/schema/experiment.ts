/** An experiment with its course, its arms and what was done to them, as `/api` gives it. Used by `routes.ts`. */
import { z } from '@hono/zod-openapi'
import { Placement } from '../../../domain/policy.ts'
import { ArmState, Estimate, Moment, Report } from './report.ts'

export const PlacedText = z
  .strictObject({ placement: Placement, text: z.string() })
  .openapi('PlacedText', { description: 'A piece of context and where it is put.' })

const Arm = z
  .strictObject({
    arm: z.string(),
    policy: z.string().nullable(),
    weight: z.number(),
    sample: z.number().openapi({ description: 'Share of the answers that is judged, 0 to 1.' }),
    interventions: z.array(PlacedText).readonly(),
    state: ArmState,
    actions: z
      .array(z.enum(['off', 'on', 'promote']))
      .readonly()
      .openapi({ description: 'What may be done to it now.' }),
  })
  .openapi('Arm')

const CoursePoint = z
  .strictObject({
    at: Moment.openapi({ description: 'When the last request that counts came in.' }),
    verdicts: z.int(),
    arms: z
      .array(
        z
          .strictObject({ ...Estimate.shape, arm: z.string(), positives: z.int(), total: z.int() })
          .openapi('CourseArm'),
      )
      .readonly(),
    comparisons: z
      .array(
        z
          .strictObject({
            ...Estimate.shape,
            arm: z.string(),
            log_e_better: z.number(),
            log_e_worse: z.number(),
          })
          .openapi('CourseComparison', {
            description: 'Difference from `against`, and natural logarithms of the evidence.',
          }),
      )
      .readonly(),
  })
  .openapi('CoursePoint')

export const Course = z
  .strictObject({
    against: z.string().nullable().openapi({ description: 'The arm that the others are compared with.' }),
    complete: z.boolean().openapi({ description: 'False while older verdicts are still being read.' }),
    points: z.array(CoursePoint).readonly(),
  })
  .openapi('Course', {
    description:
      'How rates, differences and evidence came about, of one verdict per unit and question in the order of the requests. All bounds (95%) hold at all points at once.',
  })

const ArmEvent = z
  .strictObject({
    at: Moment,
    arm: z.string(),
    action: z.enum(['off', 'on', 'promoted']),
    by: z.enum(['rollback', 'promote', 'person']),
    reason: z.string(),
  })
  .openapi('ArmEvent')

export const Experiment = z
  .strictObject({
    experiment: z.string(),
    check: z.string().nullable(),
    report: Report.nullable().openapi({ description: 'Null where no check judges its answers.' }),
    arms: z.array(Arm).readonly(),
    course: Course.nullable(),
    history: z
      .array(ArmEvent)
      .readonly()
      .openapi({ description: 'What was done to its arms, newest first.' }),
  })
  .openapi('Experiment')

export const ArmAction = z
  .strictObject({
    action: z.enum(['off', 'on', 'promote']).openapi({
      description:
        'off: nothing is injected for its units. on: as configured again; evidence begins anew. promote: its policy for the units of all arms.',
    }),
    reason: z
      .string()
      .trim()
      .min(1, 'is empty: say why')
      .max(500)
      .openapi({ description: 'Why; shown wherever the arm is.' }),
    who: z
      .string()
      .trim()
      .min(1, 'is empty: say who you are')
      .max(80)
      .openapi({ description: 'Who does it; kept with the reason.' }),
  })
  .openapi('ArmAction')
