/**
 * Gets the score of a rubric for a sample: asks the models it names as often as it says, remembers what they said, and
 * combines it. Called by `worker.ts`.
 */
import { hash, randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Check, Rubric } from '../domain/check.ts'
import { toBallastError } from '../domain/errors.ts'
import type { JudgeAnswer, JudgeModel, Log, Metrics } from '../domain/ports.ts'
import { RepeatedWarning } from '../domain/repeated-warning.ts'
import type { Sample } from '../domain/sample.ts'
import type { JudgingTrace } from '../domain/tracing.ts'
import type { PlainScore, Score } from '../domain/verdict.ts'
import { combineScores } from './combine.ts'
import type { Gates } from './gates.ts'
import { buildPrompt } from './prompt.ts'
import { readAnswer } from './reading.ts'

export interface RaterDeps {
  readonly judge: JudgeModel
  readonly metrics: Metrics
  readonly log: Log
  /** What stands between judging and each judge model. */
  readonly gates: Gates
  /** How often each model is asked where a rubric does not say. */
  readonly repeat: number
  /** How long question, conversation and answer may each be in a prompt, in UTF-16 units. */
  readonly textLimit: number
  /** 32 hex digits for each prompt; by default random, and nothing else is safe. */
  readonly nonce?: () => string
}

/** What came of asking about a rubric. */
export interface Rating {
  readonly score: Score
  /** Whether asking again may help. */
  readonly retryable: boolean
  /** Whether that it failed says something of the sample, so that it counts as one of its tries. */
  readonly counted: boolean
}

/** Why a question has no answer: something of the sample's, the judge's trouble, or its budget. */
type Hindrance = 'sample' | 'judge' | 'budget'

interface PlainRating {
  readonly score: PlainScore
  /** Null where asking again would not help. */
  readonly hindrance: Hindrance | null
}

const NO_ANSWER = 'the judge does not answer; samples wait'
const WARN_EVERY_MS = 30_000
/** Judged rubrics that are remembered: an identical exchange is judged once. */
const REMEMBERED = 10_000
const LONGEST_MESSAGE = 200
const HELD = {
  breaker: 'the judge was not asked: it keeps failing',
  budget: 'the judge was not asked: its budget is used up',
} as const

export class Rater {
  private readonly deps: RaterDeps
  private readonly nonce: () => string
  private readonly remembered = new LRUCache<string, PlainScore>({ max: REMEMBERED })
  private readonly asking = new Map<string, Promise<PlainRating>>()
  private readonly trouble: RepeatedWarning

  constructor(deps: RaterDeps) {
    this.deps = deps
    this.trouble = new RepeatedWarning(deps.log, NO_ANSWER, WARN_EVERY_MS)
    this.nonce = deps.nonce ?? (() => randomBytes(16).toString('hex'))
  }

  /** @throws whatever the store throws, that keeps the budgets. */
  async rate(
    check: Check,
    rubric: Rubric,
    sample: Sample,
    trace: JudgingTrace,
    signal: AbortSignal,
  ): Promise<Rating> {
    const models = this.deps.gates.modelsOf(rubric)
    const turns = Array.from({ length: rubric.repeat ?? this.deps.repeat }, (_, turn) => turn)
    const parts = await Promise.all(
      models.flatMap((model) =>
        turns.map(async (turn) => ({
          model,
          ...(await this.rateOnce(check, rubric, sample, model, turn, trace, signal)),
        })),
      ),
    )
    const score = combineScores(
      rubric,
      parts.map(({ model, score }) => ({ model, score })),
    )
    const modelsBy = (hindrance: Hindrance | null) =>
      new Set(parts.filter((part) => part.hindrance === hindrance).map(({ model }) => model))
    const missing = modelsBy('judge')
    // Where other models have judged, one that is missing is waited for only so long.
    const others = missing.size > 0 && [...modelsBy(null)].some((model) => !missing.has(model))
    return {
      score,
      retryable: parts.some(({ hindrance }) => hindrance !== null),
      counted: modelsBy('budget').size === 0 && (others || modelsBy('sample').size > 0),
    }
  }

  private async rateOnce(
    check: Check,
    rubric: Rubric,
    sample: Sample,
    model: string,
    turn: number,
    trace: JudgingTrace,
    signal: AbortSignal,
  ): Promise<PlainRating> {
    const messages = rubric.prompt.includes('{conversation}') ? sample.messages : null
    const identity = [check.version, rubric.id, model, turn, messages, sample.question, sample.answer]
    const key = hash('sha256', JSON.stringify(identity), 'hex')
    const known = this.remembered.get(key)
    if (known !== undefined) {
      this.deps.metrics.judgeRequest(model, 'cached')
      return { score: known, hindrance: null }
    }
    // Identical exchanges that come together are asked about once.
    const asked = this.asking.get(key)
    if (asked !== undefined) {
      this.deps.metrics.judgeRequest(model, 'cached')
      return await asked
    }
    const asking = this.ask(model, rubric, sample, trace, signal).finally(() => this.asking.delete(key))
    this.asking.set(key, asking)
    const rating = await asking
    const { score } = rating
    if (score.kind === 'number' || score.kind === 'label') this.remembered.set(key, score)
    return rating
  }

  private async ask(
    model: string,
    rubric: Rubric,
    sample: Sample,
    trace: JudgingTrace,
    signal: AbortSignal,
  ): Promise<PlainRating> {
    const { gates, metrics, log, textLimit } = this.deps
    const prompt = buildPrompt(rubric, sample, this.nonce(), textLimit)
    const call = () => this.call(model, rubric, prompt, trace, signal)
    const asked = await gates.of(model).ask(sample.id, prompt, signal, call)
    if (asked.kind === 'held')
      return {
        score: { kind: 'error', message: HELD[asked.by] },
        hindrance: asked.by === 'breaker' ? 'judge' : 'budget',
      }
    if (asked.kind === 'answered') {
      const { answer } = asked
      metrics.judgeRequest(model, 'ok')
      metrics.judgeTokens(model, 'prompt', answer.promptTokens)
      metrics.judgeTokens(model, 'completion', answer.completionTokens)
      return { score: readAnswer(rubric, answer), hindrance: null }
    }
    const { error, judges } = asked
    if (!signal.aborted) {
      metrics.judgeRequest(model, 'error')
      this.warn(model, error.message)
      log.debug({ err: error, sample: sample.id, model }, 'the judge did not answer')
    }
    return {
      score: { kind: 'error', message: error.message.slice(0, LONGEST_MESSAGE) },
      hindrance: !error.retryable ? null : judges ? 'judge' : 'sample',
    }
  }

  private async call(
    model: string,
    rubric: Rubric,
    prompt: string,
    trace: JudgingTrace,
    signal: AbortSignal,
  ): Promise<JudgeAnswer> {
    const { judge } = this.deps
    const traced = trace.ask(rubric.id, model, judge.place?.(model) ?? null)
    try {
      const answer = await judge.ask(model, prompt, signal, traced.headers)
      traced.answered(answer)
      return answer
    } catch (thrown) {
      traced.failed(toBallastError(thrown))
      throw thrown
    }
  }

  private warn(model: string, reason: string): void {
    this.trouble.happened((failures) => ({ model, reason, failures }))
  }
}
