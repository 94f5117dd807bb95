/**
 * Runs an evaluation: asks what the journal does not hold yet, has the answers judged, and keeps both as they come. Called
 * by `ballast eval` and `ballast probe`.
 */
import PQueue from 'p-queue'
import pRetry from 'p-retry'
import type { Rubric } from '../domain/check.ts'
import { type JudgeModel, noLog, noMetrics } from '../domain/ports.ts'
import { TargetError, type TargetModel } from '../domain/target.ts'
import { noJudgingTrace } from '../domain/tracing.ts'
import type { Score } from '../domain/verdict.ts'
import { Gates } from '../judge/gates.ts'
import { Rater } from '../judge/rater.ts'
import { judgementKey, rowOf, rubricKey, sampleOf } from './cell-record.ts'
import type { Journal, KeptAnswer } from './journal.ts'
import type { Cell, EvalPlan } from './plan.ts'
import type { ResultRow } from './result-rows.ts'

export interface Limits {
  readonly concurrency: number
  /** Null: as fast as it goes. */
  readonly requestsPerMinute: number | null
}

export interface RunOptions {
  readonly plan: EvalPlan
  readonly journal: Journal
  readonly target: TargetModel
  readonly judge: JudgeModel
  readonly limits: { readonly target: Limits; readonly judge: Limits }
  /** Further tries of a judgement. */
  readonly judgeRetries: number
  /** How much of question and answer a judge sees, in UTF-16 units. */
  readonly textLimit: number
  /** Whether each question is a unit of its own for a ballast on the way. */
  readonly units: boolean
  /** Begins nothing more once it is aborted; what was begun may end. */
  readonly ending: AbortSignal
  /** Told of each cell that has its answer and all its scores. */
  readonly finished: (row: ResultRow) => void
}

export interface RunOutcome {
  /** Questions and judgements that got no answer, by what was said; asked again by another run. */
  readonly failures: ReadonlyMap<string, number>
  /** Why it went no further; null where everything was tried. */
  readonly stopped: string | null
}

/** So many failures with nothing in between: then the other side is down, and to go on would only make more. */
const MOST_IN_A_ROW = 10
/** A question that was refused so often, as by a filter, is not asked again in this run. */
const MOST_REFUSALS = 3
/** Calls that wait in a queue; more wait in the plan. */
const QUEUED = 200
const FIRST_RETRY_MS = 1_000
const LAST_RETRY_MS = 30_000

export class Run {
  private readonly options: RunOptions
  private readonly asking: PQueue
  private readonly judging: PQueue
  private readonly rater: Rater
  private readonly aborting = new AbortController()
  private readonly failures = new Map<string, number>()
  private readonly inARow = { target: 0, judge: 0 }
  /** How often each question was refused for what it says. */
  private readonly refusals = new Map<Cell['prompt'], number>()
  private stopped: string | null = null
  /** Questions and judgements that came in, and all there are to come. */
  readonly done = { answers: 0, judgements: 0 }
  readonly total = { answers: 0, judgements: 0 }

  constructor(options: RunOptions) {
    this.options = options
    const { limits, journal, plan } = options
    this.asking = queueOf(limits.target)
    this.judging = queueOf(limits.judge)
    const { judge, textLimit } = options
    const deps = { metrics: noMetrics, log: noLog, repeat: 1 }
    // Without budgets: the limits of the run are in its queues.
    const gates = new Gates({ ...deps, models: [], count: async () => 0 })
    this.rater = new Rater({ ...deps, judge, textLimit, gates })
    for (const cell of plan.cells) {
      if (journal.answer(cell.key) === undefined) this.total.answers++
      this.total.judgements += cell.prompt.rubrics.filter(
        (rubric) => journal.score(judgementKey(cell, rubric)) === undefined,
      ).length
    }
  }

  async run(): Promise<RunOutcome> {
    const { plan, journal, ending } = this.options
    for (const cell of plan.cells) {
      if (this.isOver) break
      const known = journal.answer(cell.key)
      if (known !== undefined) await this.judgeAll(cell, known)
      else {
        await this.asking.onSizeLessThan(QUEUED)
        void this.asking.add(() => this.ask(cell))
      }
    }
    await this.asking.onIdle()
    await this.judging.onIdle()
    const interrupted = this.stopped === null && ending.aborted ? 'it was interrupted' : null
    return { failures: this.failures, stopped: this.stopped ?? interrupted }
  }

  private get isOver(): boolean {
    return this.stopped !== null || this.options.ending.aborted
  }

  /** Never rejects. */
  private async ask(cell: Cell): Promise<void> {
    if (this.isOver || (this.refusals.get(cell.prompt) ?? 0) >= MOST_REFUSALS) return
    const { target, journal, units } = this.options
    try {
      const answer = await target.ask(cell.body, units ? cell.key : null, this.aborting.signal)
      const { text, policy, promptTokens, completionTokens } = answer
      const kept: KeptAnswer = { text, policy, tokens: [promptTokens, completionTokens] }
      journal.addAnswer(cell.key, kept)
      this.inARow.target = 0
      this.done.answers++
      // Not waited for: the next question need not wait for the judges of this one.
      void this.judgeAll(cell, kept)
    } catch (error) {
      if (!(error instanceof TargetError)) return this.stop(`the journal: ${messageOf(error)}`)
      if (error.kind === 'refused') this.refuse(cell, error.message)
      else if (error.kind !== 'stopped') this.fail('target', error.message, error.kind === 'denied')
    }
  }

  /** Judges what was not judged yet. */
  private async judgeAll(cell: Cell, answer: KeptAnswer): Promise<void> {
    const { journal } = this.options
    // What is empty has nothing to be judged by.
    const open =
      answer.text.trim() === ''
        ? []
        : cell.prompt.rubrics.filter((rubric) => journal.score(judgementKey(cell, rubric)) === undefined)
    const judged = open.map((rubric) => this.judging.add(() => this.judge(cell, answer, rubric)))
    const finished = Promise.all(judged).then(() => this.finish(cell, answer))
    await this.judging.onSizeLessThan(QUEUED)
    if (open.length === 0) await finished
  }

  private finish(cell: Cell, answer: KeptAnswer): void {
    const row = rowOf(this.options.journal, cell, answer)
    const complete =
      answer.text.trim() === '' || cell.prompt.rubrics.every(({ id }) => row.scores[id] !== undefined)
    if (complete) this.options.finished(row)
  }

  /** Never rejects. */
  private async judge(cell: Cell, answer: KeptAnswer, rubric: Rubric): Promise<void> {
    if (this.isOver) return
    try {
      const score = await this.rate(cell, answer, rubric)
      if (this.aborting.signal.aborted) return
      this.options.journal.addScore(judgementKey(cell, rubric), score)
      this.inARow.judge = 0
      this.done.judgements++
    } catch (error) {
      if (this.aborting.signal.aborted) return
      if (error instanceof JudgeFailed) this.fail('judge', error.message, false)
      else this.stop(`the journal: ${messageOf(error)}`)
    }
  }

  /** @throws JudgeFailed where it may answer another time. */
  private rate(cell: Cell, answer: KeptAnswer, rubric: Rubric): Promise<Score> {
    const { signal } = this.aborting
    const sample = sampleOf(cell, answer.text)
    const version = rubricKey(rubric)
    const check = { id: rubric.id, version, description: '', rubrics: [rubric], examples: [], rule: NO_RULE }
    const rateOnce = async () => {
      const { score, retryable } = await this.rater.rate(check, rubric, sample, noJudgingTrace, signal)
      if (!retryable) return score
      throw new JudgeFailed(score.kind === 'error' ? score.message : 'the judge did not answer')
    }
    return pRetry(rateOnce, {
      retries: this.options.judgeRetries,
      minTimeout: FIRST_RETRY_MS,
      maxTimeout: LAST_RETRY_MS,
      randomize: true,
      signal,
    })
  }

  /** One question that is refused again and again must not end the others: in a row it counts once. */
  private refuse({ prompt }: Cell, message: string): void {
    const times = (this.refusals.get(prompt) ?? 0) + 1
    this.refusals.set(prompt, times)
    if (times === 1) this.fail('target', message, false)
    else this.failures.set(message, (this.failures.get(message) ?? 0) + 1)
  }

  private fail(side: 'target' | 'judge', message: string, final: boolean): void {
    this.failures.set(message, (this.failures.get(message) ?? 0) + 1)
    if (final) this.stop(message)
    else if (++this.inARow[side] >= MOST_IN_A_ROW) this.stop(`${MOST_IN_A_ROW} times in a row: ${message}`)
  }

  private stop(reason: string): void {
    this.stopped ??= reason
    this.aborting.abort()
  }
}

class JudgeFailed extends Error {
  override readonly name = 'JudgeFailed'
}

const NO_RULE = { excluded_if_any: [], positive_if_all: [] }

/** Evenly spaced: a whole minute's requests at its beginning would be more at a time than most limits allow. */
function queueOf({ concurrency, requestsPerMinute }: Limits): PQueue {
  if (requestsPerMinute === null) return new PQueue({ concurrency })
  return new PQueue({ concurrency, interval: Math.ceil(60_000 / requestsPerMinute), intervalCap: 1 })
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
