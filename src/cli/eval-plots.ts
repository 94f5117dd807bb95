/**
 * The figures of an evaluation, of the paper's kind, as SVG text: rates by context and model, what judges said as shares, and
 * how their numbers are distributed. Drawn without a browser; called by `eval-html.ts`.
 */
import * as Plot from '@observablehq/plot'
import type { Distribution } from '../eval/distribution.ts'
import type { MeasureSummary } from '../eval/summary.ts'
import { drawSvg } from './drawing.ts'
import { NO_CONTEXT } from './eval-sections.ts'

const WIDTH = 860
const LABEL_WIDTH = 300
const ROW = 26
const HISTOGRAM = 90
/** As many colours as the page's style has. */
export const COLOURS = 8
const LONGEST_LABEL = 44

/** @param title what it shows, for those who do not see it. */
function draw(title: string, options: Plot.PlotOptions): string {
  return drawSvg({ title }, { width: WIDTH, marginLeft: LABEL_WIDTH, marginBottom: 40, ...options })
}

interface Named {
  readonly model: string
  readonly context: string | null
}

/** Rows are named by context, and by model too where there are several. */
function namer(of: readonly Named[]): (named: Named) => string {
  const several = new Set(of.map(({ model }) => model)).size > 1
  return ({ model, context }) => {
    const name = several ? `${context ?? NO_CONTEXT} · ${model}` : (context ?? NO_CONTEXT)
    return name.length > LONGEST_LABEL ? `${name.slice(0, LONGEST_LABEL - 1)}…` : name
  }
}

const percent = { percent: true, domain: [0, 100], grid: true } as const
const names = (domain: readonly string[]) => ({ domain: [...new Set(domain)], label: null, tickSize: 0 })

/** A dot with its bounds for each model and context. */
export function plotRates({ measure, rates }: MeasureSummary): string {
  const name = namer(rates)
  const models = [...new Set(rates.map(({ model }) => model))]
  const rows = rates.map((it) => ({
    name: name(it),
    colour: colour(models.indexOf(it.model)),
    estimate: it.rate.estimate,
    lower: it.rate.lower,
    upper: it.rate.upper,
  }))
  return draw(`${measure}: rate and 95% bounds by context and model`, {
    height: rows.length * ROW + 60,
    x: { ...percent, label: `rate of ${measure} (%)` },
    y: names(rows.map((it) => it.name)),
    marks: [
      Plot.link(rows, { x1: 'lower', x2: 'upper', y1: 'name', y2: 'name', stroke: 'colour', strokeWidth: 2 }),
      Plot.dot(
        rows.filter(({ estimate }) => estimate !== null),
        { x: 'estimate', y: 'name', fill: 'colour', r: 5 },
      ),
    ],
  })
}

/** Bars of a judge's labels, as shares. Null where it gave none. */
export function plotShares(judge: string, of: readonly Distribution[]): string | null {
  const name = namer(of)
  const labels = [...new Set(of.flatMap((it) => Object.keys(it.labels)))]
  const parts = of.flatMap((it) => {
    const all = Object.values(it.labels).reduce((sum, count) => sum + count, 0)
    let from = 0
    return labels.flatMap((label, index) => {
      const share = all === 0 ? 0 : (it.labels[label] ?? 0) / all
      const part = { name: name(it), label, colour: colour(index), from, to: from + share }
      from = part.to
      return share === 0 ? [] : [part]
    })
  })
  if (parts.length === 0) return null
  return draw(`What ${judge} said, as shares`, {
    height: of.length * ROW + 60,
    x: { ...percent, label: `share of the labels of ${judge} (%)` },
    y: names(of.map(name)),
    marks: [
      Plot.barX(parts, {
        x1: 'from',
        x2: 'to',
        y: 'name',
        fill: 'colour',
        stroke: 'var(--page)',
        insetTop: 3,
        insetBottom: 3,
      }),
    ],
  })
}

/** The labels of a judge in the order of their colours. */
export function labelsOf(of: readonly Distribution[]): string[] {
  return [...new Set(of.flatMap((it) => Object.keys(it.labels)))]
}

/** A histogram of a judge's numbers for each model and context. Null where it gave none. */
export function plotNumbers(judge: string, of: readonly Distribution[]): string | null {
  const name = namer(of)
  const numeric = of.flatMap((it) => (it.numbers === null ? [] : [{ name: name(it), ...it.numbers }]))
  const [first] = numeric
  if (first === undefined) return null
  const [from, to] = first.scale
  const step = (to - from) / first.histogram.length
  const bars = numeric.flatMap((it) =>
    it.histogram.map((count, index) => ({
      name: it.name,
      from: from + index * step,
      to: from + (index + 1) * step,
      share: count / it.count,
    })),
  )
  return draw(`Numbers that ${judge} gave`, {
    height: numeric.length * HISTOGRAM + 60,
    marginLeft: 50,
    marginRight: LABEL_WIDTH,
    x: { domain: [from, to], label: `number of ${judge}` },
    y: { percent: true, grid: true, ticks: 3, label: 'share (%)' },
    fy: { ...names(numeric.map((it) => it.name)), padding: 0.2 },
    marks: [
      Plot.rectY(bars, { x1: 'from', x2: 'to', y: 'share', fy: 'name', fill: colour(0), inset: 0.5 }),
      Plot.ruleY([0]),
    ],
  })
}

export function colour(index: number): string {
  return `var(--colour-${index % COLOURS})`
}
