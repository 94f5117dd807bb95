/** Lays text out for a terminal: widths, wrapping, columns, and what a terminal must not be sent. Used by the commands. */
import { styleText } from 'node:util'
import { Help } from 'commander'

/** Of a stream that is no terminal. */
const USUAL_COLUMNS = 80
/** Longer lines are hard to read. */
const MOST_COLUMNS = 100

const help = new Help()
help.minWidthToWrap = 1

/** How wide lines may be on a stream. */
export function columnsOf({ columns }: { readonly columns?: number }): number {
  return Math.min(columns || USUAL_COLUMNS, MOST_COLUMNS)
}

/** Breaks lines between words. @param indent of all lines. @param columns the indent included. */
export function wrap(text: string, columns: number, indent = 0): string {
  return help
    .boxWrap(text, Math.max(columns - indent, 20))
    .split('\n')
    .map((line) => ' '.repeat(indent) + line)
    .join('\n')
}

/**
 * Lines of a table, columns as wide as their widest cell.
 * @param columns of the terminal: where the lines are wider, the gaps between columns shrink.
 */
export function table(rows: readonly (readonly string[])[], columns: number, indent = 0): string {
  const widths = (rows[0] ?? []).map((_, index) => Math.max(...rows.map((row) => row[index]!.length)))
  const width = indent + widths.reduce((sum, it) => sum + it, 0)
  const gap = width + 2 * (widths.length - 1) <= columns ? 2 : 1
  return rows
    .map((row) => row.map((cell, index) => cell.padEnd(widths[index]!)).join(' '.repeat(gap)))
    .map((line) => `${' '.repeat(indent)}${line.trimEnd()}\n`)
    .join('')
}

/** A line with a label in front, which the following lines leave room for. */
export function labelled(label: string, text: string, columns: number, room: number): string {
  const lines = wrap(text, columns, room)
  return label.padEnd(room) + lines.slice(room)
}

/**
 * A text that may hold anything, for a terminal: control characters, which could steer it, and characters that turn the
 * direction of writing become visible.
 */
export function printable(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .replace(/\p{Cc}|[\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, (it) =>
      it === '\n' || it === '\t' ? it : `\\u${it.charCodeAt(0).toString(16).padStart(4, '0')}`,
    )
}

/** The same on one line, cut to a number of characters. */
export function oneLine(text: string, length: number): string {
  // A character takes at most a few units; more need not be looked at.
  const line = printable(text.slice(0, length * 8))
    .replace(/\s+/g, ' ')
    .trim()
  const characters = [...line]
  return characters.length <= length ? line : `${characters.slice(0, length - 1).join('')}…`
}

/** JSON whose texts may hold anything, for a terminal: what JSON does not escape of what `printable` makes visible. */
export function printableJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(
    /[\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (it) => `\\u${it.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** Whether colours are wanted on standard output: a terminal, `NO_COLOR`, `FORCE_COLOR`. */
export function coloured(): boolean {
  return bold('x') !== 'x'
}

export const bold = (text: string): string => styleText('bold', text, { stream: process.stdout })
export const dim = (text: string): string => styleText('dim', text, { stream: process.stdout })

/** `1 policy`, `2 policies`. */
export function count(number: number, one: string, several = `${one}s`): string {
  return `${number.toLocaleString('en')} ${number === 1 ? one : several}`
}

/** A share as people read it: at most two digits behind the point. */
export function percentage(share: number): string {
  return `${Number((share * 100).toFixed(2))}%`
}

/** A share or a point from 0 to 1, to four digits behind the point. */
export function rounded(share: number): string {
  return String(Number(share.toFixed(4)))
}
