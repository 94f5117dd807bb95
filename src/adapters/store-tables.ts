/** The tables that every SQL store has, whatever its engine. Their migrations are the engine's (`store-*-schema.ts`). */

export interface Tables {
  samples: {
    id: string
    experiment: string
    arm: string
    policy: string | null
    policy_hash: string | null
    check_id: string
    check_version: string
    probability: number
    model: string
    unit: string
    question_hash: string
    /** What the unit was assigned by. */
    assignment: string
    /** Milliseconds since the epoch, like all times here. */
    requested_at: number
    messages: string
    question: string
    answer: string
    /** 1 once its texts are gone. */
    erased: number
    /** 1 once it has its verdict. */
    done: number
    /** Not to be taken before: a lease, or the wait before another try. */
    visible_at: number
    attempts: number
    /** Counts every taking, given back or not. */
    takings: number
    /** Why it was kept although it was not drawn; null where it was. */
    extra: string | null
    /** The operation that gave the answer; null where it was not traced. */
    traceparent: string | null
  }
  verdicts: {
    sample_id: string
    check_id: string
    check_version: string
    verdict: string
    scores: string
    judged_at: number
  }
  /** Counts of samples and verdicts, kept up with them. Empty text stands for no policy. */
  tallies: {
    experiment: string
    check_id: string
    check_version: string
    arm: string
    policy_hash: string
    hour: number
    kind: string
    extra: number
    n: number
    w: number
    w2: number
  }
  /** `score`: `n:` and a number, `l:` and a label, or empty. */
  score_tallies: {
    experiment: string
    check_id: string
    check_version: string
    arm: string
    policy_hash: string
    rubric: string
    score: string
    n: number
  }
  labels: {
    sample_id: string
    check_id: string
    check_version: string
    labelled_by: string
    verdict: string
    probability: number | null
    labelled_at: number
  }
  notes: { name: string; revision: number; text: string }
  arm_events: {
    id: string
    /** In the order they were stored. */
    seq: number
    experiment: string
    arm: string
    action: string
    by: string
    reason: string
    evidence: string | null
    at: number
  }
  counters: { name: string; n: number; until: number }
  exposures: {
    experiment: string
    arm: string
    assignment: string
    exposures: number
    anonymous_units: number
  }
  units: { experiment: string; arm: string; assignment: string; unit: string }
  /** What belongs to the store as a whole. */
  settings: { name: string; value: string }
}
