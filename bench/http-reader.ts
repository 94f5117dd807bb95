/**
 * Reads HTTP/1.1 answers off a raw socket, as far as the benchmark must: where the body begins, which pieces come with
 * it, where the answer ends. Cheaper than a client, so that one core carries the load. Used by `load-generator.ts`.
 */

export interface ReaderEvents {
  onHead(status: number): void
  /** Bytes of the body came; once for each piece that the socket gave. */
  onBody(): void
  onEnd(): void
}

const CR = 13
const LF = 10

type State = 'head' | 'length' | 'chunk-size' | 'chunk-data' | 'chunk-end' | 'trailer'

export class HttpReader {
  private readonly events: ReaderEvents
  private state: State = 'head'
  private kept: Buffer | null = null
  private left = 0
  private size = 0
  private lineLength = 0

  constructor(events: ReaderEvents) {
    this.events = events
  }

  /** @throws Error when the bytes are no answer that it can read. */
  push(bytes: Buffer): void {
    let at = 0
    let body = false
    const tell = () => {
      if (body) this.events.onBody()
      body = false
    }
    while (at < bytes.length) {
      switch (this.state) {
        case 'head': {
          const all = this.kept === null ? bytes.subarray(at) : Buffer.concat([this.kept, bytes.subarray(at)])
          const end = all.indexOf('\r\n\r\n')
          if (end === -1) {
            this.kept = all
            return tell()
          }
          at += end + 4 - (this.kept?.length ?? 0)
          this.kept = null
          if (this.head(all.toString('latin1', 0, end + 2))) this.end()
          break
        }
        case 'length':
        case 'chunk-data': {
          const own = Math.min(this.left, bytes.length - at)
          at += own
          this.left -= own
          body = true
          if (this.left > 0) break
          if (this.state === 'chunk-data') this.state = 'chunk-end'
          else {
            tell()
            this.end()
          }
          break
        }
        case 'chunk-end':
          if (bytes[at++] === LF) this.state = 'chunk-size'
          break
        case 'chunk-size': {
          const byte = bytes[at++]!
          if (byte === LF) {
            this.left = this.size
            this.state = this.size === 0 ? 'trailer' : 'chunk-data'
            this.size = 0
            this.lineLength = 0
          } else if (byte !== CR) this.size = this.size * 16 + hexDigit(byte)
          break
        }
        case 'trailer': {
          const byte = bytes[at++]!
          if (byte === LF) {
            if (this.lineLength === 0) {
              tell()
              this.end()
            }
            this.lineLength = 0
          } else if (byte !== CR) this.lineLength++
          break
        }
      }
    }
    tell()
  }

  /** @returns whether the answer has no body. */
  private head(text: string): boolean {
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1])
    if (!Number.isInteger(status)) throw new Error(`no HTTP answer: ${text.slice(0, 80)}`)
    this.events.onHead(status)
    if (/^transfer-encoding:\s*chunked\s*$/im.test(text)) {
      this.state = 'chunk-size'
      return false
    }
    const length = /^content-length:\s*(\d+)/im.exec(text)?.[1]
    if (length === undefined) throw new Error('an answer without a length')
    this.left = Number(length)
    this.state = 'length'
    return this.left === 0
  }

  private end(): void {
    this.state = 'head'
    this.events.onEnd()
  }
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48
  const letter = byte | 32
  if (letter >= 97 && letter <= 102) return letter - 87
  throw new Error('a chunk whose size cannot be read')
}
