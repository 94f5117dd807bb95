/**
 * What a sample's judging leaves: a span below the operation that is judged, in its trace; a CLIENT span for each question put
 * to a judge model; and for each result an event `gen_ai.evaluation.result` at the operation itself. Its explanation is left
 * out, since a judge's words quote the answer. Made by `tracing-otel.ts`.
 */
import {
  type Attributes,
  type Context,
  type Logger,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import type { BallastError } from '../domain/errors.ts'
import type { JudgeAnswer } from '../domain/ports.ts'
import type { Sample } from '../domain/sample.ts'
import type { AskTrace, JudgingTrace } from '../domain/tracing.ts'
import type { UpstreamPlace } from '../domain/upstream-place.ts'
import type { Score, Scores, VerdictKind } from '../domain/verdict.ts'
import type { Instruments } from './tracing-otel-metrics.ts'
import { BALLAST, EVALUATION_RESULT, GEN_AI, HTTP, providerOf } from './tracing-otel-names.ts'
import { contextOf, headersOf, serverOf } from './tracing-otel-request.ts'

const CHAT = 'chat'
/** A verdict of these two is a number as well, so that its mean is a rate. */
const VALUES: Partial<Record<VerdictKind, number>> = { positive: 1, negative: 0 }
/** `error.type` of a result that is none. */
const NO_JUDGEMENT = 'judge_error'

export interface OtelJudgingDeps {
  readonly tracer: Tracer
  readonly instruments: Instruments
  readonly logger: Logger
}

export class OtelJudging implements JudgingTrace {
  private readonly deps: OtelJudgingDeps
  private readonly sample: Sample
  private readonly judgedOperation: Context
  private readonly inside: Context
  private readonly span: Span

  constructor(deps: OtelJudgingDeps, sample: Sample) {
    this.deps = deps
    this.sample = sample
    this.judgedOperation = contextOf(sample.traceparent ?? null)
    const attributes = { ...attributesOf(sample), [GEN_AI.evaluationName]: sample.check }
    this.span = deps.tracer.startSpan(
      `evaluate ${sample.check}`,
      { kind: SpanKind.INTERNAL, attributes },
      this.judgedOperation,
    )
    this.inside = trace.setSpan(this.judgedOperation, this.span)
  }

  ask(rubric: string, model: string, place: UpstreamPlace | null): AskTrace {
    return new OtelAsk(this.deps, this.inside, rubric, model, place)
  }

  judged(verdict: VerdictKind, scores: Scores): void {
    const result = resultOf(verdict)
    this.span.setAttributes(result)
    if (verdict === 'error') this.span.setStatus({ code: SpanStatusCode.ERROR })
    this.emit(this.sample.check, result)
    for (const [rubric, score] of Object.entries(scores))
      this.emit(`${this.sample.check}/${rubric}`, scoreOf(score))
  }

  end(): void {
    this.span.end()
  }

  private emit(name: string, result: Attributes): void {
    this.deps.logger.emit({
      eventName: EVALUATION_RESULT,
      context: this.judgedOperation,
      attributes: { [GEN_AI.evaluationName]: name, ...result, ...attributesOf(this.sample) },
    })
  }
}

class OtelAsk implements AskTrace {
  readonly headers: Readonly<Record<string, string>>
  private readonly instruments: Instruments
  private readonly span: Span
  private readonly measured: Attributes
  private readonly askedAt = performance.now()

  constructor(
    { tracer, instruments }: OtelJudgingDeps,
    inside: Context,
    rubric: string,
    model: string,
    place: UpstreamPlace | null,
  ) {
    this.instruments = instruments
    this.measured = {
      [GEN_AI.operation]: CHAT,
      [GEN_AI.provider]: providerOf(place?.address ?? ''),
      [GEN_AI.requestModel]: model,
      ...serverOf(place),
    }
    const attributes = {
      ...this.measured,
      [GEN_AI.requestTemperature]: 0,
      [BALLAST.rubric]: rubric,
      ...(place === null ? {} : { [BALLAST.upstream]: place.name }),
    }
    this.span = tracer.startSpan(`${CHAT} ${model}`, { kind: SpanKind.CLIENT, attributes }, inside)
    this.headers = headersOf(trace.setSpan(inside, this.span))
  }

  answered({ promptTokens: input, completionTokens: output }: JudgeAnswer): void {
    // A judge that does not say has used some all the same.
    if (input > 0) {
      this.span.setAttributes({ [GEN_AI.inputTokens]: input, [GEN_AI.outputTokens]: output })
      this.instruments.tokens('input', input, this.measured)
      this.instruments.tokens('output', output, this.measured)
    }
    this.span.end()
    this.instruments.operation(performance.now() - this.askedAt, this.measured)
  }

  failed({ code }: BallastError): void {
    this.span.setAttribute(HTTP.errorType, code)
    this.span.setStatus({ code: SpanStatusCode.ERROR })
    this.span.end()
    this.instruments.operation(performance.now() - this.askedAt, { ...this.measured, [HTTP.errorType]: code })
  }
}

function attributesOf({ id, experiment, arm, policy, checkVersion, probability, extra }: Sample): Attributes {
  return {
    [BALLAST.request]: id,
    [BALLAST.experiment]: experiment,
    [BALLAST.arm]: arm,
    ...(policy === null ? {} : { [BALLAST.policy]: policy }),
    [BALLAST.checkVersion]: checkVersion,
    [BALLAST.probability]: probability,
    ...((extra ?? null) === null ? {} : { [BALLAST.extra]: extra! }),
  }
}

function resultOf(verdict: VerdictKind): Attributes {
  const value = VALUES[verdict]
  return {
    [GEN_AI.evaluationLabel]: verdict,
    ...(value === undefined ? {} : { [GEN_AI.evaluationValue]: value }),
    ...(verdict === 'error' ? { [HTTP.errorType]: NO_JUDGEMENT } : {}),
  }
}

/** Labels are the rubric's own words; what could not be read is not passed on. */
function scoreOf(score: Score): Attributes {
  switch (score.kind) {
    case 'number':
      return { [GEN_AI.evaluationValue]: score.value }
    case 'label':
      return { [GEN_AI.evaluationLabel]: score.value }
    case 'unparsed':
      return { [GEN_AI.evaluationLabel]: score.kind }
    case 'error':
      return { [GEN_AI.evaluationLabel]: score.kind, [HTTP.errorType]: NO_JUDGEMENT }
  }
}
