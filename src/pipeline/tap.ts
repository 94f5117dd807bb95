/**
 * The tap on a sampled answer: keeps the chunks that pass, without copying them, up to a limit. Opened by the pipeline
 * for sampled exchanges only; what it holds is read by `filing.ts` when the answer is over.
 */
import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib'

/** Answers beyond this many bytes, as sent or decompressed, are not judged. */
export const TAP_LIMIT = 4 * 1024 * 1024

const LIMITED = { maxOutputLength: TAP_LIMIT }
/** At once, not in the pool of threads, which all of the process shares. */
const DECODERS = new Map<string, (body: Buffer) => Buffer>(
  Object.entries({
    gzip: (body: Buffer) => gunzipSync(body, LIMITED),
    'x-gzip': (body: Buffer) => gunzipSync(body, LIMITED),
    deflate: (body: Buffer) => inflateSync(body, LIMITED),
    br: (body: Buffer) => brotliDecompressSync(body, LIMITED),
    zstd: (body: Buffer) => zstdDecompressSync(body, LIMITED),
  }),
)

export class Tap {
  private chunks: Uint8Array[] = []
  /** Bytes it holds. */
  size = 0
  overflowed = false

  push(chunk: Uint8Array): void {
    if (this.overflowed) return
    this.size += chunk.length
    if (this.size > TAP_LIMIT) {
      this.overflowed = true
      this.chunks = []
      return
    }
    this.chunks.push(chunk)
  }

  /** The last bytes, at least `most` of them if there are so many. */
  tail(most: number): Uint8Array {
    const last: Uint8Array[] = []
    let size = 0
    for (let index = this.chunks.length - 1; index >= 0 && size < most; index--) {
      last.unshift(this.chunks[index]!)
      size += this.chunks[index]!.length
    }
    return Buffer.concat(last).subarray(-most)
  }

  /** The answer's bytes, in memory of their own. */
  copy(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.size)
    let at = 0
    for (const chunk of this.chunks) {
      bytes.set(chunk, at)
      at += chunk.length
    }
    return bytes
  }
}

/**
 * @param encoding the answer's `content-encoding`.
 * @returns the answer's bytes, decompressed.
 * @throws Error when the encoding is unknown, broken, or decompresses beyond the limit (`ERR_BUFFER_TOO_LARGE`).
 */
export function decompress(answer: Uint8Array, encoding: string | null): Buffer {
  let body: Buffer = Buffer.from(answer.buffer, answer.byteOffset, answer.length)
  const encodings = (encoding ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
  for (const name of encodings.reverse()) {
    if (name === '' || name === 'identity') continue
    const decode = DECODERS.get(name)
    if (decode === undefined) throw new Error(`content-encoding ${name} is not known`)
    body = decode(body)
  }
  return body
}
