/** Numbers as reports print them, whatever the format. Used within `cli/report/`. */
import type {
  Bounds,
  CorrectedDetail,
  DetailedArm,
  DetailedComparison,
  JudgeDetail,
} from '../../domain/detailed-report.ts'

const UNKNOWN = '–'

/** A rate to a tenth of a percent, or to a hundredth below 1%. */
export function rate(value: number | null): string {
  if (value === null) return UNKNOWN
  const percent = value * 100
  return `${percent.toFixed(percent > 0 && percent < 1 ? 2 : 1)}%`
}

export function bounds({ lower, upper }: Bounds): string {
  return `${rate(lower)} to ${rate(upper)}`
}

/** Percentage points, with a sign. */
export function points(value: number | null): string {
  if (value === null) return UNKNOWN
  const text = (value * 100).toFixed(1)
  return value > 0 && text !== '0.0' ? `+${text}` : text.replace('-', '−').replace('−0.0', '0.0')
}

export function pointBounds({ lower, upper }: Bounds): string {
  return `${points(lower)} to ${points(upper)}`
}

/** A p-value. */
export function pValue(p: number | null): string {
  if (p === null) return UNKNOWN
  return p < 0.0001 ? '<0.0001' : p.toFixed(p < 0.1 ? 4 : 2)
}

/** A whole number with commas. */
export function whole(value: number): string {
  return value.toLocaleString('en')
}

/** "about 900": two digits, so that nobody takes it for exact. */
export function about(value: number): string {
  const digits = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, value))) - 1)
  return whole(Math.round(value / digits) * digits)
}

/** Evidence, of which ln 20 is proof at 5%. */
export function evidence(logE: number): string {
  return logE.toFixed(1).replace('-', '−')
}

export function moment(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

export function powerInWords({ arm, against, decision, power, inconclusive }: DetailedComparison): string {
  if (decision !== 'undecided') return `${arm}: ${decision}, no more verdicts are needed`
  if (power === null)
    return `${arm}: how long it takes cannot be told before ${against} has both positive and negative verdicts`
  const { have, more, cap, from, to } = power
  const halving = `a halving of ${against}'s rate (${rate(from)} to ${rate(to)})`
  if (inconclusive)
    return `${arm}: inconclusive, ${whole(have)} verdicts are more than the ${whole(cap)} that a run looking for ${halving} may take`
  const first = more === 0 ? 'enough by now for a test of one look' : `about ${about(more)} more verdicts`
  return `${arm}: ${first} to see ${halving}; the run ends, inconclusive, at ${whole(cap)} (${whole(have)} so far)`
}

const METHODS: Record<CorrectedDetail['method'], string> = {
  'rogan-gladen': 'corrected (Rogan-Gladen)',
  'ppi++': 'corrected (PPI++)',
  labels: 'labels alone (Wilson)',
  stratified: 'labels, weighed by how they were drawn',
}

export function methodInWords(method: CorrectedDetail['method']): string {
  return METHODS[method]
}

export function identifiableInWords({
  identifiable,
  labels,
}: Pick<JudgeDetail, 'identifiable' | 'labels'>): string {
  if (identifiable === 'yes') return `measured on ${whole(labels)} labels`
  return identifiable === 'no'
    ? 'no better than chance: sensitivity and specificity together are at most 1, so no rate is identifiable'
    : `not identifiable yet: ${whole(labels)} labels do not tell the judge from chance`
}

export function offInWords({ off }: DetailedArm): string {
  if (off === null) return ''
  const by = {
    configuration: 'by the configuration',
    rollback: 'by its rollback rule',
    promote: 'by its promote rule',
    person: 'by a person',
  }
  return `off, ${by[off.by]}`
}

/** An event of an arm. */
export function eventInWords({
  arm,
  action,
  by,
  reason,
}: {
  readonly arm: string
  readonly action: string
  readonly by: string
  readonly reason: string
}): string {
  return `${arm} ${action === 'promoted' ? 'promoted' : `switched ${action}`} by ${by === 'person' ? 'a person' : `the ${by} rule`}: ${reason}`
}
