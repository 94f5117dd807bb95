/**
 * Follows a simulated experiment with every method at once, each looking after every verdict. Called by `simulation.ts`.
 */
import { asymptoticDifference } from '../src/stats/asymptotic-difference.ts'
import { betaBinomialLogE } from '../src/stats/beta-binomial.ts'
import { BlockEProcess } from '../src/stats/block-e-process.ts'
import type { Side } from '../src/stats/blocks.ts'
import type { Counts } from '../src/stats/counts.ts'
import { pooledZ } from '../src/stats/fixed-size-test.ts'
import { twoSidedZ } from '../src/stats/special/normal-quantile.ts'

export const ALPHA = 0.05
/** Evidence that is acted on, a natural logarithm. */
export const THRESHOLD = Math.log(1 / ALPHA)
const Z = twoSidedZ(ALPHA)

/** A verdict as it enters a method. */
export interface Verdict {
  readonly side: Side
  readonly positive: boolean
}

/** Shares of the runs, 0 to 1. */
export interface FalseAlarms {
  /** Block e-process, either direction: what ballast decides by. */
  readonly process: number
  /** Pooled z-test. */
  readonly z: number
  /** Wilson's interval of the control's rate ever misses it; null where the rate drifts. */
  readonly wilson: number | null
  /** Beta-binomial sequence of the control's rate ever misses it; null where the rate drifts. */
  readonly sequence: number | null
  /** Asymptotic confidence sequence of the difference, looked at from the first verdict of both arms on. */
  readonly asymptotic: number
}

/** Follows one experiment with every method. */
export class Looks {
  readonly process = new BlockEProcess()
  private readonly counts = { control: { positives: 0, total: 0 }, treatment: { positives: 0, total: 0 } }
  private readonly ever = { process: false, z: false, wilson: false, sequence: false, asymptotic: false }
  private readonly rate: number | null

  /** @param rate of the control, null if it drifts. */
  constructor(rate: number | null) {
    this.rate = rate
  }

  add({ side, positive }: Verdict): void {
    const { counts, ever, process, rate } = this
    const own = counts[side]
    own.total++
    if (positive) own.positives++
    process.add(side, positive)
    ever.process ||= process.maxLogEBetter >= THRESHOLD || process.maxLogEWorse >= THRESHOLD
    ever.z ||= Math.abs(pooledZ(counts.control, counts.treatment)) >= Z
    if (!ever.asymptotic) {
      const asymptotic = asymptoticDifference(counts.control, counts.treatment)
      ever.asymptotic = asymptotic !== null && asymptotic.logE >= THRESHOLD
    }
    if (rate === null || side !== 'control') return
    ever.wilson ||= wilsonMisses(own, rate)
    ever.sequence ||= betaBinomialLogE(own.positives, own.total, rate) >= THRESHOLD
  }

  get alarms(): Readonly<Record<keyof FalseAlarms, boolean>> {
    return this.ever
  }
}

/** Whether Wilson's interval leaves the rate out: its definition, which needs no roots. */
function wilsonMisses({ positives, total }: Counts, rate: number): boolean {
  return Math.abs(positives / total - rate) > Z * Math.sqrt((rate * (1 - rate)) / total)
}

export function shares(runs: readonly Looks[], rate: number | null): FalseAlarms {
  const share = (name: keyof FalseAlarms) => runs.filter((run) => run.alarms[name]).length / runs.length
  return {
    process: share('process'),
    z: share('z'),
    wilson: rate === null ? null : share('wilson'),
    sequence: rate === null ? null : share('sequence'),
    asymptotic: share('asymptotic'),
  }
}
