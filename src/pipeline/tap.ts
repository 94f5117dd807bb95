/**
 * The tap on a sampled answer: keeps the chunks that pass, without copying them, up to a limit. Opened by the pipeline
 * for sampled exchanges only; read by `record.ts` when the answer is over.
 */
import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate, zstdDecompress } from 'node:zlib'

/** Answers beyond this many bytes, as sent or decompressed, are not judged. */
export const TAP_LIMIT = 4 * 1024 * 1024

const DECODERS = new Map<string, (body: Buffer) => Promise<Buffer>>(
  Object.entries({
    gzip: (body: Buffer) => promisify(gunzip)(body, { maxOutputLength: TAP_LIMIT }),
    'x-gzip': (body: Buffer) => promisify(gunzip)(body, { maxOutputLength: TAP_LIMIT }),
    deflate: (body: Buffer) => promisify(inflate)(body, { maxOutputLength: TAP_LIMIT }),
    br: (body: Buffer) => promisify(brotliDecompress)(body, { maxOutputLength: TAP_LIMIT }),
    zstd: (body: Buffer) => promisify(zstdDecompress)(body, { maxOutputLength: TAP_LIMIT }),
  }),
)

export class Tap {
  private chunks: Uint8Array[] = []
  private size = 0
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

  /**
   * @param encoding the answer's `content-encoding`.
   * @returns the answer's bytes, decompressed.
   * @throws Error when the encoding is unknown, broken, or decompresses beyond the limit.
   */
  async read(encoding: string | null): Promise<Buffer> {
    let body: Buffer = Buffer.concat(this.chunks)
    const encodings = (encoding ?? '')
      .toLowerCase()
      .split(',')
      .map((name) => name.trim())
    for (const name of encodings.reverse()) {
      if (name === '' || name === 'identity') continue
      const decode = DECODERS.get(name)
      if (decode === undefined) throw new Error(`content-encoding ${name} is not known`)
      body = await decode(body)
    }
    return body
  }
}
