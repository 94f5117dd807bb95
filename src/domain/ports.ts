/**
 * The ports: what the core needs from a technology, as small as it can be. Adapters implement them,
 * `node.ts` joins them. Beside a port stands its no-op, so that nobody asks `if (metrics)`.
 */
import type { BallastError } from './errors.ts'
import type { TriggerAction } from './experiment.ts'
import type { SampleOutcome } from './sample.ts'
import type { ArmEvent } from './store.ts'
import type { UpstreamPlace } from './upstream-place.ts'
import type { Score, VerdictKind } from './verdict.ts'

// --- The model provider -------------------------------------------------------------------------------------

/** Header names and values in turn, as they stood on the wire: `[name, value, name, value, …]`. */
export type RawHeaders = readonly string[]

export interface UpstreamRequest {
  readonly method: string
  /** Path below the upstream's base URL, query included: `/chat/completions?x=1`. */
  readonly path: string
  /** The client's, as they came; what of them is sent is up to the upstream's `HeaderRules`. */
  readonly headers: RawHeaders
  readonly body: UpstreamBody
}

/** Whole, in one piece or several; a stream that can be sent once; or none. */
export type UpstreamBody = Uint8Array | readonly Uint8Array[] | AsyncIterable<Uint8Array> | null

/** Whether it is a stream: sent once, of unknown length. */
export function isStream(body: UpstreamBody): body is AsyncIterable<Uint8Array> {
  return body !== null && !(body instanceof Uint8Array) && !Array.isArray(body)
}

/** Which headers pass between a client and one upstream, both ways. */
export interface HeaderRules {
  /** @param streamed whether the body is a stream: then its length is known from the client's headers alone. */
  request(headers: RawHeaders, streamed: boolean): string[]
  /** Of heads, informational ones included. */
  response(headers: RawHeaders): string[]
  trailers(headers: RawHeaders): string[]
}

/**
 * Hears of the answer, in this order: any number of `onInformation`, one `onHead`, any number of `onData`, one `onEnd`; or
 * at any time one `onError`.
 */
export interface UpstreamHandler {
  /**
   * The request is sent to an upstream: the first time, or again after it had failed.
   * @param before why not the time before, a status or an error's code; null the first time.
   */
  onTry?(place: UpstreamPlace, before: string | null): void
  /** An informational answer (1xx): the final one is still to come. */
  onInformation(status: number, headers: RawHeaders): void
  onHead(status: number, statusText: string, headers: RawHeaders): void
  /** The chunk belongs to the handler from now on and may be kept. */
  onData(chunk: Uint8Array): void
  onEnd(trailers: RawHeaders): void
  onError(error: BallastError): void
}

/** A call under way. */
export interface UpstreamCall {
  /** Ends it at once, the connection included; nothing more reaches the handler. */
  abort(): void
  /** Stops reading until `resume`: backpressure from a slow client. */
  pause(): void
  resume(): void
}

export interface Upstream {
  /** Of the one that is tried first. */
  readonly place?: UpstreamPlace
  /** Never throws; what goes wrong reaches `handler.onError`. */
  send(request: UpstreamRequest, handler: UpstreamHandler): UpstreamCall
  close(): Promise<void>
}

// --- The judge model ----------------------------------------------------------------------------------------

/** A token of the judge's reply, or one that could have stood in its place. */
export interface TokenChoice {
  readonly token: string
  /** Natural logarithm of its probability. */
  readonly logprob: number
}

export interface JudgeToken extends TokenChoice {
  /** The likeliest tokens in its place, itself mostly among them. */
  readonly alternatives: readonly TokenChoice[]
}

export interface JudgeAnswer {
  readonly text: string
  /** Whether the reply ended only because it was as long as it may be. */
  readonly cutOff: boolean
  /** Null where the judge gives no probabilities. */
  readonly tokens: readonly JudgeToken[] | null
  readonly promptTokens: number
  readonly completionTokens: number
}

export interface JudgeModel {
  /**
   * Asks once; rejects with a `BallastError` (source `upstream`) when there is no answer, of the code
   * `ballast_upstream_unavailable` where that is surely nothing of the question's.
   */
  ask(
    model: string,
    prompt: string,
    signal: AbortSignal,
    headers?: Readonly<Record<string, string>>,
  ): Promise<JudgeAnswer>
  /** Where a model is asked. */
  place?(model: string): UpstreamPlace
}

// --- The domain of a model's training -----------------------------------------------------------------------

/** Tells whether a client's text is about what a model was trained on. */
export interface DomainClassifier {
  /** Resolves soon, and never rejects: where there is no answer, the text is not in the domain. */
  classify(text: string, signal: AbortSignal): Promise<boolean>
}

// --- What is personal or secret in a text -------------------------------------------------------------------

/** Puts marks such as `[EMAIL]` in the place of what tells of a person or opens a door. */
export interface Redactor {
  /** @returns the texts in their order; one in which nothing was found is as it was. */
  redact(texts: readonly string[]): Promise<string[]>
}

// --- Metrics ------------------------------------------------------------------------------------------------

/** Labels of a request; empty strings where there is no experiment or its unit is in no arm. */
export interface RequestLabels {
  readonly route: string
  readonly experiment: string
  readonly arm: string
}

/** What came of asking whether a request is in the domain of its model's training. */
export type DomainOutcome = 'inside' | 'outside' | 'failed'
/** What came of reading the configuration anew; `unchanged`: it is the running one. */
export type ReloadOutcome = 'applied' | 'failed' | 'unchanged'

/** What is counted (SPEC section 8). Durations in milliseconds. */
export interface Metrics {
  requestFinished(labels: RequestLabels, code: number, durationMs: number): void
  firstByte(labels: RequestLabels, ms: number): void
  proxyOverhead(route: string, ms: number): void
  upstreamRequest(upstream: string, outcome: string): void
  exposure(experiment: string, arm: string): void
  injection(policy: string, placement: string): void
  /** A request whose text is like its model's training context. */
  triggerMatch(route: string, action: TriggerAction): void
  /** `failed`: the classifier gave no answer, which counts as outside. */
  domainCheck(route: string, outcome: DomainOutcome): void
  /** A request of an arm with a policy that was sent without it: a condition does not hold, or it has no place. */
  notInjected(policy: string, reason: 'unmet' | 'unsupported'): void
  sample(experiment: string, arm: string, outcome: SampleOutcome): void
  verdict(experiment: string, arm: string, check: string, verdict: VerdictKind): void
  score(experiment: string, arm: string, rubric: string, score: Score): void
  judgeRequest(model: string, outcome: 'ok' | 'error' | 'cached'): void
  judgeTokens(model: string, kind: 'prompt' | 'completion', tokens: number): void
  /** What is left of this minute's requests or this day's tokens; null: there is no such budget any more. */
  judgeBudget(model: string, kind: 'requests' | 'tokens', remaining: number | null): void
  /** Whether the model is left alone because it keeps failing; null: it is no judge any more. */
  judgeBreaker(model: string, open: boolean | null): void
  configReload(outcome: ReloadOutcome): void
  /** The thread that stores and judges has died and is replaced. */
  officeRestart(): void
  /** What was done to an arm came into force. */
  armEvent(experiment: string, arm: string, action: ArmEvent['action'], by: ArmEvent['by']): void
}

export const noMetrics: Metrics = {
  requestFinished() {},
  firstByte() {},
  proxyOverhead() {},
  upstreamRequest() {},
  exposure() {},
  injection() {},
  triggerMatch() {},
  domainCheck() {},
  notInjected() {},
  sample() {},
  verdict() {},
  score() {},
  judgeRequest() {},
  judgeTokens() {},
  judgeBudget() {},
  judgeBreaker() {},
  configReload() {},
  officeRestart() {},
  armEvent() {},
}

// --- Log ----------------------------------------------------------------------------------------------------

type LogMethod = (fields: Readonly<Record<string, unknown>>, message: string) => void

/** Structured; never given message texts or secrets. `pino` fits as it is. */
export interface Log {
  debug: LogMethod
  info: LogMethod
  warn: LogMethod
  error: LogMethod
  /** Whether lines of a level are written; left out: they may be. */
  isLevelEnabled?(level: 'debug'): boolean
}

/** What a line may be. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export const noLog: Log = { debug() {}, info() {}, warn() {}, error() {}, isLevelEnabled: () => false }
