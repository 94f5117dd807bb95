/**
 * The answer to one request on `node:http`: writes it, watches that the client reads on, and closes so that it can be read
 * to its end. Made by `incoming.ts` for each request; the pipeline knows it as `ClientResponse`.
 */
import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { BallastError } from '../domain/errors.ts'
import type { RawHeaders } from '../domain/ports.ts'
import type { ClientResponse } from '../pipeline/context.ts'
import { withoutHeader } from '../pipeline/headers.ts'
import { findHeader } from '../policy/raw-headers.ts'
import type { ClientMessage } from './client-message.ts'
import { errorResponse } from './errors.ts'
import type { DataPlaneDeps } from './served.ts'

/** What no reason phrase may hold (RFC 9112 section 4). */
const UNSENDABLE = /[^\t\x20-\x7e\x80-\xff]/g
/** How much of a request that is answered already is still read, and for how long. */
const LINGER_BYTES = 64 * 1024 * 1024
export const LINGER_MS = 10_000
const NOTHING = Buffer.alloc(0)
const NOT_WHOLE = -1
/** What Node writes without setting memory aside (16 KB), less room for a head. */
const LARGEST_SINGLE_WRITE = 12 * 1024
const ignore = () => {}

export class Outgoing implements ClientResponse {
  private readonly incoming: ClientMessage
  private readonly outgoing: ServerResponse
  private readonly stallMs: number
  private readonly deps: Pick<DataPlaneDeps, 'draining' | 'log'>
  private stalled: NodeJS.Timeout | null = null
  /** What the client had read when it was last looked at, in bytes. */
  private readBefore = 0
  private drained = ignore
  /** Whether the client has been behind, and it is listened to when it is no longer. */
  private behind = false
  /** Whether the body will come in one piece of so many bytes; then head and body go out in one write. */
  private wholeLength = NOT_WHOLE
  private whole: Uint8Array | null = null

  /** @param stallMs how long a client may read nothing while there is something to read. */
  constructor(
    incoming: ClientMessage,
    outgoing: ServerResponse,
    stallMs: number,
    deps: Pick<DataPlaneDeps, 'draining' | 'log'>,
  ) {
    this.incoming = incoming
    this.outgoing = outgoing
    this.stallMs = stallMs
    this.deps = deps
    outgoing.on('error', ignore)
  }

  /** The answer is over, or its client left. */
  closed(): void {
    this.stopWatching()
  }

  /** Tells the client to send its body: at once, or when the answers before this one are sent. */
  continue(): void {
    const send = () => {
      if (!this.outgoing.headersSent) this.outgoing.writeContinue()
    }
    if (this.outgoing.socket !== null) send()
    else this.outgoing.once('socket', send)
  }

  inform(status: number, headers: RawHeaders): void {
    // 101 would end HTTP here; HTTP/1.0 knows none of them (RFC 9110 section 15.2).
    if (status === 101 || this.incoming.httpVersion === '1.0') return
    // Nobody needs them: one that cannot be sent now is left out.
    const { socket, headersSent, writableNeedDrain } = this.outgoing
    if (socket === null || headersSent || writableNeedDrain) return
    this.outgoing.writeInformation(status, withoutBody(headers))
  }

  head(status: number, statusText: string, headers: string[], flush: boolean): void {
    this.sayWhetherLast()
    this.outgoing.writeHead(status, statusText.replace(UNSENDABLE, ''), this.fitting(status, headers))
    // An empty chunk rather than `flushHeaders`, which would write bytes beyond ASCII as UTF-8.
    if (flush) this.outgoing.write(NOTHING)
    else this.wholeLength = Number(findHeader(headers, 'content-length') ?? NOT_WHOLE)
  }

  /** A proxy in front would send its next request on this connection, which is about to be closed. */
  private sayWhetherLast(): void {
    if (this.deps.draining()) this.outgoing.shouldKeepAlive = false
  }

  /** Only a body in chunks has room for trailers behind it (RFC 9112 section 7.1.2); 204 has no body at all. */
  private fitting(status: number, headers: string[]): string[] {
    if (status === 204) return withoutBody(headers)
    if (findHeader(headers, 'trailer') === null) return headers
    const { httpVersion, method } = this.incoming
    const inChunks = httpVersion !== '1.0' && findHeader(headers, 'content-length') === null
    return inChunks && method !== 'HEAD' && status !== 304 ? headers : withoutHeader(headers, 'trailer')
  }

  write(chunk: Uint8Array): boolean {
    if (chunk.length === this.wholeLength && chunk.length <= LARGEST_SINGLE_WRITE) {
      // Its end follows at once: the same bytes from the upstream complete its answer.
      this.whole = chunk
      return true
    }
    if (this.outgoing.write(chunk)) return true
    this.watch()
    if (!this.behind) {
      this.behind = true
      this.outgoing.on('drain', () => {
        this.stopWatching()
        this.drained()
      })
    }
    return false
  }

  onDrain(listener: () => void): void {
    this.drained = listener
  }

  end(trailers: RawHeaders): void {
    if (trailers.length > 0 && this.outgoing.chunkedEncoding) this.outgoing.addTrailers(pairs(trailers))
    // As a string of bytes it is joined to the head and sent by one plain `send`; a buffer beside the head takes a
    // `writev`, which costs 7 µs more.
    if (this.whole !== null) this.outgoing.end(latin1(this.whole), 'latin1')
    else this.outgoing.end()
    this.ended()
  }

  destroy(): void {
    this.outgoing.destroy()
  }

  fail(error: BallastError, headers: string[]): number {
    const { status, headers: own, body } = errorResponse(error)
    try {
      this.sayWhetherLast()
      // With a reason of its own: one that the upstream sent may be what failed.
      this.outgoing.writeHead(status, STATUS_CODES[status], [...own, ...headers])
      this.outgoing.end(body)
      this.ended()
    } catch (thrown) {
      this.deps.log.error({ err: thrown }, 'an error could not be told to its client')
      this.outgoing.destroy()
    }
    return status
  }

  /** All is written; mostly the kernel has taken it already, and there is nothing to watch. */
  private ended(): void {
    if (this.outgoing.socket?.writableLength !== 0) this.watch()
    if (!this.incoming.complete) this.linger()
  }

  /** A client that reads nothing more must not hold its upstream call, its place and its memory for ever. */
  private watch(): void {
    if (this.stalled !== null || this.outgoing.writableFinished) return
    this.readBefore = readBytes(this.incoming.socket)
    this.stalled = setTimeout(() => {
      this.stalled = null
      // An answer that waits behind another one on its connection is not behind by itself.
      if (readBytes(this.incoming.socket) > this.readBefore) this.watch()
      else this.incoming.socket.destroy()
    }, this.stallMs)
  }

  private stopWatching(): void {
    if (this.stalled !== null) clearTimeout(this.stalled)
    this.stalled = null
  }

  /** Many clients read no answer before they have sent everything: what still comes is read, within bounds. */
  private linger(): void {
    let rest = LINGER_BYTES
    const { socket } = this.incoming
    const timer = setTimeout(() => socket.destroy(), LINGER_MS)
    // After `connection: close` Node would close both ways at once, and the reset could overtake the answer
    // (RFC 9112 section 9.6): close this way only, and go on reading.
    if (!this.outgoing.shouldKeepAlive) socket.destroySoon = () => void socket.end()
    const { shouldKeepAlive } = this.outgoing
    this.incoming.takeBody((chunk) => {
      if (chunk === null) {
        if (shouldKeepAlive) clearTimeout(timer)
        return
      }
      rest -= chunk.length
      if (rest < 0) socket.destroy()
    })
    const settled = shouldKeepAlive ? this.incoming : socket
    settled.on('close', () => clearTimeout(timer))
  }
}

/** What the kernel has taken, of which the client has read all but what the kernel holds. */
function readBytes(socket: Socket): number {
  return socket.bytesWritten - socket.writableLength
}

function latin1({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('latin1')
}

/** Where there is no body, nothing speaks of one (RFC 9110 section 8.6). */
function withoutBody(headers: RawHeaders): string[] {
  return withoutHeader(withoutHeader(headers, 'content-length'), 'trailer')
}

function pairs(headers: RawHeaders): [string, string][] {
  return Array.from({ length: headers.length / 2 }, (_, at) => [headers[2 * at]!, headers[2 * at + 1]!])
}
