/**
 * The spans of a request: a SERVER span by the HTTP conventions, and below it, once it is sent on, a CLIENT span by the GenAI
 * conventions, which covers every try and is the one that the upstream is told of. Made by `tracing-otel.ts`.
 */
import {
  type Attributes,
  type Context,
  isSpanContextValid,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import type { BallastError } from '../domain/errors.ts'
import type { RawHeaders } from '../domain/ports.ts'
import type { FinishedRequest, Operation, RequestTrace } from '../domain/tracing.ts'
import type { UpstreamPlace } from '../domain/upstream-place.ts'
import type { Instruments } from './tracing-otel-metrics.ts'
import { BALLAST, GEN_AI, HTTP, providerOf, RETRY_EVENT } from './tracing-otel-names.ts'

/** What is served by name; other paths are one route, whatever clients write. */
const ROUTES = new Set([
  '/v1/chat/completions',
  '/v1/responses',
  '/v1/completions',
  '/v1/embeddings',
  '/v1/models',
])
const OTHER_ROUTE = '/v1/*'
/** A model's name is the client's word, and part of the span's. */
const LONGEST_MODEL = 128
const LONGEST_PATH = 200
/** The client left: `error.type` of what it did not wait for. */
const CLIENT_CLOSED = 'client_closed_request'
const CLIENT_CLOSED_STATUS = 499

/** Reads the client's context; a header that stands twice is not a context (W3C Trace Context section 3.2). */
const RAW_HEADERS: TextMapGetter<RawHeaders> = {
  keys: (headers) => headers.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase()),
  get(headers, key) {
    const values: string[] = []
    for (let index = 0; index < headers.length; index += 2)
      if (headers[index]!.toLowerCase() === key) values.push(headers[index + 1]!)
    return values.length > 1 ? values : values[0]
  },
}

export class OtelRequest implements RequestTrace {
  private readonly tracer: Tracer
  private readonly instruments: Instruments
  private readonly method: string
  private readonly parent: Context
  private readonly server: Span
  private client: Span | null = null
  private operation: Operation = null
  private model: string | null = null
  private stream = false
  private sentAt = 0

  constructor(tracer: Tracer, instruments: Instruments, method: string, target: string, headers: RawHeaders) {
    this.tracer = tracer
    this.instruments = instruments
    this.method = method
    const path = target.split('?', 1)[0]!
    const route = ROUTES.has(path) ? path : OTHER_ROUTE
    this.parent = propagation.extract(ROOT_CONTEXT, headers, RAW_HEADERS)
    this.server = tracer.startSpan(
      `${method} ${route}`,
      {
        kind: SpanKind.SERVER,
        attributes: {
          [HTTP.method]: method,
          [HTTP.route]: route,
          [HTTP.path]: path.slice(0, LONGEST_PATH),
          [HTTP.scheme]: 'http',
        },
      },
      this.parent,
    )
  }

  get traceId(): string | null {
    const spanContext = this.server.spanContext()
    return isSpanContextValid(spanContext) ? spanContext.traceId : null
  }

  get traceparent(): string | null {
    return this.client === null ? null : writeTraceparent(this.client)
  }

  forward(
    operation: Operation,
    model: string | null,
    stream: boolean,
    place: UpstreamPlace | null,
    headers: RawHeaders,
  ): RawHeaders {
    this.operation = operation
    this.model = model?.slice(0, LONGEST_MODEL) ?? null
    this.stream = stream
    this.sentAt = performance.now()
    const name = operation === null ? this.method : [operation, this.model].filter(Boolean).join(' ')
    const attributes: Attributes = {
      ...serverOf(place),
      ...(operation === null
        ? { [HTTP.method]: this.method }
        : {
            [GEN_AI.operation]: operation,
            [GEN_AI.provider]: providerOf(place?.address ?? ''),
            ...(this.model === null ? {} : { [GEN_AI.requestModel]: this.model }),
            ...(stream ? { [GEN_AI.requestStream]: true } : {}),
          }),
    }
    const inside = trace.setSpan(this.parent, this.server)
    this.client = this.tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes }, inside)
    return withContext(headers, trace.setSpan(inside, this.client))
  }

  retried({ name }: UpstreamPlace, reason: string): void {
    this.client?.addEvent(RETRY_EVENT, { [BALLAST.upstream]: name, [HTTP.errorType]: reason })
  }

  end(status: number, finished: FinishedRequest): void {
    const { id, labels, policy, place, attempts, failure, sampled } = finished
    const own: Attributes = {
      [BALLAST.request]: id,
      [BALLAST.route]: labels.route,
      ...(labels.experiment === ''
        ? {}
        : { [BALLAST.experiment]: labels.experiment, [BALLAST.arm]: labels.arm }),
      ...(policy === null ? {} : { [BALLAST.policy]: policy }),
      ...(place === null ? {} : { [BALLAST.upstream]: place.name, [BALLAST.attempts]: attempts }),
      ...(sampled ? { [BALLAST.sampled]: true } : {}),
    }
    if (this.client !== null) this.endClient(this.client, status, finished, own)
    this.server.setAttributes(own)
    this.endServer(status, failure)
  }

  refused(id: string, status: number, failure: BallastError | null): void {
    this.server.setAttribute(BALLAST.request, id)
    this.endServer(status, failure)
  }

  /** Only what is the server's own fault is an error of a SERVER span. */
  private endServer(status: number, failure: BallastError | null): void {
    const error = errorType(status, failure, 500)
    if (status !== CLIENT_CLOSED_STATUS) this.server.setAttribute(HTTP.status, status)
    endSpan(this.server, error)
  }

  private endClient(span: Span, status: number, finished: FinishedRequest, own: Attributes): void {
    const { place, attempts, failure, firstByteMs } = finished
    const usage = span.isRecording() ? finished.usage : null
    const error = errorType(status, failure, 400)
    const answered = firstByteMs !== null && this.stream && this.operation !== null
    span.setAttributes({
      ...own,
      ...serverOf(place),
      ...(this.operation === null || place === null ? {} : { [GEN_AI.provider]: providerOf(place.address) }),
      ...(attempts > 1 ? { [HTTP.resendCount]: attempts - 1 } : {}),
      ...(this.operation === null && failure === null ? { [HTTP.status]: status } : {}),
      ...(answered ? { [GEN_AI.timeToFirstChunk]: firstByteMs / 1_000 } : {}),
      ...((usage?.input ?? null) === null ? {} : { [GEN_AI.inputTokens]: usage!.input! }),
      ...((usage?.output ?? null) === null ? {} : { [GEN_AI.outputTokens]: usage!.output! }),
    })
    endSpan(span, error)
    if (this.operation === null) return
    const measured = this.measured(finished, error)
    this.instruments.operation(performance.now() - this.sentAt, measured)
    if (answered) this.instruments.firstChunk(firstByteMs, measured)
  }

  /** Clients must not be able to make series: a model that they chose is left out, and the route stands for it. */
  private measured({ labels, place, modelIsRoutes }: FinishedRequest, error: string | null): Attributes {
    return {
      [GEN_AI.operation]: this.operation!,
      [GEN_AI.provider]: providerOf(place?.address ?? ''),
      ...(modelIsRoutes && this.model !== null ? { [GEN_AI.requestModel]: this.model } : {}),
      ...serverOf(place),
      [BALLAST.route]: labels.route,
      ...(labels.experiment === ''
        ? {}
        : { [BALLAST.experiment]: labels.experiment, [BALLAST.arm]: labels.arm }),
      ...(error === null ? {} : { [HTTP.errorType]: error }),
    }
  }
}

/** @param least the status from which on it is an error. */
function errorType(status: number, failure: BallastError | null, least: number): string | null {
  if (status === CLIENT_CLOSED_STATUS) return CLIENT_CLOSED
  if (failure !== null && (status >= least || status < 400)) return failure.code
  return status >= least ? String(status) : null
}

/** That the client left is told, and nobody's error. */
function endSpan(span: Span, error: string | null): void {
  if (error !== null) {
    span.setAttribute(HTTP.errorType, error)
    if (error !== CLIENT_CLOSED) span.setStatus({ code: SpanStatusCode.ERROR })
  }
  span.end()
}

export function serverOf(place: UpstreamPlace | null): Attributes {
  return place === null ? {} : { [HTTP.address]: place.address, [HTTP.port]: place.port }
}

/** As W3C Trace Context writes it, whatever is sent on the wire. */
function writeTraceparent(span: Span): string | null {
  const spanContext = span.spanContext()
  if (!isSpanContextValid(spanContext)) return null
  const flags = spanContext.traceFlags.toString(16).padStart(2, '0')
  return `00-${spanContext.traceId}-${spanContext.spanId}-${flags}`
}

/** The client's headers with a context in the place of its own. */
function withContext(headers: RawHeaders, inside: Context): RawHeaders {
  const carrier: Record<string, string> = {}
  propagation.inject(inside, carrier)
  const replaced = new Set(propagation.fields())
  const kept: string[] = []
  for (let index = 0; index < headers.length; index += 2)
    if (!replaced.has(headers[index]!.toLowerCase())) kept.push(headers[index]!, headers[index + 1]!)
  for (const [name, value] of Object.entries(carrier)) kept.push(name, value)
  return kept
}

/** What an operation was called by `traceparent`; the root where it is missing or not to be read. */
export function contextOf(traceparent: string | null): Context {
  const [, traceId, spanId, flags] =
    /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(traceparent ?? '') ?? []
  if (traceId === undefined || spanId === undefined) return ROOT_CONTEXT
  const spanContext = { traceId, spanId, traceFlags: Number.parseInt(flags!, 16), isRemote: true }
  return isSpanContextValid(spanContext) ? trace.setSpanContext(ROOT_CONTEXT, spanContext) : ROOT_CONTEXT
}

export function headersOf(inside: Context): Record<string, string> {
  const carrier: Record<string, string> = {}
  propagation.inject(inside, carrier)
  return carrier
}
