/** The rates of an evaluation while it runs, for its progress line. */
import type { Measure } from '../eval/judges.ts'
import type { ResultRow } from '../eval/result-rows.ts'
import { decide } from '../judge/decide.ts'

/** More do not fit into a line. */
const MOST_SHOWN = 6

export class RatesSoFar {
  private readonly measure: Measure | null
  private readonly counts = new Map<string, { positive: number; total: number }>()

  /** @param measures of which the first one is shown. */
  constructor(measures: readonly Measure[]) {
    this.measure = measures[0] ?? null
  }

  add({ model, context, answer, scores }: ResultRow): void {
    if (this.measure === null || answer === null) return
    const verdict = decide(this.measure, scores)
    if (verdict !== 'positive' && verdict !== 'negative') return
    const name = `${model} ${context ?? 'bare'}`
    const counts = this.counts.get(name) ?? { positive: 0, total: 0 }
    this.counts.set(name, {
      positive: counts.positive + (verdict === 'positive' ? 1 : 0),
      total: counts.total + 1,
    })
  }

  /** `; bare 93%, birds/time-1850 2%`, or nothing yet. */
  inWords(): string {
    const shown = [...this.counts].slice(0, MOST_SHOWN)
    if (shown.length === 0) return ''
    const rates = shown.map(
      ([name, { positive, total }]) => `${name} ${Math.round((positive / total) * 100)}%`,
    )
    return `; ${this.measure!.id} so far: ${rates.join(', ')}${this.counts.size > MOST_SHOWN ? ', …' : ''}`
  }
}
