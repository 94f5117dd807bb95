/**
 * Follows experiments: reads each verdict once, in the order of the requests, and keeps what follows from them as a note
 * in the store. Every process that has the store does so, about once a second and when a report is asked for; whoever
 * writes first has done it for all, the others throw their work away and read what it wrote. Composed by `back-office.ts`.
 */
import { LRUCache } from 'lru-cache'
import type { Check } from '../domain/check.ts'
import type { Log } from '../domain/ports.ts'
import type { ArmEvent, DecisiveQuery, Note, RequestOrder, Store } from '../domain/store.ts'
import type { CompiledExperiment } from '../policy/compile.ts'
import { Evidence, evidenceName, planEvidence, STRETCH_MS } from '../stats/evidence.ts'

/** Verdicts read at a time; what follows from them is written before the next ones are read. */
const PAGE = 2_000
/** Races that may be lost in a row; the winner's state is as good. */
const ATTEMPTS = 10
/** Experiments whose state is kept at hand; that of others is read anew. */
const MOST_KNOWN = 1_000

/** An experiment whose arms are compared by a check. */
export interface Followed {
  readonly experiment: Pick<CompiledExperiment, 'name' | 'arms' | 'rules'>
  readonly check: Pick<Check, 'id' | 'version'>
}

export interface FollowerDeps {
  readonly store: Pick<Store, 'decisiveVerdicts' | 'oldestUnjudged' | 'readNote' | 'writeNote' | 'armHistory'>
  /** How long after its request a verdict is waited for, in milliseconds. */
  readonly wait: () => number
  readonly log: Log
  readonly now?: () => number
  /** Verdicts read at a time. */
  readonly page?: number
}

interface Known {
  readonly evidence: Evidence
  /** Of the note; 0 where there is none. */
  readonly revision: number
  /** Up to where verdicts were looked for, which is beyond the last one found; null before that. */
  readonly searched: RequestOrder | null
}

export class EvidenceFollower {
  private readonly deps: FollowerDeps
  private readonly now: () => number
  private readonly known = new LRUCache<string, Known>({ max: MOST_KNOWN })
  private readonly running = new Map<string, Promise<unknown>>()
  private readonly waiting = new Map<string, Promise<Evidence>>()

  constructor(deps: FollowerDeps) {
    this.deps = deps
    this.now = deps.now ?? Date.now
  }

  /**
   * Reads on as far as decisions may go by now. Rejects with whatever the store throws.
   * @returns the evidence; it grows with the next update.
   */
  update(followed: Followed): Promise<Evidence> {
    const name = evidenceName(followed.experiment, followed.check)
    const waiting = this.waiting.get(name) ?? this.afterRunning(name, followed)
    this.waiting.set(name, waiting)
    return waiting
  }

  /** One run after the other: what is asked for while one is under way is what there is after it. */
  private async afterRunning(name: string, followed: Followed): Promise<Evidence> {
    await this.running.get(name)
    this.waiting.delete(name)
    const run = this.readOn(name, followed)
    const over = run.then(
      () => {},
      () => {},
    )
    this.running.set(name, over)
    void over.then(() => this.running.get(name) === over && this.running.delete(name))
    return await run
  }

  private async readOn(name: string, followed: Followed): Promise<Evidence> {
    for (let attempt = 1; ; attempt++) {
      const opened = await this.open(name, followed)
      if (attempt > ATTEMPTS) return opened.evidence
      // What goes wrong from here on leaves nothing half read behind.
      this.known.delete(name)
      const done = await this.advance(name, followed, opened)
      if (done === null) continue
      this.known.set(name, done)
      return done.evidence
    }
  }

  private async open(name: string, { experiment }: Followed): Promise<Known> {
    const { store } = this.deps
    const note = await store.readNote(name)
    const since = beginning(await store.armHistory(experiment.name))
    const revision = note?.revision ?? 0
    const known = this.known.get(name)
    if (known?.revision === revision && known.evidence.since >= since) return known
    const stored = this.restore(experiment, note)
    const evidence =
      stored !== null && stored.since >= since ? stored : new Evidence(planEvidence(experiment), since)
    return { evidence, revision, searched: null }
  }

  private restore(experiment: Followed['experiment'], note: Note | null): Evidence | null {
    if (note === null) return null
    try {
      return Evidence.restore(planEvidence(experiment), JSON.parse(note.text))
    } catch (error) {
      const fields = { err: error, experiment: experiment.name }
      this.deps.log.warn(fields, 'stored evidence cannot be read: the verdicts are counted again')
      return null
    }
  }

  /** @returns null when another process was faster. */
  private async advance(name: string, followed: Followed, opened: Known): Promise<Known | null> {
    const { store, page = PAGE } = this.deps
    const { evidence, searched } = opened
    let { revision } = opened
    const query = queryOf(followed, evidence.since)
    const watermark = await this.watermark(followed)
    const until = after(watermark)
    const write = async () => {
      const written = await store.writeNote(name, JSON.stringify(evidence.serialise()), revision)
      revision++
      return written
    }
    // Another process, whose clock is ahead, may have read further than this one would.
    let from = later(searched, evidence.cursor)
    while (from === null || from.requestedAt < until.requestedAt) {
      const verdicts = await store.decisiveVerdicts(query, from, until, page)
      for (const verdict of verdicts) evidence.add(verdict, watermark)
      if (verdicts.length > 0 && !(await write())) return null
      from = verdicts.length < page ? until : evidence.cursor
    }
    const lookedAgain = await this.lookAgain(evidence, query, watermark)
    if (lookedAgain && !(await write())) return null
    return { evidence, revision, searched: from }
  }

  /** Counts late verdicts. @returns whether that changed anything. */
  private async lookAgain(evidence: Evidence, query: DecisiveQuery, watermark: number): Promise<boolean> {
    let changed = false
    for (;;) {
      const start = evidence.unsettled(watermark)
      if (start === null) return changed
      evidence.settle(await this.countBetween(query, after(start - 1), after(start + STRETCH_MS - 1)))
      changed = true
    }
  }

  private async countBetween(query: DecisiveQuery, from: RequestOrder, until: RequestOrder): Promise<number> {
    const { store, page = PAGE } = this.deps
    let count = 0
    for (let place: RequestOrder = from; ; ) {
      const verdicts = await store.decisiveVerdicts(query, place, until, page)
      count += verdicts.length
      if (verdicts.length < page) return count
      place = verdicts.at(-1)!
    }
  }

  /** Requests up to here have their verdicts, or never get them, or are late. */
  private async watermark({ experiment, check }: Followed): Promise<number> {
    const waited = this.now() - this.deps.wait()
    const unjudged = await this.deps.store.oldestUnjudged(experiment.name, check.id)
    return Math.min(waited, (unjudged ?? Number.POSITIVE_INFINITY) - 1)
  }
}

/** The place behind every request of a moment and before those of the next. */
function after(moment: number): RequestOrder {
  return { requestedAt: Math.floor(moment) + 1, sampleId: '' }
}

/** The one that is further on, by their times; where these are the same, the second. */
function later(one: RequestOrder | null, other: RequestOrder | null): RequestOrder | null {
  if (one === null || other === null) return one ?? other
  return one.requestedAt > other.requestedAt ? one : other
}

/** A person who switches an arm on again has seen the evidence: it begins anew. Milliseconds since the epoch. */
function beginning(history: readonly ArmEvent[]): number {
  return history.reduce(
    (latest, { action, by, at }) => (action === 'on' && by === 'person' ? Math.max(latest, at) : latest),
    0,
  )
}

function queryOf({ experiment, check }: Followed, since: number): DecisiveQuery {
  return {
    experiment: experiment.name,
    check: check.id,
    checkVersion: check.version,
    arms: experiment.arms.map(({ name, policyHash }) => ({ arm: name, policyHash })),
    since,
  }
}
