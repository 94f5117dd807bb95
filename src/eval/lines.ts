/** Reads a file line by line as bytes, in flat memory whatever its size. Called by what goes through data sets and results. */
import { type FileHandle, open } from 'node:fs/promises'

/** A line that cannot be used, and where; the message says what is wrong. */
export class LineError extends Error {
  override readonly name = 'LineError'
  readonly file: string
  /** From 1. */
  readonly line: number
  readonly problem: string

  constructor(file: string, line: number, problem: string) {
    super(`${file}:${line}: ${problem}`)
    this.file = file
    this.line = line
    this.problem = problem
  }
}

const CHUNK_BYTES = 1024 * 1024
/** A training example takes some kilobytes; a line without end is no JSON Lines. */
const LONGEST_LINE = 64 * 1024 * 1024
const NEWLINE = 0x0a

export interface LineReader {
  /** A line with what ends it; its bytes are only good until it returns. @param number from 1. */
  line(bytes: Buffer, number: number): void
  /** After each piece of the file that was read: to write out what came of its lines. */
  piece?(read: Buffer): Promise<void> | void
}

/**
 * @param file the name shown where a line is too long.
 * @throws LineError for a line of more than 64 MiB; a system error where the file cannot be read.
 */
export async function eachLine(path: string, file: string, reader: LineReader): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await readLines(handle, file, reader)
  } finally {
    await handle.close()
  }
}

async function readLines(handle: FileHandle, file: string, reader: LineReader): Promise<void> {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES)
  /** The beginning of a line whose end was not read yet. */
  let begun: Buffer[] = []
  let begunBytes = 0
  let number = 0
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, CHUNK_BYTES)
    if (bytesRead === 0) break
    const piece = buffer.subarray(0, bytesRead)
    let from = 0
    for (let end = piece.indexOf(NEWLINE); end !== -1; end = piece.indexOf(NEWLINE, from)) {
      const rest = piece.subarray(from, end + 1)
      reader.line(begun.length === 0 ? rest : Buffer.concat([...begun, rest]), ++number)
      begun = []
      begunBytes = 0
      from = end + 1
    }
    if (from < bytesRead) {
      // The buffer is written over by the next piece.
      begun.push(Buffer.from(piece.subarray(from)))
      begunBytes += bytesRead - from
      if (begunBytes > LONGEST_LINE)
        throw new LineError(file, number + 1, 'this line is longer than 64 MiB: is the file JSON Lines?')
    }
    await reader.piece?.(piece)
  }
  if (begun.length === 0) return
  reader.line(Buffer.concat(begun), number + 1)
  await reader.piece?.(Buffer.alloc(0))
}

const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])

/** A line without a byte order mark and without what ends it. */
export function trimLine(bytes: Buffer, number: number): Buffer {
  const start = number === 1 && bytes.subarray(0, 3).equals(BYTE_ORDER_MARK) ? 3 : 0
  let end = bytes.length
  if (bytes[end - 1] === NEWLINE) end--
  if (bytes[end - 1] === 0x0d) end--
  return bytes.subarray(start, end)
}

/** Whether there is nothing but spaces and tabs. */
export function isBlank(line: Buffer): boolean {
  return line.every((byte) => byte === 0x20 || byte === 0x09)
}
