/**
 * The ports of what is kept: the queue of samples, verdicts and what is counted of them, and samples as people see them.
 * Adapters implement them (`adapters/store-*.ts`); the other ports are in `ports.ts`.
 */
import type { Sample } from './sample.ts'
import type { Verdict, VerdictKind } from './verdict.ts'

/** A sample that a worker has taken. */
export interface LeasedSample {
  readonly sample: Sample
  /** How often it was taken and not released, this time included. */
  readonly attempts: number
  /** Tells this taking from every other: who comes with an earlier one does nothing. */
  readonly taking: number
}

export interface QueueStatus {
  /** Samples not judged yet, those being judged included. */
  readonly depth: number
  /** When the oldest of them came in, milliseconds since the epoch; null when there is none. */
  readonly oldestAt: number | null
}

export interface QueueFill {
  /** Samples waiting for a verdict. */
  readonly waiting: number
  /** How many may; beyond, `offer` refuses. */
  readonly limit: number
}

/** Durable and bounded. Every method may reject with whatever the technology throws. */
export interface Queue {
  /** @returns false when the queue is full and the sample was not taken. */
  offer(sample: Sample): Promise<boolean>
  /**
   * Takes up to `max` samples, those first that may be taken longest; one that is not finished after `leaseMs`, nor
   * extended, may be taken again.
   * @param checks only samples of these; left out: of any.
   */
  take(max: number, leaseMs: number, checks?: readonly string[]): Promise<LeasedSample[]>
  /** Keeps taken samples for `leaseMs` from now. @returns those of them that nobody else has taken meanwhile. */
  extend(leased: readonly LeasedSample[], leaseMs: number): Promise<LeasedSample[]>
  /** Gives a taken sample back, to be taken again after `delayMs`. */
  retry(leased: LeasedSample, delayMs: number): Promise<void>
  /** Gives taken samples back as if they had not been taken: nothing of their own hindered them. `delayMs`: default 0. */
  release(leased: readonly LeasedSample[], delayMs?: number): Promise<void>
  status(): Promise<QueueStatus>
  /** How full it is, as this process knows: counted once a second at most and kept up in between, so it costs nothing. */
  fill(): Promise<QueueFill>
}

/** Exposures of an arm since the last flush. */
export interface ExposureBatch {
  readonly experiment: string
  readonly arm: string
  /** Hash of salt, arms, weights and the arms that were off: what units are counted under. */
  readonly assignment: string
  readonly exposures: number
  /** Keyed hashes of units that were seen; the store keeps each once. */
  readonly units: readonly string[]
  /** Requests that had no unit and so were their own. */
  readonly anonymousUnits: number
}

export interface ArmTally {
  readonly experiment: string
  readonly arm: string
  readonly assignment: string
  readonly exposures: number
  readonly units: number
}

/** Which wording of a check and of an arm's policy something is counted under. */
export interface Wording {
  readonly checkVersion: string
  readonly policyHash: string | null
}

/** How many samples of an arm and wording there are, or how many of them have a verdict; by the hour of the requests. */
export interface Tally extends Wording {
  readonly arm: string
  /** Start of the hour the requests came in, milliseconds since the epoch. */
  readonly hour: number
  readonly kind: 'sample' | VerdictKind
  /** Kept although not drawn (`Sample.extra`): part of no rate, bound or comparison. */
  readonly extra: boolean
  readonly count: number
  /** Σ 1/π and Σ 1/π² over them, π the probability each was sampled with. */
  readonly weights: number
  readonly squaredWeights: number
}

/** How often a rubric gave a score, to drawn samples of an arm and wording. */
export interface ScoreTally extends Wording {
  readonly arm: string
  readonly rubric: string
  /** A number rounded to a tenth, a label, or null: the judge gave neither. */
  readonly score: number | string | null
  readonly count: number
}

/** A place in the order of requests: by time, then by id. */
export interface RequestOrder {
  /** Milliseconds since the epoch. */
  readonly requestedAt: number
  readonly sampleId: string
}

/** What decisions may count: positive or negative, drawn, and the first of its unit and question. */
export interface DecisiveVerdict extends RequestOrder {
  readonly arm: string
  readonly positive: boolean
  /** The sample's: between two of them the arms' shares changed. */
  readonly assignment: string
}

/** The arms as they are now: verdicts on other wordings are left out. */
export interface DecisiveQuery {
  readonly experiment: string
  readonly check: string
  readonly checkVersion: string
  readonly arms: readonly { readonly arm: string; readonly policyHash: string | null }[]
  /** Only requests after this moment, as if there had been none before; milliseconds since the epoch. */
  readonly since?: number
}

/** A text kept under a name; `revision` grows by one with each writing. */
export interface Note {
  readonly revision: number
  readonly text: string
}

/** Something done to an arm, by ballast itself or by a person. Never changed; the latest one of an arm is in force. */
export interface ArmEvent {
  readonly id: string
  readonly experiment: string
  readonly arm: string
  /** `off`: nothing is injected for its units. `promoted`: all units are treated as its own. `on`: neither any more. */
  readonly action: 'off' | 'on' | 'promoted'
  /** `rollback` and `promote`: ballast, by the rule of that name. `person`: somebody. */
  readonly by: 'rollback' | 'promote' | 'person'
  /** In a sentence. */
  readonly reason: string
  /** The state of the evidence, as JSON; null where a person acted. */
  readonly evidence: string | null
  readonly at: number
}

export interface Store {
  /** A random key, made once and kept with the data: what units are hashed with where the configuration has no key. */
  unitKey(): Promise<string>
  addExposures(batches: readonly ExposureBatch[]): Promise<void>
  exposures(experiment: string): Promise<ArmTally[]>
  /**
   * Stores the verdict, counts it, and takes the sample off the queue.
   * @param eraseText whether the sample's texts go now that they are judged, and texts of the judge with them.
   * @returns false when the sample had one already; then nothing was counted.
   */
  addVerdict(verdict: Verdict, eraseText?: boolean): Promise<boolean>
  tallies(experiment: string, check: string): Promise<Tally[]>
  scoreTallies(experiment: string, check: string): Promise<ScoreTally[]>
  /** Verdicts after one place in the order of requests and not after another, in that order. */
  decisiveVerdicts(
    query: DecisiveQuery,
    after: RequestOrder | null,
    until: RequestOrder | null,
    limit: number,
  ): Promise<DecisiveVerdict[]>
  /** When the oldest drawn sample without a verdict came in; null when all have theirs. */
  oldestUnjudged(experiment: string, check: string): Promise<number | null>
  readNote(name: string): Promise<Note | null>
  /** @param revision of the note this follows on, 0 for a new one. @returns false, and does nothing, if it is another by now. */
  writeNote(name: string, text: string, revision: number): Promise<boolean>
  addArmEvent(event: ArmEvent): Promise<void>
  /** The latest event of each arm that has one. */
  armEvents(): Promise<ArmEvent[]>
  /** All of an experiment, oldest first. */
  armHistory(experiment: string): Promise<ArmEvent[]>
  /**
   * Adds to a number that all processes share, such as tokens used today.
   * @param until when it may be forgotten, milliseconds since the epoch.
   * @returns the number after it.
   */
  count(name: string, amount: number, until: number): Promise<number>
  close(): Promise<void>
}

/** A person's verdict on a sample. */
export interface Label {
  readonly sampleId: string
  readonly check: string
  readonly checkVersion: string
  /** Who gave it. */
  readonly by: string
  readonly verdict: 'positive' | 'negative' | 'excluded'
  /**
   * With what probability a judged sample of its stratum was chosen to be labelled (`judge/label-draw.ts`), above 0 to 1.
   * Null: nobody drew it, so that it stands for no others.
   */
  readonly probability: number | null
  readonly at: number
}

/** A sample with what became of it. */
export interface StoredSample {
  readonly sample: Sample
  /** Whether its texts were erased; they are empty then. */
  readonly erased: boolean
  readonly attempts: number
  /** Null while it waits. */
  readonly verdict: Verdict | null
  readonly labels: readonly Label[]
}

/** Which samples; what is not given does not matter. */
export interface SampleFilter {
  readonly ids?: readonly string[]
  readonly experiment?: string
  readonly arm?: string
  readonly check?: string
  /** `waiting`: without one. */
  readonly verdict?: VerdictKind | 'waiting'
  /** By when the request came in: from `since` on, and before `before`. */
  readonly since?: number
  readonly before?: number
  readonly erased?: boolean
  readonly labelled?: boolean
}

/** How often a question was judged in an arm. */
export interface QuestionTally {
  /** Untrusted text. */
  readonly question: string
  readonly arm: string
  readonly positives: number
  readonly total: number
}

/** For `ballast samples`, `label`, `calibrate`, the page, and what keeps texts no longer than they may be kept. */
export interface Archive {
  /** Newest first. @param after the last one of the page before. */
  find(filter: SampleFilter, limit: number, after?: RequestOrder): Promise<StoredSample[]>
  /** How many there are. */
  howMany(filter: SampleFilter): Promise<number>
  /**
   * Erases the texts of samples that have a verdict; with `waiting`, those of others too, which then have the verdict
   * `error`. What the judge wrote goes with them. Ids, hashes and verdicts stay, and what was counted stays counted.
   * @param most how many at a time.
   * @returns how many samples were erased.
   */
  erase(filter: SampleFilter, waiting?: boolean, most?: number): Promise<number>
  /**
   * Takes verdicts `error` back, and what was counted of them, so that the samples are judged anew. Only of samples that
   * have their texts: other verdicts are the judge's word.
   * @returns how many samples wait again.
   */
  rejudge(filter: SampleFilter): Promise<number>
  /** A later label of the same person and check takes the place of an earlier one. */
  addLabel(label: Label): Promise<void>
  removeLabel(label: Pick<Label, 'sampleId' | 'check' | 'by'>): Promise<void>
  /**
   * The questions that were judged most often, of those whose text is kept, by arm; looked for among the latest samples.
   * @param most how many questions. @param least how often one was judged, in all arms.
   */
  questionTallies(query: DecisiveQuery, most: number, least: number): Promise<QuestionTally[]>
}
