/** The labels of an experiment beside what the judge said, from a store. Used by `calibrate` and `report`. */
import type { Archive, Label, RequestOrder, StoredSample, Tally } from '../domain/store.ts'
import { baselineOf } from '../policy/rules.ts'
import {
  type Calibration,
  calibrate,
  type JudgedArm,
  type LabelKind,
  type LabelledVerdict,
} from '../stats/calibration.ts'
import { ALPHA } from '../stats/report.ts'
import type { Measured } from './measured.ts'

/** Samples read at a time. */
const PAGE = 500

/** Labelled samples that cannot be used, by why. */
export interface UnusedLabels {
  /** Under another wording of check or policy. */
  readonly other_wording: number
  /** Not judged yet. */
  readonly unjudged: number
  /** Not drawn, but kept because they looked like the training context. */
  readonly extra: number
  /** Those who labelled it do not agree. */
  readonly disputed: number
}

export interface ReadCalibration {
  readonly calibration: Calibration
  readonly unused: UnusedLabels
}

export async function readCalibration(
  archive: Archive,
  { experiment, check }: Measured,
  tallies: readonly Tally[],
): Promise<ReadCalibration> {
  const hashes = new Map(experiment.arms.map(({ name, policyHash }) => [name, policyHash]))
  const labelled: LabelledVerdict[] = []
  const unused = { other_wording: 0, unjudged: 0, extra: 0, disputed: 0 }
  for await (const stored of labelledSamples(archive, experiment.name, check.id)) {
    const found = usable(stored, check.version, hashes)
    if (typeof found === 'string') unused[found]++
    else labelled.push(found)
  }
  const judged = experiment.arms.map(({ name, policyHash }): JudgedArm => {
    const own = tallies.filter(
      (it) =>
        it.arm === name && it.policyHash === policyHash && it.checkVersion === check.version && !it.extra,
    )
    const count = (kind: Tally['kind']) =>
      own.filter((it) => it.kind === kind).reduce((sum, it) => sum + it.count, 0)
    return { arm: name, positives: count('positive'), negatives: count('negative') }
  })
  const control = experiment.randomized ? baselineOf(experiment.arms).name : null
  return { calibration: calibrate(labelled, judged, control, ALPHA), unused }
}

async function* labelledSamples(
  archive: Archive,
  experiment: string,
  check: string,
): AsyncGenerator<StoredSample> {
  let after: RequestOrder | undefined
  for (;;) {
    const page = await archive.find({ experiment, check, labelled: true }, PAGE, after)
    yield* page
    const last = page.at(-1)?.sample
    if (page.length < PAGE || last === undefined) return
    after = { requestedAt: last.requestedAt, sampleId: last.id }
  }
}

function usable(
  { sample, verdict, labels }: StoredSample,
  checkVersion: string,
  hashes: ReadonlyMap<string, string | null>,
): LabelledVerdict | keyof UnusedLabels {
  if (sample.extra === 'trigger') return 'extra'
  if (verdict === null) return 'unjudged'
  const present = labels.filter(
    (label) => label.check === verdict.check && label.checkVersion === checkVersion,
  )
  if (
    verdict.checkVersion !== checkVersion ||
    present.length === 0 ||
    hashes.get(sample.arm) !== sample.policyHash
  )
    return 'other_wording'
  const label = agreed(present)
  if (label === null) return 'disputed'
  return { arm: sample.arm, judged: verdict.verdict, label, probability: Math.max(...present.map(chanceOf)) }
}

/** What more than half of those who labelled it say; null where there is no such thing. */
function agreed(labels: readonly Label[]): LabelKind | null {
  const votes = Map.groupBy(labels, ({ verdict }) => verdict)
  const [verdict] = [...votes].find(([, votes]) => votes.length * 2 > labels.length) ?? []
  return verdict ?? null
}

/** With which the sample was drawn for labelling; labels that do not say were not drawn by chance of different sizes. */
function chanceOf(label: Label): number {
  return label.probability ?? 1
}
