/**
 * The judge over the configurations that follow each other: replaced when its settings change. Composed by
 * `back-office.ts`, by `judge-process.ts` and by the Worker's office.
 */
import { isDeepStrictEqual } from 'node:util'
import { createOpenAIJudge } from '../adapters/judge-openai.ts'
import type { JudgeFetch } from '../adapters/judge-openai-options.ts'
import type { Config } from '../config/parse.ts'
import type { JudgeModel, Log, Metrics } from '../domain/ports.ts'
import type { Queue, QueueStatus, Store } from '../domain/store.ts'
import type { Tracing } from '../domain/tracing.ts'
import { placeOf } from '../domain/upstream-place.ts'
import type { Budget, Standing, Trouble } from '../judge/gate.ts'
import { JudgeWorker } from '../judge/worker.ts'

/** Of a configuration, what judging goes by. */
export type JudgingConfig = Pick<Config, 'judge' | 'upstreams' | 'checks' | 'samples'>

export interface JudgingDeps {
  readonly store: Store &
    Queue & {
      /** Takes no more than this many waiting samples from now on. */
      limitQueue(limit: number): void
    }
  /** Whether it judges when it is told to (`drain`), and not all the time. Default false. */
  readonly woken?: boolean
  /** How judges are asked; default the runtime's own. */
  readonly fetch?: JudgeFetch
  readonly metrics: Metrics
  readonly tracing: Tracing
  readonly log: Log
}

/** How judging goes, as one process sees it. */
export interface JudgingState {
  /** `elsewhere`: it is left to other processes. `nowhere`: no judge is configured. */
  readonly where: 'here' | 'elsewhere' | 'nowhere'
  /** `limit` null: as many may wait as there are. */
  readonly queue: QueueStatus & { readonly limit: number | null }
  readonly models: readonly JudgeModelState[]
}

export interface JudgeModelState {
  readonly model: string
  readonly upstream: string
  readonly standing: Standing
  readonly trouble: Trouble | null
}

type Settings = ReturnType<typeof settingsOf>

export class Judging {
  private readonly deps: JudgingDeps
  private config: JudgingConfig | null = null
  private usedSince = 0
  private settings: Settings = null
  private worker: JudgeWorker | null = null
  /** Replaced, with the samples they had begun. */
  private readonly finishing = new Map<JudgeWorker, Promise<void>>()

  constructor(deps: JudgingDeps) {
    this.deps = deps
  }

  /** Judges by this configuration from now on; samples that are being judged end as they began. */
  use(config: JudgingConfig): void {
    const settings = settingsOf(config)
    const same = isDeepStrictEqual(settings, this.settings)
    const worker = same ? this.worker : settings === null ? null : this.createWorker(settings)
    // From here on nothing throws.
    this.config = config
    this.usedSince = Date.now()
    this.deps.store.limitQueue(queueLimit(config))
    if (same) return
    if (this.worker !== null) this.retire(this.worker)
    this.settings = settings
    this.worker = worker
    if (this.deps.woken !== true) this.worker?.start()
  }

  /** Judges what may be judged now (`JudgeWorker.drain`). @returns how many samples were taken. */
  async drain(ms: number, most: number): Promise<number> {
    return (await this.worker?.drain(ms, most)) ?? 0
  }

  /** Shows in the metrics how its judge models stand. Rejects with whatever the store throws. */
  async show(): Promise<void> {
    await this.worker?.show()
  }

  /** How its judge models stand; none where nothing is judged. */
  models(): JudgeModelState[] {
    const judge = this.config?.judge
    if (judge === undefined) return []
    return (this.worker?.standings() ?? []).map((it) => ({
      ...it,
      upstream: judge.upstreams[it.model] ?? judge.upstream,
    }))
  }

  /** Ends the calls under way and gives their samples back. */
  async stop(): Promise<void> {
    await Promise.all([this.worker, ...this.finishing.keys()].map((worker) => worker?.stop()))
  }

  private retire(worker: JudgeWorker): void {
    const finished = worker.finish().finally(() => this.finishing.delete(worker))
    this.finishing.set(worker, finished)
  }

  private createWorker({ judge, upstreams }: NonNullable<Settings>): JudgeWorker {
    const { store, fetch, metrics, tracing, log } = this.deps
    return new JudgeWorker({
      queue: store,
      store,
      judge: createJudge(judge, upstreams, fetch),
      checks: () => this.config!.checks,
      checksSince: () => this.usedSince,
      eraseTexts: () => this.config!.samples.keep === 'verdicts',
      metrics,
      tracing,
      log,
      models: judge.models,
      repeat: judge.repeat,
      textLimit: judge.answer_limit,
      concurrency: judge.concurrency,
      timeout: judge.timeout,
      attempts: judge.attempts,
      budget: budgetOf(judge),
    })
  }
}

/** Samples that may wait: without a judge they wait for one. */
export function queueLimit({ judge }: Pick<Config, 'judge'>): number {
  return judge?.queue ?? Number.POSITIVE_INFINITY
}

/** What a worker is made of; null where nothing is judged. */
function settingsOf({ judge, upstreams }: JudgingConfig) {
  if (judge === undefined) return null
  const { queue: _queue, ...rest } = judge
  const names = new Set([judge.upstream, ...Object.values(judge.upstreams)])
  const places = [...names].map((name) => {
    const { base_url: baseUrl, api_key: apiKey = null, headers } = upstreams[name]!
    return [name, { baseUrl, apiKey, headers: headers.set }] as const
  })
  return { judge: rest, upstreams: Object.fromEntries(places) }
}

/** What each model may cost: what is said of it, else what is said of all. */
function budgetOf(judge: NonNullable<Settings>['judge']): (model: string) => Budget {
  return (model) => {
    const own = judge.budgets[model]
    return {
      requestsPerMinute: own?.requests_per_minute ?? judge.requests_per_minute ?? null,
      tokensPerDay: own?.tokens_per_day ?? judge.tokens_per_day ?? null,
      replyTokens: judge.max_tokens,
    }
  }
}

/** Asks each model where the configuration says it is. */
function createJudge(
  {
    upstream,
    upstreams: elsewhere,
    timeout,
    max_tokens: maxTokens,
    logprobs,
  }: NonNullable<Settings>['judge'],
  upstreams: NonNullable<Settings>['upstreams'],
  fetch: JudgeFetch | undefined,
): JudgeModel {
  const places = new Map(Object.entries(elsewhere))
  const judges = new Map(
    Object.entries(upstreams).map(([name, place]) => [
      name,
      createOpenAIJudge({
        ...place,
        timeout,
        maxTokens,
        logprobs: logprobs === 'auto',
        ...(fetch === undefined ? {} : { fetch }),
      }),
    ]),
  )
  const upstreamOf = (model: string) => places.get(model) ?? upstream
  const servers = new Map(
    Object.entries(upstreams).map(([name, { baseUrl }]) => [name, placeOf(name, baseUrl)]),
  )
  return {
    ask: (model, ...question) => judges.get(upstreamOf(model))!.ask(model, ...question),
    place: (model) => servers.get(upstreamOf(model))!,
  }
}
