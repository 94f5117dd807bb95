/** Draws what is inserted into a body, with the text around it. Used by `ballast explain`. */
import { styleText } from 'node:util'
import type { Splice } from '../policy/inject.ts'
import { coloured, dim, printable } from './text.ts'

/** What stands between two insertions is shown whole up to this many bytes, and else this much of it at either end. */
const SHOWN_WHOLE = 800
const SHOWN_AROUND = 200

/** Marks for parts of a body; plain ones are those of word diffs. */
export interface Marks {
  readonly inserted: (text: string) => string
  readonly removed: (text: string) => string
  readonly omitted: (text: string) => string
}

const PLAIN: Marks = {
  inserted: (text) => `{+${text}+}`,
  removed: (text) => `[-${text}-]`,
  omitted: (text) => text,
}

const output = { stream: process.stdout }

const IN_COLOUR: Marks = {
  inserted: (text) => styleText(['green', 'underline'], text, output),
  removed: (text) => styleText(['red', 'strikethrough'], text, output),
  omitted: dim,
}

export function marks(): Marks {
  return coloured() ? IN_COLOUR : PLAIN
}

/**
 * @param body as it came in.
 * @param splices ascending.
 * @returns the body with the spans marked; what is far from them is left out.
 */
export function drawBody(
  body: Buffer,
  splices: readonly Splice[],
  { inserted, removed, omitted }: Marks,
): string {
  const drawn: string[] = []
  const unchanged = (from: number, to: number) => {
    if (to - from <= SHOWN_WHOLE) return drawn.push(text(body, from, to))
    const head = from === 0 ? from : characterAt(body, from + SHOWN_AROUND)
    const tail = to === body.length ? to : characterAt(body, to - SHOWN_AROUND)
    const left = ` … ${(tail - head).toLocaleString('en')} bytes … `
    return drawn.push(text(body, from, head), omitted(left), text(body, tail, to))
  }
  let from = 0
  for (const { at, remove, bytes } of splices) {
    unchanged(from, at)
    from = at + remove
    if (remove > 0) drawn.push(removed(text(body, at, from)))
    drawn.push(inserted(text(bytes, 0, bytes.length)))
  }
  unchanged(from, body.length)
  return drawn.join('')
}

function text(bytes: Buffer, from: number, to: number): string {
  return printable(bytes.toString('utf8', from, to))
}

/** The offset, moved back to where a character of UTF-8 begins. */
function characterAt(bytes: Buffer, offset: number): number {
  let at = offset
  while (at > 0 && (bytes[at]! & 0xc0) === 0x80) at--
  return at
}
