/** Exposures as they are stored: one row for each arm and assignment. Used by `store-queries.ts` and `store-d1.ts`. */
import type { ExposureBatch } from '../domain/store.ts'

/** One batch for each arm and assignment, always in the same order. */
export function mergeExposures(batches: readonly ExposureBatch[]): ExposureBatch[] {
  const byArm = Map.groupBy(batches, ({ experiment, arm, assignment }) =>
    [experiment, arm, assignment].join('\n'),
  )
  return [...byArm]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, its]) => ({
      ...its[0]!,
      exposures: its.reduce((sum, it) => sum + it.exposures, 0),
      anonymousUnits: its.reduce((sum, it) => sum + it.anonymousUnits, 0),
      units: its.flatMap(({ units }) => units),
    }))
}
