/** Draws a plot without a browser, as SVG text. Used by the pages of `report` and of `eval`. */
import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'

const { document } = parseHTML('<!doctype html><html><body></body></html>')
let drawn = 0

/** What the drawing needs of an element of linkedom. */
interface SvgElement {
  readonly outerHTML: string
  setAttribute(name: string, value: string): void
  querySelector(selector: string): { remove(): void } | null
  prepend(...nodes: unknown[]): void
}

/** What a plot shows, for those who do not see it. */
export interface Described {
  readonly title: string
  readonly description?: string
}

/** @returns an `svg` element of class `plot`, and of others given; text in it is escaped. */
export function drawSvg(
  { title, description }: Described,
  options: Plot.PlotOptions,
  ...classes: string[]
): string {
  const svg = Plot.plot({
    ...options,
    document: document as never,
    className: 'plot',
  }) as unknown as SvgElement
  // The page's own style says it for all.
  svg.querySelector('style')?.remove()
  const id = `plot-${++drawn}`
  const told = Object.entries({ title, desc: description }).flatMap(([name, content]) => {
    if (content === undefined) return []
    const element = document.createElementNS('http://www.w3.org/2000/svg', name)
    element.textContent = content
    element.setAttribute('id', `${id}-${name}`)
    return [{ element, id: `${id}-${name}` }]
  })
  svg.prepend(...told.map(({ element }) => element))
  svg.setAttribute('role', 'img')
  svg.setAttribute('aria-labelledby', told.map((it) => it.id).join(' '))
  svg.setAttribute('class', ['plot', ...classes].join(' '))
  return svg.outerHTML
}
