/**
 * The port of traces: what is told of a request and of a judging while they go on, and the no-op beside it. Implemented by
 * `adapters/tracing-otel.ts`; `adapters/tracing.ts` says which of the two is in force.
 */
import type { BallastError } from './errors.ts'
import type { JudgeAnswer, RawHeaders, RequestLabels } from './ports.ts'
import type { Sample } from './sample.ts'
import type { UpstreamPlace } from './upstream-place.ts'
import type { Scores, VerdictKind } from './verdict.ts'

/** What is asked of a model, in the words of the GenAI conventions; null: a request that is none of these. */
export type Operation = 'chat' | 'text_completion' | 'embeddings' | null

export interface TokenUsage {
  readonly input: number | null
  readonly output: number | null
}

/** A request that is over. */
export interface FinishedRequest {
  /** Sent back as `x-ballast-request-id`. */
  readonly id: string
  readonly labels: RequestLabels
  /** Whether the route names one model, so that the model of the request is the configuration's word. */
  readonly modelIsRoutes: boolean
  /** Of the arm whose policy was applied. */
  readonly policy: string | null
  /** Whom it was sent to last; null: nobody. */
  readonly place: UpstreamPlace | null
  /** How often it was sent. */
  readonly attempts: number
  /** What went wrong here or on the way; null where the answer, whatever it says, came whole. */
  readonly failure: BallastError | null
  /** From sending it to the first byte of its answer, in milliseconds; null where there was none. */
  readonly firstByteMs: number | null
  /** Looked up when it is asked for; null where it is not known. */
  readonly usage: TokenUsage | null
  /** Whether it was drawn for judging. */
  readonly sampled: boolean
}

/** One request, from its head to the last byte of its answer. */
export interface RequestTrace {
  /** 32 hex digits; null where nothing is traced. */
  readonly traceId: string | null
  /** Names the operation to whoever goes on with it later (W3C Trace Context); null before `forward`, or where nothing is traced. */
  readonly traceparent: string | null
  /**
   * It is sent on.
   * @param place of the upstream that is tried first.
   * @returns the headers to send: the client's, with this operation in the place of the client's context.
   */
  forward(
    operation: Operation,
    model: string | null,
    stream: boolean,
    place: UpstreamPlace | null,
    headers: RawHeaders,
  ): RawHeaders
  /** It is sent again. @param reason why not the try before: a status or an error's code. */
  retried(place: UpstreamPlace, reason: string): void
  /** Once. @param status that the client was sent, or 499 where it had left. */
  end(status: number, finished: FinishedRequest): void
  /** Instead of `end`, where the pipeline never had it. @param failure null where the client left. */
  refused(id: string, status: number, failure: BallastError | null): void
}

/** A sample's judging by one worker. */
export interface JudgingTrace {
  /** A question is put to a judge model. @param rubric its id. */
  ask(rubric: string, model: string, place: UpstreamPlace | null): AskTrace
  /** It has its verdict, stored. */
  judged(verdict: VerdictKind, scores: Scores): void
  /** Once, with a verdict or without. */
  end(): void
}

export interface AskTrace {
  /** To send with the question. */
  readonly headers: Readonly<Record<string, string>>
  answered(answer: JudgeAnswer): void
  failed(error: BallastError): void
}

export interface Tracing {
  /** A request came in. @param target as its first line says it. */
  request(method: string, target: string, headers: RawHeaders): RequestTrace
  judging(sample: Sample): JudgingTrace
  /** Sends what there is, within some seconds. Never rejects. */
  close(): Promise<void>
}

export const noRequestTrace: RequestTrace = {
  traceId: null,
  traceparent: null,
  forward: (_operation, _model, _stream, _place, headers) => headers,
  retried() {},
  end() {},
  refused() {},
}

const noAskTrace: AskTrace = { headers: {}, answered() {}, failed() {} }
export const noJudgingTrace: JudgingTrace = { ask: () => noAskTrace, judged() {}, end() {} }

export const noTracing: Tracing = {
  request: () => noRequestTrace,
  judging: () => noJudgingTrace,
  close: async () => {},
}
