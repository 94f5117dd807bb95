/**
 * The `fetch` that judges are asked with on Node, on undici's `dispatch`: a third of the CPU of the runtime's own, whose web
 * streams cost more than the request does. Composed by the back office, by `ballast judge` and by `node/snapshot.ts`.
 */
import { Agent, type Dispatcher, errors } from 'undici'
import { type JudgeFetch, LARGEST_REPLY, ReplyTooLargeError } from './judge-openai-options.ts'

/** As `Response` reads text: without a byte order mark. */
const UTF8 = new TextDecoder()

// How long a judge may take is its signal's affair.
const agent = new Agent({ maxResponseSize: LARGEST_REPLY, headersTimeout: 0, bodyTimeout: 0 })

/** Takes what the `openai` package gives: an address, headers, a text. Reads the reply whole; follows no redirects. */
export const fetchByUndici: JudgeFetch = async (address, { method = 'GET', headers, body, signal } = {}) => {
  const { origin, pathname, search } = new URL(address as string)
  const reply = new Reply(signal ?? null)
  agent.dispatch(
    {
      origin,
      path: pathname + search,
      method: method as Dispatcher.HttpMethod,
      headers: headers as Headers,
      body: body as string,
    },
    reply,
  )
  return await reply.whole
}

/** Hears of one answer, until it is whole or its signal ends it. */
class Reply implements Dispatcher.DispatchHandler {
  readonly whole: Promise<Response>
  private readonly signal: AbortSignal | null
  private readonly settle: PromiseWithResolvers<Response>
  private controller: Dispatcher.DispatchController | null = null
  private status = 0
  private type = ''
  private readonly chunks: Buffer[] = []

  constructor(signal: AbortSignal | null) {
    this.settle = Promise.withResolvers()
    this.whole = this.settle.promise
    this.signal = signal
    signal?.addEventListener('abort', this.abort)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller
    // It may have waited for its connection.
    if (this.signal?.aborted) this.abort()
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    this.status = status
    this.type = String(headers['content-type'] ?? '')
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.chunks.push(chunk)
  }

  onResponseEnd(): void {
    this.leave()
    try {
      this.settle.resolve(wholeResponse(UTF8.decode(Buffer.concat(this.chunks)), this.status, this.type))
    } catch (error) {
      // It refuses statuses that are none.
      this.settle.reject(error)
    }
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.leave()
    this.settle.reject(
      error instanceof errors.ResponseExceededMaxSizeError ? new ReplyTooLargeError() : error,
    )
  }

  private readonly abort = (): void => {
    const { reason } = this.signal!
    this.controller?.abort(reason)
    this.leave()
    this.settle.reject(reason)
  }

  private leave(): void {
    this.signal?.removeEventListener('abort', this.abort)
  }
}

/**
 * Of which the `openai` package reads status, type and text. With a body of its own the text would become a stream, and be
 * read from it again.
 */
function wholeResponse(text: string, status: number, type: string): Response {
  const response = new Response(null, { status, headers: { 'content-type': type } })
  return Object.assign(response, { text: async () => text })
}
