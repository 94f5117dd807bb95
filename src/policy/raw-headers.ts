/** Looks a header up among raw ones. Called by what decides about a request, and by the pipeline. */
import type { RawHeaders } from '../domain/ports.ts'

/** @param name lower case. @returns the first such header's value, or null when it is missing or empty. */
export function findHeader(headers: RawHeaders, name: string): string | null {
  for (let index = 0; index < headers.length; index += 2) {
    const candidate = headers[index]!
    if (candidate.length === name.length && candidate.toLowerCase() === name)
      return headers[index + 1] || null
  }
  return null
}

/** Like `findHeader`, for a value that may be UTF-8: headers are read as Latin-1. */
export function findText(headers: RawHeaders, name: string): string | null {
  const value = findHeader(headers, name)
  return value === null ? null : Buffer.from(value, 'latin1').toString('utf8')
}
