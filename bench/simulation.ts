/**
 * Experiments run many times over with known rates: how often does each method decide wrongly, and how soon rightly?
 * Called by `simulate.ts`, which prints the long form, and by the tests, which run a short one.
 *
 * Every verdict is a look: a method that ever rejects, or ever misses the truth, counts as having done so.
 */
import { ArmComparisons } from '../src/stats/arm-comparisons.ts'
import { BlockEProcess } from '../src/stats/block-e-process.ts'
import type { Side } from '../src/stats/blocks.ts'
import { SEQUENTIAL_CAP, sampleSize } from '../src/stats/sample-size.ts'
import { FollowedOrder } from './followed-order.ts'
import { ALPHA, type FalseAlarms, Looks, shares, THRESHOLD } from './looks.ts'
import { seeded } from './random.ts'

export interface Size {
  readonly runs: number
  readonly seed: number
}

/** Both arms have the rate; the treatment gets a share of the verdicts. */
export function equalArms(
  { runs, seed }: Size,
  rate: number,
  treatmentShare: number,
  verdicts: number,
): FalseAlarms {
  const next = seeded(seed)
  const all = Array.from({ length: runs }, () => {
    const looks = new Looks(rate)
    for (let i = 0; i < verdicts; i++)
      looks.add({ side: next() < treatmentShare ? 'treatment' : 'control', positive: next() < rate })
    return looks
  })
  return shares(all, rate)
}

/** Both arms' rate drifts from 1% to 8% while the treatment's share rises from 10% to 50%. */
export function driftUnderRamp({ runs, seed }: Size, verdicts: number): FalseAlarms {
  const next = seeded(seed)
  const all = Array.from({ length: runs }, () => {
    const looks = new Looks(null)
    for (let i = 0; i < verdicts; i++) {
      const { rate, share } = ramp(i / verdicts)
      looks.add({ side: next() < share ? 'treatment' : 'control', positive: next() < rate })
    }
    return looks
  })
  return shares(all, null)
}

function ramp(progress: number): { rate: number; share: number } {
  return { rate: 0.01 + 0.07 * progress, share: 0.1 + 0.4 * progress }
}

export interface Disorder {
  /** As a follower counts them. */
  readonly followed: FalseAlarms
  /** In the order of arrival. */
  readonly arrival: FalseAlarms
  /** Share of the verdicts that the follower left out because they came late. */
  readonly late: number
}

/** As long as `decisions.wait` by default. */
const WAIT_MS = 120_000

/**
 * The same drift and ramp, a request a second. An answer takes 20 seconds on average, judging half a minute for negatives
 * and five minutes for positives, all exponentially distributed and `slower` times that in the treatment's arm. Each
 * verdict is a look.
 */
export function delayed({ runs, seed }: Size, verdicts: number, slower: number): Disorder {
  const next = seeded(seed)
  const all = Array.from({ length: runs }, () => {
    const requests = Array.from({ length: verdicts }, (_, i) => {
      const { rate, share } = ramp(i / verdicts)
      const side: Side = next() < share ? 'treatment' : 'control'
      const positive = next() < rate
      const took = (mean: number) => -mean * (side === 'treatment' ? slower : 1) * Math.log(1 - next())
      const requestedAt = i * 1000
      const storedAt = requestedAt + took(20_000)
      return { requestedAt, storedAt, judgedAt: storedAt + took(positive ? 300_000 : 30_000), side, positive }
    })
    const [arrival, followed] = [new Looks(null), new Looks(null)]
    const order = new FollowedOrder(requests, WAIT_MS)
    for (const request of requests.toSorted((x, y) => x.judgedAt - y.judgedAt)) {
      arrival.add(request)
      for (const counted of order.read(request.judgedAt)) followed.add(counted)
    }
    for (const counted of order.read(Infinity)) followed.add(counted)
    return { arrival, followed, late: order.late }
  })
  const sharesOf = (order: 'followed' | 'arrival') =>
    shares(
      all.map((run) => run[order]),
      null,
    )
  return {
    followed: sharesOf('followed'),
    arrival: sharesOf('arrival'),
    late: all.reduce((sum, { late }) => sum + late, 0) / (runs * verdicts),
  }
}

export interface Clustering {
  readonly allVerdicts: FalseAlarms
  readonly onePerUser: FalseAlarms
}

/**
 * Five verdicts of each user one after another, users alike with an intraclass correlation of 0.3: each user's rate is
 * drawn from the Beta distribution of that correlation and the mean `rate`. Arms are equal.
 */
export function clustered({ runs, seed }: Size, rate: number, users: number): Clustering {
  const next = seeded(seed)
  const sum = 1 / 0.3 - 1
  const all = Array.from({ length: runs }, () => {
    const [every, first] = [new Looks(rate), new Looks(rate)]
    for (let user = 0; user < users; user++) {
      const side: Side = next() < 0.5 ? 'treatment' : 'control'
      // Pólya's urn: each verdict as likely as those of the user before it let expect.
      let positives = 0
      for (let i = 0; i < 5; i++) {
        const positive = next() < (rate * sum + positives) / (sum + i)
        if (positive) positives++
        every.add({ side, positive })
        if (i === 0) first.add({ side, positive })
      }
    }
    return { every, first }
  })
  return {
    allVerdicts: shares(
      all.map(({ every }) => every),
      rate,
    ),
    onePerUser: shares(
      all.map(({ first }) => first),
      rate,
    ),
  }
}

/** Share of the runs where one of three treatments, all equal to the control, is called different: with Holm, and without. */
export function severalArms(
  { runs, seed }: Size,
  rate: number,
  verdicts: number,
): { readonly holm: number; readonly uncorrected: number } {
  const next = seeded(seed)
  const arms = ['control', 'first', 'second', 'third']
  let [corrected, uncorrected] = [0, 0]
  for (let run = 0; run < runs; run++) {
    const comparisons = new ArmComparisons('control', arms.slice(1))
    for (let i = 0; i < verdicts; i++) comparisons.add(arms[Math.floor(next() * 4)]!, next() < rate)
    // What is once decided stays so: the last look tells of all.
    if (comparisons.results(ALPHA).some(({ decision }) => decision !== 'undecided')) corrected++
    const each = comparisons.serialise().treatments.map(({ comparison }) => comparison.evidence)
    if (each.some(({ better, worse }) => Math.max(better.max, worse.max) >= THRESHOLD)) uncorrected++
  }
  return { holm: corrected / runs, uncorrected: uncorrected / runs }
}

export interface Power {
  /** Share of the runs that found the treatment better within the cap. */
  readonly found: number
  /** Share of the runs that found it worse. */
  readonly wrong: number
  /** Verdicts of both arms until it was found; Infinity where half of the runs did not find it. */
  readonly median: number
  /** Verdicts of both arms that a test of one look needs, at 80% power. */
  readonly fixed: number
  /** Share of the runs that found it within 1.8 times those. */
  readonly withinCap: number
}

/** The treatment is better. Arms get equal shares; a run ends after `verdicts`. */
export function power({ runs, seed }: Size, control: number, treatment: number, verdicts: number): Power {
  const next = seeded(seed)
  const fixed = 2 * Math.ceil(sampleSize(control, treatment).pooled)
  let wrong = 0
  const times = Array.from({ length: runs }, () => {
    const process = new BlockEProcess()
    for (let i = 1; i <= verdicts; i++) {
      const side = next() < 0.5 ? 'treatment' : 'control'
      process.add(side, next() < (side === 'treatment' ? treatment : control))
      if (process.maxLogEBetter >= THRESHOLD) return i
      if (process.maxLogEWorse >= THRESHOLD) break
    }
    if (process.maxLogEWorse >= THRESHOLD) wrong++
    return Infinity
  }).sort((x, y) => x - y)
  const within = (limit: number) => times.filter((time) => time <= limit).length / runs
  return {
    found: within(verdicts),
    wrong: wrong / runs,
    median: times[Math.floor((runs - 1) / 2)]!,
    fixed,
    withinCap: within(SEQUENTIAL_CAP * fixed),
  }
}
