/**
 * A day of traffic that more is drawn of than can be judged, many times over, through the real rule of admission and the
 * real estimate: is the weighted rate right? Called by `simulate.ts`, which prints the long form, and by the tests.
 *
 * Virtual time: a busy spell has many requests and many positives, a quiet one few of both, and the judge does the same
 * number of samples in every second.
 */
import type { Tally } from '../src/domain/store.ts'
import { admission, isAdmitted } from '../src/policy/thinning.ts'
import { weightedRate } from '../src/stats/weighted-rate.ts'
import { ALPHA } from './looks.ts'
import { seeded } from './random.ts'
import type { Size } from './simulation.ts'

export interface Starved {
  /** Seconds of each spell, busy and quiet in turn. */
  readonly spell: number
  readonly spells: number
  /** Drawn exchanges a second, and how likely one is positive. */
  readonly busy: { readonly drawn: number; readonly rate: number }
  readonly quiet: { readonly drawn: number; readonly rate: number }
  /** Samples judged a second. */
  readonly judged: number
  /** Samples that may wait. */
  readonly queue: number
}

export const STARVED: Starved = {
  spell: 300,
  spells: 8,
  busy: { drawn: 20, rate: 0.3 },
  quiet: { drawn: 2, rate: 0.05 },
  judged: 3,
  queue: 1_000,
}

export interface Thinned {
  /** Of all that was drawn, as it is in the long run. */
  readonly truth: number
  /** Means over the runs. */
  readonly weighted: number
  readonly unweighted: number
  /** Standard error of the mean of `weighted`. */
  readonly weightedError: number
  /** Share of the runs whose bounds hold the truth: of the weighted rate, and of the plain one (at one look). */
  readonly covered: number
  readonly coveredUnweighted: number
  /** Of what was drawn, what was judged, thinned, and refused by a full queue. */
  readonly judged: number
  readonly thinned: number
  readonly refused: number
}

/** What one run has of verdicts. */
interface Judged {
  readonly tallies: readonly Tally[]
  readonly drawn: number
  readonly thinned: number
  readonly refused: number
}

export function thinned({ runs, seed }: Size, day: Starved = STARVED): Thinned {
  const next = seeded(seed)
  const { busy, quiet } = day
  const truth = (busy.drawn * busy.rate + quiet.drawn * quiet.rate) / (busy.drawn + quiet.drawn)
  const [weighted, unweighted]: [number[], number[]] = [[], []]
  const sums = { covered: 0, coveredUnweighted: 0, drawn: 0, judged: 0, thinned: 0, refused: 0 }
  for (let run = 0; run < runs; run++) {
    const { tallies, ...counts } = runDay(day, next, `${seed}-${run}`)
    const counted = (kind: Tally['kind']) => tallies.find((it) => it.kind === kind)!.count
    const [positives, total] = [counted('positive'), counted('positive') + counted('negative')]
    const plain = positives / total
    const half = 1.959964 * Math.sqrt((plain * (1 - plain)) / total)
    const { estimate, lower, upper } = weightedRate(tallies, ALPHA)!
    weighted.push(estimate!)
    unweighted.push(plain)
    if (lower <= truth && truth <= upper) sums.covered++
    if (Math.abs(plain - truth) <= half) sums.coveredUnweighted++
    sums.judged += total
    for (const key of ['drawn', 'thinned', 'refused'] as const) sums[key] += counts[key]
  }
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const middle = mean(weighted)
  const variance = mean(weighted.map((value) => (value - middle) ** 2))
  return {
    truth,
    weighted: middle,
    unweighted: mean(unweighted),
    weightedError: Math.sqrt(variance / (runs - 1)),
    covered: sums.covered / runs,
    coveredUnweighted: sums.coveredUnweighted / runs,
    judged: sums.judged / sums.drawn,
    thinned: sums.thinned / sums.drawn,
    refused: sums.refused / sums.drawn,
  }
}

/** What is admitted is judged in the end: whatever waits when the day is over is judged after it. */
function runDay(day: Starved, next: () => number, name: string): Judged {
  const empty = { count: 0, weights: 0, squaredWeights: 0 }
  const tally = { positive: { ...empty }, negative: { ...empty } }
  const counts = { drawn: 0, thinned: 0, refused: 0 }
  let waiting = 0
  for (let second = 0; second < day.spell * day.spells; second++) {
    const { drawn, rate } = Math.floor(second / day.spell) % 2 === 0 ? day.busy : day.quiet
    for (let index = 0; index < drawn; index++) {
      counts.drawn++
      const positive = next() < rate
      if (waiting >= day.queue) {
        counts.refused++
        continue
      }
      const probability = admission(waiting, day.queue)
      if (!isAdmitted('check', `${name}-${second}-${index}`, probability)) {
        counts.thinned++
        continue
      }
      waiting++
      const of = tally[positive ? 'positive' : 'negative']
      of.count++
      of.weights += 1 / probability
      of.squaredWeights += 1 / probability ** 2
    }
    waiting = Math.max(0, waiting - day.judged)
  }
  const label = { arm: 'arm', checkVersion: '1', policyHash: null, hour: 0, extra: false }
  const tallies = (['positive', 'negative'] as const).map((kind) => ({ ...label, kind, ...tally[kind] }))
  return { tallies, ...counts }
}
