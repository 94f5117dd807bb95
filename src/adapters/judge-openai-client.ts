/** Asks judges with the `openai` package. Loaded by `judge-openai.ts` when it is first needed. */
import OpenAI, { APIConnectionTimeoutError, APIError, APIUserAbortError } from 'openai'
import type { ChatCompletionCreateParamsNonStreaming } from 'openai/resources/chat/completions'
import { z } from 'zod'
import { BallastError } from '../domain/errors.ts'
import type { JudgeAnswer, JudgeModel } from '../domain/ports.ts'
import { fetchByRuntime } from './judge-fetch-web.ts'
import { type OpenAIJudgeOptions, ReplyTooLargeError } from './judge-openai-options.ts'

/** The package would take these from the environment; ballast's configuration is all there is. */
const AMBIENT_OFF = { organization: null, project: null, logLevel: 'off' } as const
/** As many alternatives to a token as OpenAI gives. */
const TOP_LOGPROBS = 20
/** Besides these, all that says "not this request": it would fail again. */
const WORTH_ANOTHER_TRY = new Set([401, 403, 404, 408, 409, 429])
/** Statuses that tell of the judge and not of the question: it is not there, not ours, or busy. */
const NOT_THIS_QUESTION = new Set([401, 404, 429, 503])
/** So do these, of a connection that never stood. */
const NEVER_CONNECTED = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'])
/** What servers answer to a parameter they do not take. */
const REFUSALS = new Set([400, 422])
const FILTERED = 'content_filter'

const TokenChoice = z.looseObject({ token: z.string(), logprob: z.number() })
/** A server may send something else than the package's types promise; of that, what can be used is used. */
const Completion = z.looseObject({
  choices: z
    .array(
      z.looseObject({
        message: z.looseObject({ content: z.unknown().optional(), refusal: z.unknown().optional() }),
        finish_reason: z.unknown().optional(),
        logprobs: z
          .looseObject({
            content: z.array(TokenChoice.extend({ top_logprobs: z.array(TokenChoice).nullish() })).nullish(),
          })
          .nullish()
          .catch(null),
      }),
    )
    .min(1),
  usage: z.looseObject({ prompt_tokens: z.unknown(), completion_tokens: z.unknown() }).nullish().catch(null),
})

export function createClient(options: OpenAIJudgeOptions): JudgeModel {
  const { baseUrl, apiKey, headers = {}, timeout, maxTokens, name = 'judge' } = options
  // The queue tries again, with the sample safely stored in between; the client itself does not.
  const client = new OpenAI({
    baseURL: baseUrl,
    apiKey: apiKey ?? 'none',
    defaultHeaders: { ...(apiKey === null ? { authorization: null } : {}), ...headers },
    timeout,
    maxRetries: 0,
    fetch: options.fetch ?? fetchByRuntime,
    ...AMBIENT_OFF,
  })
  const withoutLogprobs = new Set<string>()

  const ask = async (
    model: string,
    prompt: string,
    logprobs: boolean,
    signal: AbortSignal,
    headers: Readonly<Record<string, string>>,
    timeout: number,
  ) => {
    const request: ChatCompletionCreateParamsNonStreaming = {
      model,
      messages: [{ role: 'user', content: prompt }],
      temperature: 0,
      max_tokens: maxTokens,
      ...(logprobs ? { logprobs: true, top_logprobs: TOP_LOGPROBS } : {}),
    }
    const answer = readCompletion(
      name,
      await client.chat.completions.create(request, { signal, headers, timeout }),
    )
    // What was not asked for is not used, whatever a server sends.
    return logprobs ? answer : { ...answer, tokens: null }
  }

  return {
    async ask(model, prompt, stopping, headers = {}) {
      const deadline = performance.now() + timeout
      try {
        if (!options.logprobs || withoutLogprobs.has(model))
          return await ask(model, prompt, false, stopping, headers, timeout)
        try {
          return await ask(model, prompt, true, stopping, headers, timeout)
        } catch (error) {
          if (!mayRefuseLogprobs(error)) throw error
          // Servers word this refusal in many ways; that it helps to ask without is what shows it was one.
          const left = Math.max(1, Math.floor(deadline - performance.now()))
          const answer = await ask(model, prompt, false, stopping, headers, left)
          withoutLogprobs.add(model)
          return answer
        }
      } catch (error) {
        throw describeFailure(name, error, stopping)
      }
    },
  }
}

/** @throws BallastError where nobody judged: what came is no completion, or the provider's filter took it. */
function readCompletion(name: string, value: unknown): JudgeAnswer {
  const completion = Completion.safeParse(value)
  if (!completion.success) {
    const isError = typeof value === 'object' && value !== null && 'error' in value && value.error !== null
    throw failed(name, isError ? 'sent an error in place of a completion' : 'sent no completion', true)
  }
  const { message, finish_reason: reason, logprobs } = completion.data.choices[0]!
  if (reason === FILTERED) throw failed(name, `was stopped by its provider's filter (${FILTERED})`, false)
  const { prompt_tokens, completion_tokens } = completion.data.usage ?? {}
  return {
    text: [message.content, message.refusal].find((it) => typeof it === 'string') ?? '',
    cutOff: reason === 'length',
    tokens:
      logprobs?.content?.map(({ token, logprob, top_logprobs }) => ({
        token,
        logprob,
        alternatives: top_logprobs ?? [],
      })) ?? null,
    promptTokens: countOf(prompt_tokens),
    completionTokens: countOf(completion_tokens),
  }
}

function countOf(tokens: unknown): number {
  return typeof tokens === 'number' && Number.isFinite(tokens) && tokens > 0 ? tokens : 0
}

function mayRefuseLogprobs(error: unknown): boolean {
  return error instanceof APIError && REFUSALS.has(error.status) && error.code !== FILTERED
}

function failed(name: string, what: string, retryable: boolean): BallastError {
  return new BallastError('ballast_upstream_failed', `the ${name} ${what}`, { source: 'upstream', retryable })
}

function describeFailure(name: string, cause: unknown, stopping: AbortSignal): BallastError {
  if (stopping.aborted) {
    return new BallastError('ballast_draining', 'ballast is shutting down', {
      source: 'internal',
      retryable: true,
    })
  }
  const told = chain(cause).find((error) => error instanceof BallastError)
  if (told !== undefined) return told
  if (chain(cause).some((error) => error instanceof ReplyTooLargeError))
    return failed(name, 'sent more than 1 MB', false)
  if (cause instanceof APIConnectionTimeoutError || cause instanceof APIUserAbortError) {
    return new BallastError('ballast_upstream_timeout', `the ${name} did not answer in time`, {
      source: 'upstream',
      retryable: true,
    })
  }
  const status = cause instanceof APIError ? cause.status : undefined
  if (status !== undefined) {
    const what = `answered with status ${status}${errorCode(cause)}`
    return NOT_THIS_QUESTION.has(status)
      ? unavailable(name, what)
      : failed(name, what, isWorthAnotherTry(status))
  }
  const code = systemCode(cause)
  const what = `could not be reached, or its answer not read${code === null ? '' : ` (${code})`}`
  return code !== null && NEVER_CONNECTED.has(code) ? unavailable(name, what) : failed(name, what, true)
}

function unavailable(name: string, what: string): BallastError {
  return new BallastError('ballast_upstream_unavailable', `the ${name} ${what}`, {
    source: 'upstream',
    retryable: true,
  })
}

function isWorthAnotherTry(status: number): boolean {
  return status >= 500 || WORTH_ANOTHER_TRY.has(status)
}

/** ` (content_filter)`: OpenAI's word for what is wrong. Its message may quote the prompt, and is not passed on. */
function errorCode(error: unknown): string {
  const code = error instanceof APIError ? error.code : undefined
  return typeof code === 'string' && /^[\w.-]{1,60}$/.test(code) ? ` (${code})` : ''
}

/** `ECONNREFUSED`, from the depth of a chain of causes; null where there is no such code. */
function systemCode(error: unknown): string | null {
  for (const cause of chain(error)) {
    const { code } = cause as NodeJS.ErrnoException
    if (typeof code === 'string') return code
  }
  return null
}

function chain(error: unknown): Error[] {
  const errors: Error[] = []
  for (let cause = error; cause instanceof Error; cause = cause.cause) errors.push(cause)
  return errors
}
