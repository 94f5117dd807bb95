/** Reports from the store, for the control plane and the metrics. Used by `back-office.ts` and by the Worker's office. */

import type { Report } from '../domain/report.ts'
import type { Store } from '../domain/store.ts'
import type { Plan } from '../policy/compile.ts'
import { buildReport } from '../stats/report.ts'
import type { EvidenceFollower } from './evidence.ts'
import { followedOf } from './following.ts'

/** Reports are made at most this often, however often they are asked for. */
const REPORT_AGE_MS = 200
/** Where they are made of a store in this process: so many times as long as the last one took. */
const REPORT_REST = 20

export type Reports = () => Promise<readonly Report[]>

/**
 * Made once for all who ask at about the same time, and never more than a small share of it.
 * @param rest how many times as long as one took it rests before the next.
 */
export function cachedReports(
  plan: Plan,
  store: Store,
  follower: EvidenceFollower,
  rest = REPORT_REST,
): Reports {
  let stale = Number.NEGATIVE_INFINITY
  let made: Promise<readonly Report[]> = Promise.resolve([])
  return () => {
    const begun = performance.now()
    if (begun > stale) {
      stale = Number.POSITIVE_INFINITY
      made = makeReports(plan, store, follower).finally(() => {
        const ended = performance.now()
        stale = ended + Math.max(REPORT_AGE_MS, (ended - begun) * rest)
      })
    }
    return made
  }
}

/** Of all that is stored by now. */
export async function makeReports(plan: Plan, store: Store, follower: EvidenceFollower): Promise<Report[]> {
  const measured = plan.experiments.flatMap((experiment) =>
    experiment.check === null ? [] : [{ experiment, check: experiment.check }],
  )
  return await Promise.all(
    measured.map(async ({ experiment, check }) => {
      const followed = followedOf(experiment)
      return buildReport({
        experiment,
        check,
        exposures: await store.exposures(experiment.name),
        tallies: await store.tallies(experiment.name, check.id),
        evidence: followed === null ? null : await follower.update(followed),
      })
    }),
  )
}
