/** The plots of rates: arms beside each other, differences from the control, the course over time. Used by `report-html.ts`. */
import * as Plot from '@observablehq/plot'
import type { DetailedArm, DetailedComparison } from '../../domain/detailed-report.ts'
import { shortened } from './shorten.ts'
import { armColour, drawPlot, type Size } from './svg.ts'
import { bounds, moment, pointBounds, points, rate, whole } from './words.ts'

/** Characters of an arm's name beside a plot. */
const NAME = { wide: 22, narrow: 13 } as const
const CHARACTER_PX = 7
const ROW_PX = 34

/** Margin that the arms' names take. */
export function nameMargin(names: readonly string[], size: Size): number {
  const longest = Math.max(...names.map((name) => Math.min(name.length, NAME[size])))
  return Math.max(40, longest * CHARACTER_PX + 14)
}

export function nameTick(size: Size): (name: string) => string {
  return (name) => shortened(name, NAME[size])
}

/** A row for each arm, over shares from `least` to `most`. */
function rowsOf(
  names: readonly string[],
  size: Size,
  [least, most]: readonly [number, number],
  label: string,
): Plot.PlotOptions {
  return {
    height: names.length * ROW_PX + 56,
    marginLeft: nameMargin(names, size),
    marginBottom: 44,
    x: {
      percent: true,
      domain: [least * 100, most * 100],
      label,
      grid: true,
      ticks: size === 'wide' ? 8 : 4,
      labelAnchor: 'center',
      labelArrow: 'none',
    },
    y: { domain: names, label: null, tickFormat: nameTick(size), tickSize: 0 },
  }
}

/** Arms as rows: anytime bounds thin, bounds of one look thick, the estimate a dot. Null without verdicts. */
export function plotRates(arms: readonly DetailedArm[]): string | null {
  const shown = arms.map((arm, index) => ({ ...arm, colour: armColour(index) }))
  const judged = shown.filter(({ rate }) => rate.estimate !== null)
  if (judged.length === 0) return null
  const names = arms.map(({ arm }) => arm)
  const most = Math.min(1, Math.max(...judged.map(({ rate }) => rate.upper)) * 1.04)
  const described = {
    title: 'Positive rate per arm',
    description: judged
      .map(
        (it) =>
          `${it.arm}: ${rate(it.rate.estimate)}, at any time ${bounds(it.rate)}, if looked at once ${bounds(it.once)}`,
      )
      .join('; '),
  }
  return drawPlot(described, (_, size) => ({
    ...rowsOf(names, size, [0, most], 'positive rate (%)'),
    marks: [
      Plot.link(judged, {
        x1: (it: Row) => it.rate.lower,
        x2: (it: Row) => it.rate.upper,
        y1: 'arm',
        y2: 'arm',
        stroke: 'colour',
        strokeWidth: 2,
        className: 'anytime-bounds',
      }),
      Plot.link(judged, {
        x1: (it: Row) => it.once.lower,
        x2: (it: Row) => it.once.upper,
        y1: 'arm',
        y2: 'arm',
        stroke: 'colour',
        strokeWidth: 8,
        strokeOpacity: 0.45,
        className: 'once-bounds',
      }),
      Plot.dot(judged, {
        x: (it: Row) => it.rate.estimate,
        y: 'arm',
        fill: 'colour',
        stroke: 'var(--page)',
        strokeWidth: 1.5,
        r: 5.5,
        className: 'estimates',
      }),
      Plot.text(
        shown.filter(({ rate }) => rate.estimate === null),
        {
          frameAnchor: 'left',
          dx: 6,
          y: 'arm',
          text: () => 'no verdicts yet',
          fill: 'var(--faint)',
          className: 'without-verdicts',
        },
      ),
    ],
  }))
}

type Row = DetailedArm & { readonly colour: string }

/** Differences from the control, with their anytime bounds and a line at none. Null without verdicts on both sides. */
export function plotDifferences(
  comparisons: readonly DetailedComparison[],
  colours: ReadonlyMap<string, string>,
): string | null {
  const known = comparisons.filter(({ difference }) => difference.estimate !== null)
  const [first] = known
  if (first === undefined) return null
  const names = known.map(({ arm }) => arm)
  const edges = known.flatMap(({ difference }) => [difference.lower, difference.upper, difference.estimate!])
  const [least, most] = [Math.min(0, ...edges), Math.max(0, ...edges)]
  const room = (most - least) * 0.04
  const described = {
    title: `Difference from ${first.against}, in percentage points`,
    description: known
      .map(
        (it) =>
          `${it.arm}: ${points(it.difference.estimate)} points, at any time ${pointBounds(it.difference)}, ${it.decision}`,
      )
      .join('; '),
  }
  return drawPlot(described, (_, size) => ({
    ...rowsOf(
      names,
      size,
      [least - room, most + room],
      `difference from ${shortened(first.against, 14)} (percentage points)`,
    ),
    marks: [
      Plot.ruleX([0], { stroke: 'var(--ink)', strokeDasharray: '3,3' }),
      Plot.link(known, {
        x1: (it: DetailedComparison) => it.difference.lower,
        x2: (it: DetailedComparison) => it.difference.upper,
        y1: 'arm',
        y2: 'arm',
        stroke: (it: DetailedComparison) => colours.get(it.arm),
        strokeWidth: 2,
        className: 'difference-bounds',
      }),
      Plot.dot(known, {
        x: (it: DetailedComparison) => it.difference.estimate,
        y: 'arm',
        fill: (it: DetailedComparison) => colours.get(it.arm),
        stroke: 'var(--page)',
        strokeWidth: 1.5,
        r: 5.5,
      }),
    ],
  }))
}

/** Where the final bounds are drawn, px right of the last point. */
const END_GAP = 6
const END_STEP = 10
/** Early bounds reach to 100%; what is above this many times the largest final bound is cut off. */
const HEADROOM = 1.6

/** The cumulative rates with their confidence sequences. Null without verdicts. */
export function plotOverTime(arms: readonly DetailedArm[]): string | null {
  const shown = arms
    .map((arm, index) => ({ arm: arm.arm, colour: armColour(index), points: arm.over_time }))
    .filter(({ points }) => points.length > 0)
  if (shown.length === 0) return null
  const last = shown.map(({ arm, points }) => ({ arm, ...points.at(-1)! }))
  const most = Math.min(1, Math.max(...last.map(({ upper }) => upper)) * HEADROOM)
  const described = {
    title: 'Cumulative positive rate over time',
    description: last
      .map(
        (it) =>
          `${it.arm}: ${rate(it.estimate)} (${bounds(it)}) after ${whole(it.total)} verdicts, ${moment(it.at)}`,
      )
      .join('; '),
  }
  return drawPlot(described, (_, size) => ({
    height: size === 'wide' ? 300 : 240,
    marginLeft: 44,
    marginRight: END_GAP + shown.length * END_STEP + 6,
    marginTop: 28,
    marginBottom: 44,
    x: {
      type: 'utc',
      label: 'requests until (UTC)',
      ticks: size === 'wide' ? 8 : 3,
      labelAnchor: 'center',
      labelArrow: 'none',
    },
    y: {
      percent: true,
      domain: [0, most * 100],
      label: 'cumulative positive rate (%)',
      grid: true,
      labelArrow: 'none',
      ticks: 6,
    },
    marks: shown.flatMap(({ colour, points: all }, index) => {
      // Beside each other: arms often end at the same hour.
      const dx = END_GAP + index * END_STEP
      const points = all.map((it) => ({
        at: new Date(it.at),
        estimate: Math.min(it.estimate, most),
        lower: Math.min(it.lower, most),
        upper: Math.min(it.upper, most),
      }))
      const end = points.slice(-1)
      return [
        Plot.areaY(points, {
          x: 'at',
          y1: 'lower',
          y2: 'upper',
          fill: colour,
          fillOpacity: 0.16,
          className: 'sequence',
        }),
        Plot.lineY(points, { x: 'at', y: 'upper', stroke: colour, strokeOpacity: 0.5, strokeWidth: 1 }),
        Plot.lineY(points, { x: 'at', y: 'lower', stroke: colour, strokeOpacity: 0.5, strokeWidth: 1 }),
        Plot.lineY(points, { x: 'at', y: 'estimate', stroke: colour, strokeWidth: 2.25, className: 'rate' }),
        Plot.ruleX(end, { x: 'at', y1: 'lower', y2: 'upper', stroke: colour, strokeWidth: 2, dx }),
        Plot.dot(end, { x: 'at', y: 'estimate', fill: colour, r: 4, dx }),
      ]
    }),
  }))
}
