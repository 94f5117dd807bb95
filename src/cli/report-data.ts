/** What `report` and `calibrate` read from a store about an experiment. */
import type { DetailedQuestion, DetailedReport } from '../domain/detailed-report.ts'
import { noLog } from '../domain/ports.ts'
import type { Report } from '../domain/report.ts'
import type { Archive, DecisiveQuery, QuestionTally, Store } from '../domain/store.ts'
import { applyArmEvents } from '../node/arm-events.ts'
import { EvidenceFollower } from '../node/evidence.ts'
import { followedOf } from '../node/following.ts'
import type { Counts } from '../stats/counts.ts'
import { detailReport } from '../stats/detailed-report.ts'
import { buildReport } from '../stats/report.ts'
import { readCalibration } from './calibration-data.ts'
import type { Measured } from './measured.ts'

/** Questions shown, and how often one must have been judged for its rate to mean anything. */
const MOST_QUESTIONS = 12
const LEAST_JUDGED = 5

export async function readDetailedReport(
  store: Store & Archive,
  { experiment, check }: Measured,
  wait: number,
  now: number,
): Promise<DetailedReport> {
  const { name } = experiment
  const history = await store.armHistory(name)
  // Units are counted under the arms that are on; what was switched off by an event is in no configuration.
  applyArmEvents({ experiments: [experiment] }, await store.armEvents())
  const tallies = await store.tallies(name, check.id)
  const { report, decisive } = await readReport(store, { experiment, check }, tallies, wait)
  const { calibration } = await readCalibration(store, { experiment, check }, tallies)
  return detailReport({
    report,
    decisive,
    experiment,
    check,
    tallies,
    scoreTallies: await store.scoreTallies(name, check.id),
    questions: byQuestion(
      await store.questionTallies(queryOf({ experiment, check }), MOST_QUESTIONS, LEAST_JUDGED),
    ),
    judge: calibration.labels === 0 ? null : calibration,
    history,
    now,
  })
}

/** The report as everything else shows it, and what decisions counted. */
async function readReport(
  store: Store,
  { experiment, check }: Measured,
  tallies: Awaited<ReturnType<Store['tallies']>>,
  wait: number,
): Promise<{ report: Report; decisive: ReadonlyMap<string, Counts> }> {
  const followed = followedOf(experiment)
  const evidence = followed === null ? null : await readOnlyFollower(store, wait).update(followed)
  const exposures = await store.exposures(experiment.name)
  const report = buildReport({ experiment, check, exposures, tallies, evidence })
  return { report, decisive: evidence?.reported.counts ?? countsOf(report) }
}

/** Reads on from what is kept, and keeps nothing. */
function readOnlyFollower(store: Store, wait: number): EvidenceFollower {
  return new EvidenceFollower({
    store: {
      decisiveVerdicts: (...query) => store.decisiveVerdicts(...query),
      oldestUnjudged: (...of) => store.oldestUnjudged(...of),
      readNote: (name) => store.readNote(name),
      writeNote: async () => true,
      armHistory: (experiment) => store.armHistory(experiment),
    },
    wait: () => wait,
    log: noLog,
  })
}

/** Where nothing is compared, everything counts. */
function countsOf({ arms }: Report): Map<string, Counts> {
  return new Map(
    arms.map(({ arm, verdicts: { positive, negative } }) => [
      arm,
      { positives: positive, total: positive + negative },
    ]),
  )
}

function queryOf({ experiment, check }: Measured): DecisiveQuery {
  return {
    experiment: experiment.name,
    check: check.id,
    checkVersion: check.version,
    arms: experiment.arms.map(({ name, policyHash }) => ({ arm: name, policyHash })),
  }
}

function byQuestion(tallies: readonly QuestionTally[]): DetailedQuestion[] {
  return [...Map.groupBy(tallies, ({ question }) => question)].map(([question, arms]) => ({
    question,
    arms: arms.map(({ arm, positives, total }) => ({ arm, positives, total })),
  }))
}
