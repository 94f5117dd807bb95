/** Plots of a report, each drawn twice. Used by the `plot-*.ts` beside it. */
import type { PlotOptions } from '@observablehq/plot'
import { type Described, drawSvg } from '../drawing.ts'

/** Each plot is drawn for wide pages and for narrow ones, so that its text has the same size on both. */
export const SIZES = { wide: 780, narrow: 344 } as const
export type Size = keyof typeof SIZES

/** Data colours, by the names that the page's style gives them. */
export function armColour(index: number): string {
  return `var(--arm-${index % ARM_COLOURS})`
}
export const ARM_COLOURS = 7

/** Height of a line of labels, px. */
const FONT = '12px'

/**
 * @param options of Plot for a width.
 * @returns two `svg` elements, of the classes `wide` and `narrow`.
 */
export function drawPlot(described: Described, options: (width: number, size: Size) => PlotOptions): string {
  return (['wide', 'narrow'] as const)
    .map((size) => {
      const width = SIZES[size]
      return drawSvg(described, { style: { fontSize: FONT }, ...options(width, size), width }, size)
    })
    .join('\n')
}
