/**
 * Courses of experiments for the page: read from the store when somebody looks, a few pages of verdicts at a time, and
 * only as far as comparisons have counted. Nothing is kept but in memory. Used by `desk.ts`.
 */
import { setImmediate } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import type { Store } from '../domain/store.ts'
import type { CompiledExperiment } from '../policy/compile.ts'
import { Course } from '../stats/course.ts'
import { evidenceName, planEvidence } from '../stats/evidence.ts'
import type { EvidenceFollower } from './evidence.ts'
import { followedOf } from './following.ts'

/** Verdicts read at a time. */
const PAGE = 2_000
/** So long it reads on per look, in milliseconds; the rest is read at the next one. */
const SLICE_MS = 500
/** Experiments whose course is kept at hand. */
const MOST_KNOWN = 50

export interface CoursesDeps {
  readonly store: Pick<Store, 'decisiveVerdicts' | 'oldestUnjudged'>
  readonly follower: Pick<EvidenceFollower, 'update'>
}

export interface CourseSoFar {
  readonly course: Course
  /** Whether it was read as far as it goes by now. */
  readonly complete: boolean
  /** Whether chance leads to the arms, so that they can be compared. */
  readonly compared: boolean
}

export class Courses {
  private readonly deps: CoursesDeps
  private readonly known = new LRUCache<string, Course>({ max: MOST_KNOWN })
  private readonly reading = new Map<string, Promise<CourseSoFar | null>>()

  constructor(deps: CoursesDeps) {
    this.deps = deps
  }

  /** Null where nothing judges the answers. Rejects with whatever the store throws. */
  read(experiment: CompiledExperiment): Promise<CourseSoFar | null> {
    // One reader at a time: they would count verdicts twice.
    const reading = this.reading.get(experiment.name)
    if (reading !== undefined) return reading
    const run = this.readOn(experiment).finally(() => this.reading.delete(experiment.name))
    this.reading.set(experiment.name, run)
    return run
  }

  private async readOn(experiment: CompiledExperiment): Promise<CourseSoFar | null> {
    const { check, name, arms } = experiment
    if (check === null) return null
    const followed = followedOf(experiment)
    const evidence = followed === null ? null : await this.deps.follower.update(followed)
    const since = evidence?.since ?? 0
    const key = evidenceName(experiment, check)
    const known = this.known.get(key)
    const course = known?.since === since ? known : new Course(planEvidence(experiment), since)
    this.known.set(key, course)
    const until =
      evidence === null
        ? { requestedAt: (await this.deps.store.oldestUnjudged(name, check.id)) ?? Date.now(), sampleId: '' }
        : evidence.cursor
    const compared = followed !== null && arms.length > 1
    if (until === null) return { course, complete: true, compared }
    const query = {
      experiment: name,
      check: check.id,
      checkVersion: check.version,
      arms: arms.map((arm) => ({ arm: arm.name, policyHash: arm.policyHash })),
      since,
    }
    const ends = performance.now() + SLICE_MS
    for (;;) {
      const verdicts = await this.deps.store.decisiveVerdicts(query, course.cursor, until, PAGE)
      for (const verdict of verdicts) course.add(verdict)
      if (verdicts.length < PAGE) return { course, complete: true, compared }
      if (performance.now() > ends) return { course, complete: false, compared }
      // Judging and storing go on in between.
      await setImmediate()
    }
  }
}
