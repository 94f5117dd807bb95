/** Reads files of configuration on disk: bounded, and as the text they must be. Called by `load.ts` and `catalog.ts`. */
import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs'
import type { Files } from './files.ts'
import type { Problem } from './problem.ts'

/** Far beyond any configuration; parsing more would hold up a running proxy. */
const LARGEST_BYTES = 1024 * 1024
const MISSING = new Set<unknown>(['ENOENT', 'ENOTDIR'])

export const diskFiles: Files = {
  isFolder: (path) => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true,
  list(folder) {
    try {
      return readdirSync(folder)
    } catch (error) {
      if (MISSING.has((error as { code?: unknown }).code)) return []
      throw error
    }
  },
  readText,
}

/** @returns the file's text, or what is wrong with it; `file` is how it is named there. */
export function readText(path: string, file: string): string | Problem {
  let bytes: Buffer | null
  try {
    bytes = readBounded(path)
  } catch (error) {
    return { file, line: 1, column: 1, message: reasonOf(error) }
  }
  if (bytes === null) return { file, line: 1, column: 1, message: 'is larger than 1 MiB' }
  const text = bytes.toString('utf8')
  return bytes.equals(Buffer.from(text)) ? text : notText(bytes, text, file)
}

/** @returns null when it is too large; what has no end, such as a device, too. */
function readBounded(path: string): Buffer | null {
  const buffer = Buffer.alloc(LARGEST_BYTES + 1)
  const file = openSync(path, 'r')
  try {
    let size = 0
    while (size < buffer.length) {
      const read = readSync(file, buffer, size, buffer.length - size, null)
      if (read === 0) return buffer.subarray(0, size)
      size += read
    }
    return null
  } finally {
    closeSync(file)
  }
}

function reasonOf(error: unknown): string {
  const { code } = error as { code?: unknown }
  switch (code) {
    case 'ENOENT':
      return 'does not exist'
    case 'EACCES':
      return 'may not be read'
    case 'EISDIR':
      return 'is a folder'
    default:
      return `cannot be read (${String(code)})`
  }
}

function notText(bytes: Buffer, text: string, file: string): Problem {
  const again = Buffer.from(text)
  const good = bytes.findIndex((byte, index) => byte !== again[index])
  const lines = bytes.subarray(0, good).toString('utf8').split('\n')
  return {
    file,
    line: lines.length,
    column: lines.at(-1)!.length + 1,
    message: 'this is not UTF-8; save the file as UTF-8 text',
  }
}
