/**
 * Text that a database would refuse or change: Postgres has no U+0000, and a lone surrogate cannot be written as UTF-8.
 * Kept losslessly as U+001A and four hexadecimal digits. Called by the stores around every statement.
 */

const ESCAPE = '\u001a'
const UNSTORABLE = new RegExp(`[\\0${ESCAPE}]|\\p{Surrogate}`, 'gu')
const ESCAPED = new RegExp(`${ESCAPE}([0-9a-f]{4})`, 'g')

/** Any parameter of a statement, a list of texts included, as it can be stored. */
export function storable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(storable)
  return typeof value === 'string' ? storableText(value) : value
}

export function storableText(value: string): string {
  if (value.isWellFormed() && !value.includes('\0') && !value.includes(ESCAPE)) return value
  return value.replace(
    UNSTORABLE,
    (character) => ESCAPE + character.charCodeAt(0).toString(16).padStart(4, '0'),
  )
}

/** A row that was read, with its texts as they were before `storable`. */
export function restoredRow<Row extends object>(row: Row): Row {
  const values = row as Record<string, unknown>
  for (const name in values) {
    const value = values[name]
    if (typeof value === 'string') values[name] = restoredText(value)
  }
  return row
}

export function restoredText(text: string): string {
  if (!text.includes(ESCAPE)) return text
  return text.replace(ESCAPED, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
}
