/**
 * The `fetch` that judges are asked with on Node, on undici's `request`: half the CPU of the runtime's own, whose web
 * streams cost more than the request does. Composed by the back office, by `ballast judge` and by `node/snapshot.ts`.
 */
import { Agent, errors, request } from 'undici'
import { type JudgeFetch, LARGEST_REPLY, ReplyTooLargeError } from './judge-openai-options.ts'

// How long a judge may take is its signal's affair.
const agent = new Agent({ maxResponseSize: LARGEST_REPLY, headersTimeout: 0, bodyTimeout: 0 })

/** Takes what the `openai` package gives: an address, headers, a text. Reads the reply whole; follows no redirects. */
export const fetchByUndici: JudgeFetch = async (address, { method = 'GET', headers, body, signal } = {}) => {
  try {
    const answer = await request(address as string, {
      method: method as 'POST',
      headers: Object.fromEntries(new Headers(headers)),
      body: body as string,
      signal: signal ?? null,
      dispatcher: agent,
    })
    const text = await answer.body.text()
    return new Response(mayHaveBody(answer.statusCode) ? text : null, {
      status: answer.statusCode,
      headers: { 'content-type': String(answer.headers['content-type'] ?? '') },
    })
  } catch (error) {
    throw error instanceof errors.ResponseExceededMaxSizeError ? new ReplyTooLargeError() : error
  }
}

/** `Response` refuses one for these. */
function mayHaveBody(status: number): boolean {
  return status !== 204 && status !== 205 && status !== 304
}
