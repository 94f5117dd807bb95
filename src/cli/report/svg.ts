/** Draws a plot without a browser, as SVG text. Used by the `plot-*.ts` beside it. */
import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'

/** Each plot is drawn for wide pages and for narrow ones, so that its text has the same size on both. */
export const SIZES = { wide: 780, narrow: 344 } as const
export type Size = keyof typeof SIZES

/** Data colours, by the names that the page's style gives them. */
export function armColour(index: number): string {
  return `var(--arm-${index % ARM_COLOURS})`
}
export const ARM_COLOURS = 7

const { document } = parseHTML('<!doctype html><html><body></body></html>')
/** Height of a line of labels, px. */
const FONT = '12px'
let drawn = 0

/** What the drawing needs of an element of linkedom. */
interface SvgElement {
  readonly outerHTML: string
  setAttribute(name: string, value: string): void
  removeAttribute(name: string): void
  querySelector(selector: string): { remove(): void } | null
  prepend(...nodes: unknown[]): void
}

/** What a plot shows, for those who do not see it. */
export interface Described {
  readonly title: string
  readonly description: string
}

/**
 * @param options of Plot for a width.
 * @returns two `svg` elements, of the classes `wide` and `narrow`; text in them is escaped.
 */
export function drawPlot(
  { title, description }: Described,
  options: (width: number, size: Size) => Plot.PlotOptions,
): string {
  return (['wide', 'narrow'] as const)
    .map((size) => {
      const width = SIZES[size]
      const svg = Plot.plot({
        style: { fontSize: FONT },
        ...options(width, size),
        width,
        document: document as never,
        className: 'plot',
      }) as unknown as SvgElement
      // The page's own style says it for all.
      svg.querySelector('style')?.remove()
      const id = `plot-${++drawn}`
      const text = (name: string, content: string) => {
        const element = document.createElementNS('http://www.w3.org/2000/svg', name)
        element.textContent = content
        element.setAttribute('id', `${id}-${name}`)
        return element
      }
      svg.prepend(text('title', title), text('desc', description))
      svg.setAttribute('role', 'img')
      svg.setAttribute('aria-labelledby', `${id}-title ${id}-desc`)
      svg.setAttribute('class', `plot ${size}`)
      return svg.outerHTML
    })
    .join('\n')
}
