/** The `JudgeModel` port on the `openai` package. Composed by `node.ts`. */
import OpenAI, { APIConnectionTimeoutError, APIError, APIUserAbortError } from 'openai'
import { BallastError } from '../domain/errors.ts'
import type { JudgeModel } from '../domain/ports.ts'

export interface OpenAIJudgeOptions {
  readonly baseUrl: string
  readonly apiKey: string | null
  /** For one answer, in milliseconds. */
  readonly timeout: number
  /** What errors call it. */
  readonly name?: string
}

/** The package would take these from the environment; ballast's configuration is all there is. */
const AMBIENT_OFF = { organization: null, project: null, logLevel: 'off' } as const
/** A label or a number takes no more. */
const MAX_TOKENS = 16
/** Besides these, all that says "not this request": it would fail again. */
const WORTH_ANOTHER_TRY = new Set([401, 403, 404, 408, 409, 429])

export function createOpenAIJudge({
  baseUrl,
  apiKey,
  timeout,
  name = 'judge',
}: OpenAIJudgeOptions): JudgeModel {
  // The queue tries again, with the sample safely stored in between; the client itself does not.
  const client = new OpenAI({
    baseURL: baseUrl,
    apiKey: apiKey ?? 'none',
    timeout,
    maxRetries: 0,
    ...AMBIENT_OFF,
  })
  return {
    async ask(model, prompt, signal) {
      try {
        const completion = await client.chat.completions.create(
          { model, messages: [{ role: 'user', content: prompt }], temperature: 0, max_tokens: MAX_TOKENS },
          { signal },
        )
        return {
          // A server may send something else than the types promise.
          text: textOf(completion.choices?.[0]?.message?.content),
          promptTokens: countOf(completion.usage?.prompt_tokens),
          completionTokens: countOf(completion.usage?.completion_tokens),
        }
      } catch (error) {
        throw describeFailure(error, signal, name)
      }
    },
  }
}

function textOf(content: unknown): string {
  return typeof content === 'string' ? content : ''
}

function countOf(tokens: unknown): number {
  return typeof tokens === 'number' && Number.isFinite(tokens) && tokens > 0 ? tokens : 0
}

function describeFailure(cause: unknown, signal: AbortSignal, name: string): BallastError {
  if (signal.aborted || cause instanceof APIUserAbortError) {
    return new BallastError('ballast_draining', 'ballast is shutting down', {
      source: 'internal',
      retryable: true,
    })
  }
  if (cause instanceof APIConnectionTimeoutError) {
    return new BallastError('ballast_upstream_timeout', `the ${name} did not answer in time`, {
      source: 'upstream',
      retryable: true,
    })
  }
  const status = cause instanceof APIError ? cause.status : undefined
  const retryable = status === undefined || status >= 500 || WORTH_ANOTHER_TRY.has(status)
  const unread = `could not be reached, or its answer not read${systemCode(cause)}`
  const what = status === undefined ? unread : `answered with status ${status}`
  return new BallastError('ballast_upstream_failed', `the ${name} ${what}`, { source: 'upstream', retryable })
}

/** ` (ECONNREFUSED)`, from the depth of a chain of causes; nothing where there is no such code. */
function systemCode(error: unknown): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (typeof code === 'string') return ` (${code})`
  }
  return ''
}
