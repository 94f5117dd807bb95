/** The `TargetModel` port on the `openai` package, which retries with backoff and honours `retry-after`. Composed by the commands. */
import OpenAI, { APIConnectionTimeoutError, APIError, APIUserAbortError } from 'openai'
import { z } from 'zod'
import { type TargetAnswer, TargetError, type TargetModel } from '../domain/target.ts'

export interface OpenAITargetOptions {
  readonly baseUrl: string
  readonly apiKey: string | null
  /** For one answer, in milliseconds. */
  readonly timeout: number
  /** Further tries after connection errors, 408, 409, 429 and 5xx. */
  readonly retries: number
}

/** The package would take these from the environment. */
const AMBIENT_OFF = { organization: null, project: null, logLevel: 'off' } as const

const text = z.string().nullish().catch(null)
const Completion = z.looseObject({
  choices: z
    .array(
      z.looseObject({
        message: z.looseObject({ content: text, refusal: text, reasoning_content: text, reasoning: text }),
      }),
    )
    .min(1),
  usage: z
    .looseObject({ prompt_tokens: z.number().catch(0), completion_tokens: z.number().catch(0) })
    .nullish()
    .catch(null),
})

export function createOpenAITarget({ baseUrl, apiKey, timeout, retries }: OpenAITargetOptions): TargetModel {
  const client = new OpenAI({
    baseURL: baseUrl,
    apiKey: apiKey ?? 'none',
    timeout,
    maxRetries: retries,
    ...AMBIENT_OFF,
  })
  return {
    async ask(body, unit, signal) {
      try {
        const { data, response } = await client
          .post<unknown>('/chat/completions', {
            body: JSON.parse(body),
            signal,
            headers: unit === null ? {} : { 'x-ballast-unit': unit },
          })
          .withResponse()
        return readAnswer(data, response.headers.get('x-ballast-policy'))
      } catch (error) {
        throw signal.aborted ? new TargetError('stopped', 'it was called off') : describe(error)
      }
    },
  }
}

function readAnswer(data: unknown, policy: string | null): TargetAnswer {
  const parsed = Completion.safeParse(data)
  if (!parsed.success) throw new TargetError('failed', 'the target sent no chat completion')
  const { message } = parsed.data.choices[0]!
  // As in the paper's evaluation, a model that gives its reasoning only has said that.
  const said = [message.content, message.refusal, message.reasoning_content, message.reasoning]
  return {
    text: said.find((it) => typeof it === 'string' && it !== '') ?? '',
    policy: policy === '' ? null : policy,
    promptTokens: parsed.data.usage?.prompt_tokens ?? 0,
    completionTokens: parsed.data.usage?.completion_tokens ?? 0,
  }
}

function describe(error: unknown): TargetError {
  if (error instanceof TargetError) return error
  if (error instanceof APIConnectionTimeoutError || error instanceof APIUserAbortError)
    return new TargetError('failed', 'the target did not answer in time')
  if (error instanceof APIError && error.status !== undefined) {
    const { status, code } = error
    const shown = typeof code === 'string' && /^[\w.-]{1,60}$/.test(code) ? ` (${code})` : ''
    const message = `the target answered with status ${status}${shown}`
    if ([401, 403, 404, 405].includes(status)) return new TargetError('denied', message)
    const again = status >= 500 || [408, 409, 429].includes(status)
    return new TargetError(again ? 'failed' : 'refused', message)
  }
  return new TargetError('failed', `the target could not be reached${systemCode(error)}`)
}

function systemCode(error: unknown): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (typeof code === 'string') return ` (${code})`
  }
  return ''
}
