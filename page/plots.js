/** Draws plots with Observable Plot, which the page has loaded beside this. */
import { bounds, moment, pointBounds, points, rate, whole } from './words.js'

/** @typedef {import('../src/http/api/api.ts').ShownExperiment} ShownExperiment */
/** @typedef {NonNullable<ShownExperiment['course']>} Course */
/** @typedef {NonNullable<ShownExperiment['report']>['arms'][number]} ArmReport */
/** @typedef {{ readonly arm: string, readonly colour: string }} Coloured */

const Plot = /** @type {{ Plot: typeof import('@observablehq/plot') }} */ (
  /** @type {unknown} */ (globalThis)
).Plot

/** In order, the control first in most experiments; `style.css` has them for light and dark. */
const COLOURS = 7

/** @param {number} index */
export function armColour(index) {
  return `var(--arm-${index % COLOURS})`
}

/** The chance of being wrong that all bounds and decisions here keep to. */
const ALPHA = 0.05
const ROW_PX = 30
const CHARACTER_PX = 7
const MOST_NAME = 20
/** Early bounds reach to the edge; what is beyond this many times the last ones is cut off. */
const HEADROOM = 1.5

/**
 * @param {string} label what it shows, in words, for those who do not see it.
 * @param {import('@observablehq/plot').PlotOptions} options
 */
function draw(label, options) {
  const svg = Plot.plot({ ...options, className: 'plot', style: { fontSize: '12px' } })
  // It would be refused by the page's policy; `style.css` says the same.
  svg.querySelector('style')?.remove()
  // It is told of as a whole, not by its parts.
  for (const part of svg.querySelectorAll('[aria-label]')) part.removeAttribute('aria-label')
  svg.setAttribute('role', 'img')
  svg.setAttribute('aria-label', label)
  return svg
}

/** @param {string} name */
function short(name) {
  return name.length > MOST_NAME ? `${name.slice(0, MOST_NAME - 1)}…` : name
}

/**
 * Arms as rows, with the bounds that hold at any time.
 * @param {readonly ArmReport[]} arms
 * @param {number} width
 */
export function plotRates(arms, width) {
  const rows = arms.map(({ arm, rate }, index) => ({ arm, ...rate, colour: armColour(index) }))
  const judged = rows.filter(({ estimate }) => estimate !== null)
  if (judged.length === 0) return null
  const names = rows.map(({ arm }) => arm)
  const margin = Math.max(...names.map((name) => short(name).length)) * CHARACTER_PX + 14
  return draw(
    `Positive rate: ${judged.map((it) => `${it.arm} ${rate(it.estimate)}, bounds ${bounds(it)}`).join('; ')}`,
    {
      width,
      height: rows.length * ROW_PX + 52,
      marginLeft: margin,
      marginBottom: 40,
      x: {
        percent: true,
        domain: [0, 100],
        label: 'positive rate (%)',
        grid: true,
        ticks: width > 500 ? 10 : 5,
        labelAnchor: 'center',
        labelArrow: 'none',
      },
      y: { domain: names, label: null, tickSize: 0, tickFormat: short },
      marks: [
        Plot.link(judged, {
          x1: 'lower',
          x2: 'upper',
          y1: 'arm',
          y2: 'arm',
          stroke: 'colour',
          strokeWidth: 6,
          strokeOpacity: 0.45,
          className: 'bounds',
        }),
        Plot.dot(judged, {
          x: 'estimate',
          y: 'arm',
          fill: 'colour',
          r: 5,
          stroke: 'var(--page)',
          className: 'estimates',
        }),
        Plot.text(
          rows.filter(({ estimate }) => estimate === null),
          { frameAnchor: 'left', dx: 6, y: 'arm', text: () => 'no verdicts yet', fill: 'var(--faint)' },
        ),
      ],
    },
  )
}

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000

/**
 * How moments are written along an axis, by how far it reaches.
 * @param {Course} course
 */
function momentTick({ points }) {
  const span = Date.parse(points.at(-1)?.at ?? '') - Date.parse(points[0]?.at ?? '')
  const [from, to] = span < 5 * MINUTE_MS ? [11, 19] : span < 2 * DAY_MS ? [11, 16] : [5, 10]
  return (/** @type {Date} */ at) => at.toISOString().slice(from, to)
}

/**
 * @param {Course} course
 * @param {number} width
 * @returns {import('@observablehq/plot').PlotOptions}
 */
function overTime(course, width) {
  return {
    width,
    height: width > 500 ? 230 : 200,
    marginLeft: 46,
    marginRight: 26,
    marginTop: 26,
    marginBottom: 38,
    x: {
      type: 'utc',
      label: 'requests until (UTC)',
      tickFormat: momentTick(course),
      ticks: width > 500 ? 6 : 3,
      labelAnchor: 'center',
      labelArrow: 'none',
    },
  }
}

/**
 * An area of bounds with its edges and the estimate as a line.
 * @param {readonly { readonly at: Date, readonly estimate: number, readonly lower: number, readonly upper: number }[]} line
 * @param {string} colour
 */
function band(line, colour) {
  return [
    Plot.areaY(line, {
      x: 'at',
      y1: 'lower',
      y2: 'upper',
      fill: colour,
      fillOpacity: 0.15,
      className: 'sequence',
    }),
    Plot.lineY(line, { x: 'at', y: 'lower', stroke: colour, strokeOpacity: 0.5, strokeWidth: 1 }),
    Plot.lineY(line, { x: 'at', y: 'upper', stroke: colour, strokeOpacity: 0.5, strokeWidth: 1 }),
    Plot.lineY(line, { x: 'at', y: 'estimate', stroke: colour, strokeWidth: 2.25, className: 'estimate' }),
    Plot.dot(line.slice(-1), { x: 'at', y: 'estimate', fill: colour, r: 3.5 }),
  ]
}

/**
 * Of each arm, what there was to see at each point; values beyond the ends are drawn at them.
 * @template {{ readonly arm: string, readonly estimate: number | null, readonly lower: number, readonly upper: number }} T
 * @param {Course} course
 * @param {(point: Course['points'][number]) => readonly T[]} of
 * @param {string} arm
 * @param {readonly [number, number]} ends
 */
function lineOf(course, of, arm, [least, most]) {
  const inside = (/** @type {number} */ value) => Math.min(most, Math.max(least, value))
  return course.points.flatMap((point) => {
    const it = of(point).find((its) => its.arm === arm)
    if (it === undefined || it.estimate === null) return []
    return [
      {
        at: new Date(point.at),
        estimate: inside(it.estimate),
        lower: inside(it.lower),
        upper: inside(it.upper),
      },
    ]
  })
}

/**
 * @param {Course} course
 * @param {readonly Coloured[]} arms
 * @param {number} width
 */
export function plotRatesOverTime(course, arms, width) {
  const last = course.points.at(-1)
  const known = last?.arms.filter(({ estimate }) => estimate !== null) ?? []
  if (last === undefined || known.length === 0) return null
  const most = Math.min(1, Math.max(0.02, ...known.map(({ upper }) => upper)) * HEADROOM)
  const label = `Rate over time, after ${whole(last.verdicts)} verdicts, ${moment(last.at)}: ${known.map((it) => `${it.arm} ${rate(it.estimate)}, bounds ${bounds(it)}`).join('; ')}`
  return draw(label, {
    ...overTime(course, width),
    y: {
      percent: true,
      domain: [0, most * 100],
      label: 'rate so far (%)',
      grid: true,
      labelArrow: 'none',
      ticks: 5,
    },
    marks: arms.flatMap(({ arm, colour }) =>
      band(
        lineOf(course, (it) => it.arms, arm, [0, most]),
        colour,
      ),
    ),
  })
}

/**
 * @param {Course} course
 * @param {readonly Coloured[]} arms
 * @param {number} width
 */
export function plotDifferenceOverTime(course, arms, width) {
  const last = course.points.at(-1)
  const known = last?.comparisons.filter(({ estimate }) => estimate !== null) ?? []
  if (last === undefined || known.length === 0) return null
  const edges = known.flatMap(({ lower, upper }) => [lower, upper])
  const room = Math.max(0.02, ...edges.map(Math.abs)) * (HEADROOM - 1)
  const ends = /** @type {const} */ ([
    Math.max(-1, Math.min(0, ...edges) - room),
    Math.min(1, Math.max(0, ...edges) + room),
  ])
  const label = `Difference from ${course.against} over time, in percentage points: ${known.map((it) => `${it.arm} ${points(it.estimate)}, bounds ${pointBounds(it)}`).join('; ')}`
  return draw(label, {
    ...overTime(course, width),
    y: {
      percent: true,
      domain: [ends[0] * 100, ends[1] * 100],
      label: `difference from ${short(course.against ?? '')} (points)`,
      grid: true,
      labelArrow: 'none',
      ticks: 5,
    },
    marks: [
      Plot.ruleY([0], { stroke: 'var(--ink)', strokeDasharray: '3,3' }),
      ...arms.flatMap(({ arm, colour }) =>
        band(
          lineOf(course, (it) => it.comparisons, arm, ends),
          colour,
        ),
      ),
    ],
  })
}

/**
 * Evidence as powers of ten; 20 to 1 is proof at 5%.
 * @param {Course} course
 * @param {readonly Coloured[]} arms
 * @param {number} width
 */
export function plotEvidenceOverTime(course, arms, width) {
  const last = course.points.at(-1)
  if (last === undefined || last.comparisons.length === 0) return null
  const power = (/** @type {number} */ logE) => logE / Math.LN10
  const lines = arms.map(({ arm, colour }) => ({
    colour,
    points: course.points.flatMap(({ at, comparisons }) => {
      const it = comparisons.find((its) => its.arm === arm)
      return it === undefined
        ? []
        : [{ at: new Date(at), lower: power(it.log_e_better), higher: power(it.log_e_worse) }]
    }),
  }))
  const proof = power(-Math.log(ALPHA))
  const all = lines.flatMap(({ points }) => points.flatMap(({ lower, higher }) => [lower, higher]))
  const label = `Evidence over time, as powers of ten: ${last.comparisons.map((it) => `${it.arm} lower ${power(it.log_e_better).toFixed(1)}, higher ${power(it.log_e_worse).toFixed(1)}`).join('; ')}; proof at ${proof.toFixed(1)}`
  return draw(label, {
    ...overTime(course, width),
    y: {
      domain: [Math.max(-3, Math.min(0, ...all)), Math.max(proof * 1.4, ...all)],
      label: 'evidence (powers of ten)',
      grid: true,
      labelArrow: 'none',
      ticks: 5,
      clamp: true,
    },
    marks: [
      Plot.ruleY([proof], { stroke: 'var(--ink)', strokeDasharray: '3,3' }),
      ...lines.flatMap(({ points, colour }) => [
        Plot.lineY(points, { x: 'at', y: 'lower', stroke: colour, strokeWidth: 2.25, className: 'better' }),
        Plot.lineY(points, {
          x: 'at',
          y: 'higher',
          stroke: colour,
          strokeWidth: 1.75,
          strokeDasharray: '2,4',
          className: 'worse',
        }),
      ]),
    ],
  })
}
