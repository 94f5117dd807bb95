/** The plots of counts: verdict shares, score distributions, rates per question or label. Used by `report-html.ts`. */
import * as Plot from '@observablehq/plot'
import type { DetailedArm, DetailedScores } from '../../domain/detailed-report.ts'
import { VERDICTS, type VerdictKind } from '../../domain/verdict.ts'
import { wilsonInterval } from '../../stats/binomial-intervals.ts'
import { nameMargin, nameTick } from './plot-rates.ts'
import { breakable, shortened } from './shorten.ts'
import { armColour, drawPlot } from './svg.ts'
import { rate, whole } from './words.ts'

const ROW_PX = 34
/** Narrower parts of a bar have no room for their number. */
const LEAST_LABELLED = 0.045
const ALPHA = 0.05
const CENTRED = { labelAnchor: 'center', labelArrow: 'none' } as const

/** What became of the judged answers of each arm, as shares of a bar. Null without verdicts. */
export function plotVerdicts(arms: readonly DetailedArm[]): string | null {
  const parts = arms.flatMap(({ arm, verdicts }) => {
    const all = VERDICTS.reduce((sum, kind) => sum + verdicts[kind], 0)
    let before = 0
    return VERDICTS.filter((kind) => verdicts[kind] > 0).map((kind) => {
      const part = { arm, kind, count: verdicts[kind], from: before, to: before + verdicts[kind] / all }
      before = part.to
      return part
    })
  })
  if (parts.length === 0) return null
  const names = arms.map(({ arm }) => arm)
  const described = {
    title: 'Verdicts per arm, as shares',
    description: arms
      .map(
        ({ arm, verdicts }) =>
          `${arm}: ${VERDICTS.map((kind) => `${kind} ${whole(verdicts[kind])}`).join(', ')}`,
      )
      .join('; '),
  }
  type Part = (typeof parts)[number]
  return drawPlot(described, (_, size) => ({
    height: names.length * ROW_PX + 56,
    marginLeft: nameMargin(names, size),
    marginRight: 16,
    marginBottom: 44,
    x: {
      percent: true,
      domain: [0, 100],
      label: 'share of the verdicts (%)',
      ticks: size === 'wide' ? 10 : 5,
      ...CENTRED,
    },
    y: { domain: names, label: null, tickFormat: nameTick(size), tickSize: 0, padding: 0.25 },
    marks: [
      Plot.barX(parts, {
        x1: 'from',
        x2: 'to',
        y: 'arm',
        fill: ({ kind }: Part) => `var(--verdict-${kind})`,
        stroke: 'var(--page)',
        strokeWidth: 1,
        className: 'verdicts',
      }),
      Plot.text(
        parts.filter(({ from, to }) => to - from >= LEAST_LABELLED * (size === 'wide' ? 1 : 2)),
        {
          x: ({ from, to }: Part) => (from + to) / 2,
          y: 'arm',
          text: ({ count }: Part) => whole(count),
          fill: ({ kind }: Part) => `var(--on-${kind})`,
        },
      ),
    ],
  }))
}

export function verdictColour(kind: VerdictKind): string {
  return `var(--verdict-${kind})`
}

/** Numbers that the judge gave, a histogram an arm. Null without any. */
export function plotScores({ rubric, scale, arms }: DetailedScores): string | null {
  const names = arms.map(({ arm }) => arm)
  const bars = arms.flatMap(({ arm, bins }, index) => {
    const all = bins.reduce((sum, { count }) => sum + count, 0)
    return bins
      .filter(({ count }) => count > 0)
      .map((bin) => ({ arm, colour: armColour(index), ...bin, share: bin.count / all }))
  })
  if (scale === null || bars.length === 0) return null
  const described = {
    title: `Distribution of the score ${rubric} per arm`,
    description: arms
      .map(
        ({ arm, bins, mean }) =>
          `${arm}: ${mean === null ? 'no scores' : `mean ${mean.toFixed(1)} of ${whole(bins.reduce((sum, { count }) => sum + count, 0))} scores`}`,
      )
      .join('; '),
  }
  return drawPlot(described, (_, size) => ({
    height: names.length * 84 + 64,
    marginLeft: 44,
    marginRight: nameMargin(names, size),
    marginTop: 26,
    marginBottom: 44,
    x: {
      domain: [...scale],
      label: `score of ${shortened(rubric, 30)}, from ${scale[0]} to ${scale[1]}`,
      ticks: size === 'wide' ? 10 : 5,
      ...CENTRED,
    },
    y: { percent: true, label: 'share of the scores (%)', grid: true, ticks: 3, labelArrow: 'none' },
    fy: { domain: names, label: null, tickFormat: nameTick(size), padding: 0.18 },
    marks: [
      Plot.rectY(bars, {
        x1: 'from',
        x2: 'to',
        y: 'share',
        fy: 'arm',
        fill: 'colour',
        insetLeft: 0.5,
        insetRight: 0.5,
        className: 'scores',
      }),
      Plot.ruleY([0], { stroke: 'var(--faint)' }),
    ],
  }))
}

/** A row of a plot of rates: a question or a label. */
export interface RateRow {
  readonly name: string
  readonly arms: readonly { readonly arm: string; readonly positives: number; readonly total: number }[]
}

const SYMBOLS = ['circle', 'square', 'triangle', 'diamond', 'star', 'cross', 'wye'] as const
const MARK_PX = 13

/** Rates of rows, a mark an arm, with Wilson's bounds. Null without rows. */
export function plotRows(
  rows: readonly RateRow[],
  arms: readonly string[],
  words: { readonly title: string; readonly unit: string },
): string | null {
  const marks = rows.flatMap((row, index) =>
    row.arms
      .filter(({ total }) => total > 0)
      .map(({ arm, positives, total }) => ({
        row: index,
        arm,
        estimate: positives / total,
        ...wilsonInterval(positives, total, ALPHA),
      })),
  )
  if (marks.length === 0) return null
  const rowPx = arms.length * MARK_PX + 16
  const most = Math.min(1, Math.max(...marks.map(({ upper }) => upper)) * 1.04)
  const described = {
    title: words.title,
    description: rows
      .map(
        ({ name, arms }) =>
          `${shortened(name, 60)}: ${arms.map(({ arm, positives, total }) => `${arm} ${whole(positives)} of ${whole(total)} (${rate(total === 0 ? null : positives / total)})`).join(', ')}`,
      )
      .join('; '),
  }
  return drawPlot(described, (_, size) => {
    const marginLeft = size === 'wide' ? 250 : 128
    return {
      height: rows.length * Math.max(rowPx, size === 'wide' ? 34 : 64) + 56,
      marginLeft,
      marginBottom: 44,
      x: {
        percent: true,
        domain: [0, most * 100],
        label: words.unit,
        grid: true,
        ticks: size === 'wide' ? 8 : 4,
        ...CENTRED,
      },
      y: { type: 'band', domain: rows.map((_, index) => index), label: null, padding: 0.1 },
      marks: [
        Plot.axisY({
          tickFormat: (index: number) =>
            breakable(shortened(rows[index]!.name, size === 'wide' ? 76 : 38), size === 'wide' ? 24 : 11),
          tickSize: 0,
          lineHeight: 1.2,
          lineWidth: (marginLeft - 16) / 13.5,
        }),
        Plot.ruleY(
          rows.slice(1).map((_, index) => index + 1),
          { stroke: 'var(--line)', dy: -rowPx / 2 - 2 },
        ),
        ...arms.flatMap((arm, index) => {
          const own = marks.filter((it) => it.arm === arm)
          const dy = (index - (arms.length - 1) / 2) * MARK_PX
          const colour = armColour(index)
          return [
            Plot.link(own, {
              x1: 'lower',
              x2: 'upper',
              y1: 'row',
              y2: 'row',
              dy,
              stroke: colour,
              strokeWidth: 1.5,
              strokeOpacity: 0.7,
              className: 'row-bounds',
            }),
            Plot.dot(own, {
              x: 'estimate',
              y: 'row',
              dy,
              fill: colour,
              r: 4,
              symbol: SYMBOLS[index % SYMBOLS.length]!,
            }),
          ]
        }),
      ],
    }
  })
}
