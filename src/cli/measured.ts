/** The experiments that a command is asked about. Used by `report`, `plan` and `calibrate`. */
import type { Config } from '../config/load.ts'
import { didYouMean } from '../config/near.ts'
import type { Check } from '../domain/check.ts'
import { type CompiledExperiment, compilePlan } from '../policy/compile.ts'
import { UsageError } from './usage.ts'

/** An experiment with the check that judges it. */
export interface Measured {
  readonly experiment: CompiledExperiment
  readonly check: Check
}

/**
 * @param names of experiments, routes without one included (`route:PATTERN`); all that have a check without any.
 * @throws UsageError where one does not exist, or none has a check.
 */
export function measuredExperiments(config: Config, names: readonly string[]): Measured[] {
  const { experiments } = compilePlan(config)
  const chosen = names.length === 0 ? experiments : names.map((name) => find(experiments, name))
  const measured = chosen.flatMap((experiment) =>
    experiment.check === null ? [] : [{ experiment, check: experiment.check }],
  )
  const unmeasured = chosen.find(({ check }) => check === null)
  if (names.length > 0 && unmeasured !== undefined) {
    throw new UsageError(
      `Experiment "${unmeasured.name}" has no check, so none of its answers is judged: give it a "check" and a "sample".`,
    )
  }
  if (measured.length === 0) {
    throw new UsageError(
      'No experiment and no route of this configuration has a check, so nothing is measured: give one a "check" and a "sample".',
    )
  }
  return measured
}

function find(experiments: readonly CompiledExperiment[], name: string): CompiledExperiment {
  const found = experiments.find((experiment) => experiment.name === name)
  if (found !== undefined) return found
  const names = experiments.map((experiment) => experiment.name)
  const meant = didYouMean(name, names)
  const known = names.length === 0 ? 'there is none' : `there are ${names.join(', ')}`
  throw new UsageError(`Experiment "${name}" does not exist${meant === '' ? `; ${known}.` : meant}`)
}
