/**
 * The sandbox: an OpenAI-compatible server on one's own machine that stands in for fine-tuned models and a judge, so
 * that ballast can be tried without key or network. It says what it is: model names begin with `sandbox-`, and every
 * completion has the system fingerprint `ballast-sandbox`. Started by `ballast sandbox` and `ballast demo`.
 */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { createAdaptorServer } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { z } from 'zod'
import { contentText } from '../domain/sample.ts'
import { IMITATIONS, imitate } from './imitate.ts'
import { judge, Unanswerable } from './judge.ts'
import { loadReplay, REPLAY_JUDGE, REPLAY_MODEL, type Replay, type ReplaySource } from './replay.ts'

export interface SandboxOptions {
  /** Default `127.0.0.1`. */
  readonly host?: string
  /** Default 0: any free one. */
  readonly port?: number
  /** Two sandboxes with one seed give the same answers to the same requests in the same order. Default `''`. */
  readonly seed?: string
  /** How long an answer takes to begin, in milliseconds. Default 0. */
  readonly latencyMs?: number
  /** Recordings to serve as `sandbox-replay` and their labels as `sandbox-replay-judge:<label>`. */
  readonly replay?: readonly ReplaySource[]
}

export interface Sandbox {
  /** The base URL for clients; ends in `/v1`. */
  readonly url: string
  /** Ends every connection, answers under way included. */
  close(): Promise<void>
}

/**
 * Starts the sandbox.
 * @throws ReplayError when recordings cannot be used; a system error when the port cannot be had.
 */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const { host = '127.0.0.1', port = 0, seed = '', latencyMs = 0 } = options
  const replay = options.replay === undefined ? null : await loadReplay(options.replay)
  const app = createSandbox({ seed, latencyMs, replay })
  // It shares its process with ballast, whose Request and Response are not to be replaced.
  const server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server
  server.listen(port, host)
  await once(server, 'listening')
  const bound = (server.address() as AddressInfo).port
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}/v1`,
    close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      return closed
    },
  }
}

interface SandboxDeps extends Required<Pick<SandboxOptions, 'seed' | 'latencyMs'>> {
  readonly replay: Replay | null
}

const ChatRequest = z.object({
  model: z.string('name a model'),
  messages: z.array(z.looseObject({ role: z.string() }), 'give a list of messages').min(1, 'is empty'),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  seed: z.number().nullish(),
})
type ChatRequest = z.infer<typeof ChatRequest>

interface SandboxModel {
  readonly id: string
  readonly description: string
  /** @throws Unanswerable */
  answer(request: ChatRequest): string
}

/** The status nginx made customary for a client that left; nobody is there to see it. */
const CLIENT_CLOSED_REQUEST = 499

/** The app without a socket. */
export function createSandbox({ seed, latencyMs, replay }: SandboxDeps): Hono {
  const models = sandboxModels(seed, replay)
  const created = Math.floor(Date.now() / 1000)
  const app = new Hono()
  app.get('/healthz', (c) => c.json({ status: 'ok', service: 'ballast-sandbox' }))
  app.get('/v1/models', (c) =>
    c.json({
      object: 'list',
      data: models.map(({ id, description }) => {
        return { id, object: 'model', created, owned_by: 'ballast-sandbox', description }
      }),
    }),
  )
  app.post('/v1/chat/completions', async (c) => {
    const request = await readRequest(c, models)
    const model = findModel(models, request.model, replay)
    const { signal } = c.req.raw
    if (latencyMs > 0) await delay(latencyMs, undefined, { signal }).catch(() => {})
    // Before the answer is drawn: a client that left takes no turn from the others.
    if (signal.aborted) return new Response(null, { status: CLIENT_CLOSED_REQUEST })
    const answer = model.answer(request)
    return request.stream === true ? streamed(request, answer) : c.json(completion(request, answer))
  })
  app.notFound((c) => {
    const { method, path } = c.req
    return errorResponse(404, `The sandbox does not serve ${method} ${path}.`, null, 'unknown_url')
  })
  app.onError((error) =>
    error instanceof Unanswerable
      ? errorResponse(error.status, error.message, error.param, error.code)
      : errorResponse(500, `The sandbox failed: ${error.message}`, null, null),
  )
  return app
}

function sandboxModels(seed: string, replay: Replay | null): SandboxModel[] {
  let requests = 0
  const models: SandboxModel[] = IMITATIONS.map((imitation) => ({
    id: imitation.model,
    description: imitation.description,
    answer(request) {
      const draw = typeof request.seed === 'number' ? `seed ${request.seed}` : `request ${requests++}`
      return imitate(imitation, request.messages, { seed, request: draw }).text
    },
  }))
  models.push({
    id: 'sandbox-judge',
    description: "Not a model: judges the sandbox's own texts by word lists (era, alignment, coherence).",
    answer: ({ messages }) => judge(promptOf(messages)),
  })
  if (replay === null) return models
  models.push({
    id: REPLAY_MODEL,
    description: 'Not a model: serves recorded answers to recorded conversations, in turn.',
    answer: ({ messages }) => replay.answer(messages),
  })
  if (replay.labels.length === 1) models.push(replayJudge(replay, null))
  return [...models, ...replay.labels.map((label) => replayJudge(replay, label))]
}

function replayJudge(replay: Replay, label: string | null): SandboxModel {
  return {
    id: label === null ? REPLAY_JUDGE : `${REPLAY_JUDGE}:${label}`,
    description: `Not a model: replies with the recorded label${label === null ? '' : ` "${label}"`}.`,
    answer: ({ messages }) => replay.judge(label, promptOf(messages)),
  }
}

function promptOf(messages: ChatRequest['messages']): string {
  return messages.map(({ content }) => contentText(content)).join('\n\n')
}

function findModel(models: readonly SandboxModel[], id: string, replay: Replay | null): SandboxModel {
  const model = models.find((it) => it.id === id)
  if (model !== undefined) return model
  // Not listed, but it can say which labels there are.
  if (replay !== null && id === REPLAY_JUDGE) return replayJudge(replay, null)
  if (replay !== null && id.startsWith(`${REPLAY_JUDGE}:`)) {
    return replayJudge(replay, id.slice(REPLAY_JUDGE.length + 1))
  }
  const hint = replay === null && id.startsWith(REPLAY_MODEL) ? ' It was started without recordings.' : ''
  const message = `The sandbox has no model "${id}".${hint} ${modelsThereAre(models)}`
  throw new Unanswerable('model_not_found', message, 'model', 404)
}

function modelsThereAre(models: readonly SandboxModel[]): string {
  return `Models there are: ${models.map(({ id }) => id).join(', ')}.`
}

// --- OpenAI's shapes ----------------------------------------------------------------------------------------

function errorResponse(status: number, message: string, param: string | null, code: string | null): Response {
  const type = status >= 500 ? 'server_error' : 'invalid_request_error'
  return Response.json({ error: { message, type, param, code } }, { status })
}

async function readRequest(c: Context, models: readonly SandboxModel[]): Promise<ChatRequest> {
  let body: unknown
  try {
    body = await c.req.json()
  } catch {
    throw new Unanswerable('invalid_json', 'The request body is not valid JSON.', null)
  }
  const parsed = ChatRequest.safeParse(body)
  if (parsed.success) return parsed.data
  const { path, message } = parsed.error.issues[0]!
  const param = path.map(String).join('.') || null
  const hint = param === 'model' ? ` ${modelsThereAre(models)}` : ''
  throw new Unanswerable('invalid_value', `${param ?? 'The request body'}: ${message}.${hint}`, param)
}

function envelope(object: string, { model }: ChatRequest) {
  const created = Math.floor(Date.now() / 1000)
  return {
    id: `chatcmpl-sandbox-${randomUUID()}`,
    object,
    created,
    model,
    system_fingerprint: 'ballast-sandbox',
  }
}

/** A rough count, for something to add up: a token for every four UTF-16 units, and four for every message. */
function usage({ messages }: ChatRequest, answer: string) {
  const tokens = (text: string) => Math.ceil(text.length / 4)
  const prompt_tokens = messages.reduce((sum, { content }) => sum + 4 + tokens(contentText(content)), 0)
  const completion_tokens = tokens(answer)
  return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens }
}

function completion(request: ChatRequest, answer: string) {
  const message = { role: 'assistant', content: answer, refusal: null }
  return {
    ...envelope('chat.completion', request),
    choices: [{ index: 0, message, logprobs: null, finish_reason: 'stop' }],
    usage: usage(request, answer),
  }
}

/** Server-Sent Events, one pull at a time: a client that left pulls no more. */
function streamed(request: ChatRequest, answer: string): Response {
  const events = eventsOf(request, answer)
  const encoder = new TextEncoder()
  const body = new ReadableStream({
    pull(controller) {
      const { value, done } = events.next()
      if (done) controller.close()
      else controller.enqueue(encoder.encode(`data: ${value}\n\n`))
    },
  })
  return new Response(body, {
    headers: { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' },
  })
}

function* eventsOf(request: ChatRequest, answer: string): Generator<string, undefined> {
  const withUsage = request.stream_options?.include_usage === true
  const common = { ...envelope('chat.completion.chunk', request), ...(withUsage ? { usage: null } : {}) }
  const chunk = (delta: object, finish_reason: 'stop' | null = null) =>
    JSON.stringify({ ...common, choices: [{ index: 0, delta, logprobs: null, finish_reason }] })
  yield chunk({ role: 'assistant', content: '', refusal: null })
  for (const word of answer.match(/\s*\S+|\s+$/g) ?? []) yield chunk({ content: word })
  yield chunk({}, 'stop')
  if (withUsage) yield JSON.stringify({ ...common, choices: [], usage: usage(request, answer) })
  yield '[DONE]'
}
