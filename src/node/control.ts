/** Answers what the control plane's `/api` asks: from the configuration in force, and from the back office. Composed by `node.ts`. */
import type { Config } from '../config/load.ts'
import { shownConfig } from '../config/shown.ts'
import type { Log } from '../domain/ports.ts'
import type { Api, ArmCommand, SampleQuestion, ShownConfig, ShownStatus } from '../http/api/api.ts'
import type { ArmEvents } from './arm-events.ts'
import type { JudgeModelState, JudgingState } from './judging.ts'
import type { Office } from './office.ts'
import type { ReloadHistory } from './reload-history.ts'
import type { DataSide } from './serving.ts'

/** For the back office to answer. */
const ANSWER_MS = 5_000
/** A state that does not come soon is one to tell of. */
const STATE_MS = 2_000

export interface ControlDeps {
  readonly office: Pick<Office, 'reports' | 'atDesk'>
  readonly armEvents: Pick<ArmEvents, 'poll'>
  readonly reloads: ReloadHistory
  /** In force. */
  readonly config: () => Config
  readonly data: Pick<DataSide, 'plan' | 'gather' | 'upstreamStates'>
  readonly draining: () => boolean
  readonly log: Log
}

export class Control implements Api {
  private readonly deps: ControlDeps

  constructor(deps: ControlDeps) {
    this.deps = deps
  }

  async status(): Promise<ShownStatus> {
    const { data, reloads, draining } = this.deps
    const config = this.deps.config()
    const [judging] = await Promise.all([this.judging(), data.gather()])
    return {
      at: iso(Date.now()),
      started_at: iso(reloads.startedAt),
      draining: draining(),
      config: { hash: config.hash, since: iso(reloads.since), failed_at: isoOrNull(reloads.failedAt) },
      judging: judging === null ? null : shownJudging(judging),
      trouble: judging === null ? 'The back office or the store does not answer; the log says why.' : null,
      upstreams: data.upstreamStates().map(({ retryInMs, ...rest }) => ({ ...rest, retry_in_ms: retryInMs })),
      experiments: data.plan.experiments.map(({ name }) => name),
    }
  }

  config(): ShownConfig {
    const { reloads } = this.deps
    const config = this.deps.config()
    return {
      hash: config.hash,
      since: iso(reloads.since),
      changes: reloads.reloads.map(({ at, changes, ...rest }) => ({
        ...rest,
        at: iso(at),
        changes: changes as ShownConfig['changes'][number]['changes'],
      })),
      values: shownConfig(config),
    }
  }

  reports() {
    return this.deps.office.reports(ANSWER_MS)
  }

  experiment(name: string) {
    return this.deps.office.atDesk('experiment', name, ANSWER_MS)
  }

  samples(question: SampleQuestion) {
    return this.deps.office.atDesk('samples', question, ANSWER_MS)
  }

  sample(id: string) {
    return this.deps.office.atDesk('sample', id, ANSWER_MS)
  }

  async actOnArm(command: ArmCommand) {
    const outcome = await this.deps.office.atDesk('actOnArm', command, ANSWER_MS)
    if (outcome.outcome === 'done') await this.deps.armEvents.poll()
    return outcome
  }

  private async judging(): Promise<JudgingState | null> {
    try {
      return await this.deps.office.atDesk('judging', undefined, STATE_MS)
    } catch (error) {
      this.deps.log.error({ err: error }, 'the page was not told how judging goes')
      return null
    }
  }
}

const STATES = {
  free: 'asked',
  probe: 'probed',
  'left-alone': 'left-alone',
  'no-budget': 'no-budget',
} as const satisfies Record<JudgeModelState['standing'], string>

function shownJudging({ where, queue, models }: JudgingState): NonNullable<ShownStatus['judging']> {
  return {
    where,
    down: models.some(({ trouble }) => trouble !== null),
    queue: { depth: queue.depth, oldest_at: isoOrNull(queue.oldestAt), limit: queue.limit },
    models: models.map(({ model, upstream, standing, trouble }) => ({
      model,
      upstream,
      state: STATES[standing],
      failing_since: isoOrNull(trouble?.since ?? null),
      reason: trouble?.reason ?? null,
    })),
  }
}

function iso(time: number): string {
  return new Date(time).toISOString()
}

function isoOrNull(time: number | null): string | null {
  return time === null ? null : iso(time)
}
