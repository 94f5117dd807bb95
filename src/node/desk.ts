/**
 * What the control plane asks of the back office, beside reports: experiments with their course, samples, how judging
 * goes, and doing something to an arm. Run by `back-office.ts`, in its thread.
 */
import { LRUCache } from 'lru-cache'
import type { Policy } from '../domain/policy.ts'
import type { Redactor } from '../domain/ports.ts'
import type { Report } from '../domain/report.ts'
import type { Archive, ArmEvent, Queue, RequestOrder, SampleFilter, Store } from '../domain/store.ts'
import type {
  ArmCommand,
  ArmOutcome,
  SamplePage,
  SampleQuestion,
  ShownExperiment,
  ShownSample,
} from '../http/api/api.ts'
import type { CompiledExperiment, Plan } from '../policy/compile.ts'
import { baselineOf } from '../policy/rules.ts'
import { possibleActions, recordArmAction, refusal } from './arm-actions.ts'
import { applyArmEvents } from './arm-events.ts'
import { type CourseSoFar, Courses } from './courses.ts'
import type { EvidenceFollower } from './evidence.ts'
import type { Judging, JudgingState } from './judging.ts'
import type { OfficeConfig } from './office-messages.ts'
import { BRIEF, type Room, type ShowingDeps, showSample, WHOLE } from './shown-samples.ts'

export interface DeskDeps {
  readonly store: Store & Archive & Queue
  readonly follower: EvidenceFollower
  /** Null where judging is left to others. */
  readonly judging: Judging | null
  readonly redactor: Redactor
  /** In force. */
  readonly config: () => OfficeConfig
  readonly plan: () => Plan
  readonly reports: () => Promise<readonly Report[]>
}

/** What is asked for again within so long is answered the same, in milliseconds: however many look, it is made once. */
const ANSWER_AGE_MS = 500
const MOST_ANSWERS = 100
const MOST_HISTORY = 50

export class Desk {
  private readonly deps: DeskDeps
  private readonly courses: Courses
  private readonly lately = new LRUCache<string, Promise<unknown>>({ max: MOST_ANSWERS, ttl: ANSWER_AGE_MS })

  constructor(deps: DeskDeps) {
    this.deps = deps
    this.courses = new Courses(deps)
  }

  async judging(): Promise<JudgingState> {
    const { store, judging, config } = this.deps
    const { waiting: _, limit } = await store.fill()
    const { depth, oldestAt } = await store.status()
    return {
      where: config().judge === undefined ? 'nowhere' : judging === null ? 'elsewhere' : 'here',
      queue: { depth, oldestAt, limit: Number.isFinite(limit) ? limit : null },
      models: judging?.models() ?? [],
    }
  }

  experiment(name: string): Promise<ShownExperiment | null> {
    return this.once(`experiment ${name}`, () => this.readExperiment(name))
  }

  samples(question: SampleQuestion): Promise<SamplePage> {
    return this.once(`samples ${JSON.stringify(question)}`, () => this.findSamples(question))
  }

  async sample(id: string): Promise<ShownSample | null> {
    const [found] = await this.deps.store.find({ ids: [id] }, 1)
    return found === undefined ? null : await this.show(found, WHOLE)
  }

  /** Writes down what somebody does to an arm; who is in force is told by `arm-events.ts`. */
  async actOnArm({ experiment: name, arm, action, reason, who }: ArmCommand): Promise<ArmOutcome> {
    const experiment = this.found(name)
    if (experiment === undefined) return { outcome: 'unknown', message: `There is no experiment "${name}".` }
    if (!experiment.arms.some((it) => it.name === arm))
      return { outcome: 'unknown', message: `Experiment "${name}" has no arm "${arm}".` }
    const { store, plan } = this.deps
    // Another replica may have done something to it a moment ago.
    applyArmEvents(plan(), await store.armEvents())
    const refused = refusal(action, experiment, arm)
    if (refused !== null) return { outcome: 'refused', message: refused }
    if (!possibleActions(experiment, arm).includes(action)) {
      const { state } = experiment.switches.state(arm)
      return { outcome: 'refused', message: `Arm "${arm}" of "${name}" is ${state} already.` }
    }
    const event = await recordArmAction(store, {
      experiment: name,
      arm,
      action,
      reason: `${reason} (${who}, on the page)`,
    })
    applyArmEvents(plan(), await store.armEvents())
    this.lately.clear()
    return { outcome: 'done', event: shownEvent(event) }
  }

  private once<T>(key: string, make: () => Promise<T>): Promise<T> {
    const lately = this.lately.get(key) as Promise<T> | undefined
    if (lately !== undefined) return lately
    const made = make()
    this.lately.set(key, made)
    made.catch(() => this.lately.delete(key))
    return made
  }

  private async readExperiment(name: string): Promise<ShownExperiment | null> {
    const experiment = this.found(name)
    if (experiment === undefined) return null
    const { store } = this.deps
    const { policies } = this.deps.config()
    const [reports, course, history] = await Promise.all([
      this.deps.reports(),
      this.courses.read(experiment),
      store.armHistory(name),
    ])
    return {
      experiment: name,
      check: experiment.check?.id ?? null,
      report: reports.find((it) => it.experiment === name) ?? null,
      arms: experiment.arms.map((arm) => ({
        arm: arm.name,
        policy: arm.policyId,
        weight: arm.weight,
        sample: arm.sampleRate,
        interventions: interventionsOf(arm.policyId, policies),
        state: experiment.switches.state(arm.name),
        actions: possibleActions(experiment, arm.name),
      })),
      course: course === null ? null : courseAsShown(course, experiment),
      history: history
        .toReversed()
        .slice(0, MOST_HISTORY)
        .map(({ at, arm, action, by, reason }) => ({ at: iso(at), arm, action, by, reason })),
    }
  }

  private found(name: string): CompiledExperiment | undefined {
    return this.deps.plan().experiments.find((it) => it.name === name)
  }

  private async findSamples({ limit, after, ...which }: SampleQuestion): Promise<SamplePage> {
    const filter = Object.fromEntries(
      Object.entries(which).filter(([, value]) => value !== undefined),
    ) as SampleFilter
    const found = await this.deps.store.find(
      filter,
      limit + 1,
      after === undefined ? undefined : placeOf(after),
    )
    const page = found.slice(0, limit)
    const last = page.at(-1)?.sample
    return {
      samples: await Promise.all(page.map((it) => this.show(it, BRIEF))),
      next: found.length > limit && last !== undefined ? `${last.requestedAt}.${last.id}` : null,
    }
  }

  private show(found: Parameters<typeof showSample>[0], room: Room): Promise<ShownSample> {
    const { policies, samples } = this.deps.config()
    const showing: ShowingDeps = { policies, keep: samples.keep, redactor: this.deps.redactor }
    return showSample(found, showing, room)
  }
}

/** `1790000000000.ID`: the last sample of the page before. */
function placeOf(after: string): RequestOrder {
  const point = after.indexOf('.')
  return { requestedAt: Number(after.slice(0, point)), sampleId: after.slice(point + 1) }
}

function interventionsOf(policyId: string | null, policies: ReadonlyMap<string, Policy>) {
  const interventions = policyId === null ? [] : (policies.get(policyId)?.interventions ?? [])
  return interventions.map(({ placement, text }) => ({ placement, text }))
}

function courseAsShown(
  { course, complete, compared }: CourseSoFar,
  { arms }: CompiledExperiment,
): ShownExperiment['course'] {
  return {
    against: compared ? baselineOf(arms).name : null,
    complete,
    points: course.points().map(({ at, verdicts, arms, comparisons }) => ({
      at: iso(at),
      verdicts,
      arms,
      comparisons: compared
        ? comparisons.map(({ arm, estimate, lower, upper, logEBetter, logEWorse }) => ({
            arm,
            estimate,
            lower,
            upper,
            log_e_better: logEBetter,
            log_e_worse: logEWorse,
          }))
        : [],
    })),
  }
}

function shownEvent({ at, arm, action, by, reason }: ArmEvent) {
  return { at: iso(at), arm, action, by, reason }
}

function iso(time: number): string {
  return new Date(time).toISOString()
}
