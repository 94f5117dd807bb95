/** What `report` and `calibrate` read from a store about an experiment. */
import type { DetailedQuestion, DetailedReport } from '../domain/detailed-report.ts'
import type { Archive, DecisiveQuery, QuestionTally, Store } from '../domain/ports.ts'
import type { Report } from '../domain/report.ts'
import { type Counts, countVerdict, NO_COUNTS } from '../stats/counts.ts'
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
  now: number,
): Promise<DetailedReport> {
  const { name } = experiment
  const history = await store.armHistory(name)
  // Units are counted under the arms that are on; what was switched off by an event is in no configuration.
  const latest = new Map(history.map(({ arm, action }) => [arm, action]))
  for (const [arm, action] of latest) if (action === 'off') experiment.switches.set(arm, true)
  const tallies = await store.tallies(name, check.id)
  const { report, decisive } = await readReport(store, { experiment, check }, tallies)
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
): Promise<{ report: Report; decisive: ReadonlyMap<string, Counts> }> {
  const query = queryOf({ experiment, check })
  const verdicts = await store.decisiveVerdicts(query, null, null, Number.MAX_SAFE_INTEGER)
  const exposures = await store.exposures(experiment.name)
  const decisive = new Map<string, Counts>()
  for (const { arm, positive } of verdicts)
    decisive.set(arm, countVerdict(decisive.get(arm) ?? NO_COUNTS, positive))
  return { report: buildReport({ experiment, check, exposures, tallies, verdicts }), decisive }
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
