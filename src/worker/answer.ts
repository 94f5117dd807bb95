/**
 * The answer to one request on a Worker: a `Response` whose body is written as the upstream sends it, no faster than the
 * client reads. Made by `incoming.ts` for each request; the pipeline knows it as `ClientResponse`.
 */
import type { BallastError } from '../domain/errors.ts'
import { errorResponse } from '../http/errors.ts'
import type { ClientResponse } from '../pipeline/context.ts'
import { findHeader } from '../policy/raw-headers.ts'

/** Statuses that have no body (Fetch standard). */
const WITHOUT_BODY = new Set([101, 204, 205, 304])
/** What no reason phrase may hold (RFC 9112 section 4). */
const UNSENDABLE = /[^\t\x20-\x7e\x80-\xff]/g
const LAST_EVENT = /data: ?\[DONE\]\s*$/
/** A client that is this many bytes behind is waited for until it is not. */
const MOST_PENDING = 64 * 1024

/** The runtime's own: a body whose length is known is sent with it. */
declare const FixedLengthStream: new (length: number) => TransformStream<Uint8Array, Uint8Array>
declare const IdentityTransformStream: new () => TransformStream<Uint8Array, Uint8Array>

export class FetchAnswer implements ClientResponse {
  /** Resolves with the head. */
  readonly response: Promise<Response>
  /** Resolves when the client has all of it, or will have no more. */
  readonly over: Promise<void>
  private readonly begun = Promise.withResolvers<Response>()
  private readonly ended = Promise.withResolvers<void>()
  private readonly bodyless: boolean
  private readonly stallMs: number
  private readonly clientGone: () => void
  private writer: WritableStreamDefaultWriter<Uint8Array> | null = null
  /** Bytes that are written and not read. */
  private pending = 0
  /** Bytes that were announced and are to come; null where nobody knows. */
  private left: number | null = null
  private last: Uint8Array | null = null
  private stalled: ReturnType<typeof setTimeout> | null = null
  private drained: () => void = () => {}

  /**
   * @param method of the request.
   * @param stallMs how long a client may read nothing while there is something to read.
   * @param clientGone called when it stops reading before the end.
   */
  constructor(method: string, stallMs: number, clientGone: () => void) {
    this.response = this.begun.promise
    this.over = this.ended.promise
    this.bodyless = method === 'HEAD'
    this.stallMs = stallMs
    this.clientGone = clientGone
  }

  /** A `Response` has no informational answers. */
  inform(): void {}

  head(status: number, statusText: string, headers: string[]): void {
    const init = {
      status,
      statusText: statusText.replace(UNSENDABLE, ''),
      headers: headersOf(headers),
      // The bytes are the upstream's, compressed or not.
      encodeBody: 'manual',
    } as ResponseInit
    if (this.bodyless || WITHOUT_BODY.has(status)) return this.begun.resolve(new Response(null, init))
    const length = findHeader(headers, 'content-length')
    const known = length !== null && /^\d+$/.test(length)
    if (known) this.left = Number(length)
    const { readable, writable } = known
      ? new FixedLengthStream(Number(length))
      : new IdentityTransformStream()
    this.writer = writable.getWriter()
    // Each write and the end tell of it by themselves.
    this.writer.closed.catch(() => {})
    this.begun.resolve(new Response(readable, init))
  }

  write(chunk: Uint8Array): boolean {
    if (this.writer === null) return true
    this.pending += chunk.length
    if (this.left !== null) this.left -= chunk.length
    this.last = chunk
    this.writer.write(chunk).then(
      () => this.wasRead(chunk.length),
      () => this.clientGone(),
    )
    if (this.pending <= MOST_PENDING) return true
    this.stalled ??= setTimeout(() => this.destroy(), this.stallMs)
    return false
  }

  private wasRead(bytes: number): void {
    this.pending -= bytes
    if (this.stalled === null || this.pending > MOST_PENDING) return
    clearTimeout(this.stalled)
    this.stalled = null
    this.drained()
  }

  /**
   * Whether the client has all that there will be: what was announced, or a stream's last event, behind which clients such as
   * the `openai` package leave. Then the upstream's end is a matter of a moment.
   */
  get complete(): boolean {
    if (this.pending > 0 || this.last === null) return false
    return this.left === null
      ? LAST_EVENT.test(Buffer.from(this.last.slice(-32)).toString())
      : this.left === 0
  }

  onDrain(listener: () => void): void {
    this.drained = listener
  }

  /** A `Response` has no trailers. */
  end(): void {
    if (this.writer === null) return this.finish()
    this.writer.close().then(
      () => this.finish(),
      () => this.finish(),
    )
  }

  destroy(): void {
    void this.writer?.abort(new Error('the upstream broke off')).catch(() => {})
    this.finish()
  }

  fail(error: BallastError, headers: string[]): number {
    const { status, headers: own, body } = errorResponse(error)
    this.begun.resolve(
      new Response(this.bodyless ? null : body, { status, headers: headersOf([...own, ...headers]) }),
    )
    this.finish()
    return status
  }

  /** The client left. */
  leave(): void {
    // Nobody reads it; the runtime wants an answer all the same.
    this.begun.resolve(new Response(null, { status: 204 }))
    this.destroy()
  }

  private finish(): void {
    if (this.stalled !== null) clearTimeout(this.stalled)
    this.ended.resolve()
  }
}

function headersOf(pairs: readonly string[]): Headers {
  const headers = new Headers()
  for (let index = 0; index < pairs.length; index += 2) headers.append(pairs[index]!, pairs[index + 1]!)
  return headers
}
