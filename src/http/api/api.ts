/** What `/api` needs to answer, in the words of its schemas. `node/control.ts` gives it; `routes.ts` asks. */
import type { z } from '@hono/zod-openapi'
import type { Report } from '../../domain/report.ts'
import type { ArmAction, Experiment } from './schema/experiment.ts'
import type { Sample, SampleQuery, Samples } from './schema/sample.ts'
import type { RunningConfig, Status } from './schema/status.ts'

export type ShownExperiment = z.output<typeof Experiment>
export type ShownSample = z.output<typeof Sample>
export type SamplePage = z.output<typeof Samples>
export type SampleQuestion = SampleQuery
export type ShownStatus = z.output<typeof Status>
export type ShownConfig = z.output<typeof RunningConfig>

export interface ArmCommand extends z.output<typeof ArmAction> {
  readonly experiment: string
  readonly arm: string
}

export type ArmOutcome =
  | { readonly outcome: 'done'; readonly event: ShownExperiment['history'][number] }
  /** `unknown`: there is no such arm. `refused`: it cannot be done. */
  | { readonly outcome: 'unknown' | 'refused'; readonly message: string }

/** Every method may reject where the back office or the store does not answer; `status` says so instead. */
export interface Api {
  status(): Promise<ShownStatus>
  config(): ShownConfig
  reports(): Promise<readonly Report[]>
  /** Null for a name that no experiment has. */
  experiment(name: string): Promise<ShownExperiment | null>
  samples(question: SampleQuestion): Promise<SamplePage>
  /** Null for an id that no sample has. */
  sample(id: string): Promise<ShownSample | null>
  /** Resolves when it is in force in this process; others follow within about a second. */
  actOnArm(command: ArmCommand): Promise<ArmOutcome>
}
