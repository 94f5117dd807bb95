/** What the control plane asks the back office for (`desk.ts`), beside reports, and what it is answered. A part of `OfficeRequests`. */
import type {
  ArmCommand,
  ArmOutcome,
  SamplePage,
  SampleQuestion,
  ShownExperiment,
  ShownSample,
} from '../http/api/api.ts'
import type { JudgingState } from './judging.ts'

export interface DeskRequests {
  judging(): JudgingState
  /** Null for a name that no experiment has. */
  experiment(name: string): ShownExperiment | null
  samples(question: SampleQuestion): SamplePage
  /** Null for an id that no sample has. */
  sample(id: string): ShownSample | null
  actOnArm(command: ArmCommand): ArmOutcome
}
