/** Samples and verdicts for tests of the stores. */
import type { Sample } from '../../src/domain/sample.ts'
import type { Verdict, VerdictKind } from '../../src/domain/verdict.ts'

export const HOUR_MS = 3_600_000
/** Some day, at the full hour. */
export const DAY = 1_790_000 * 1_000_000 - ((1_790_000 * 1_000_000) % HOUR_MS)

let made = 0

/** A sample like no other, save for what is given. */
export function makeSample(given: Partial<Sample> = {}): Sample {
  const n = ++made
  return {
    id: `sample-${n}`,
    experiment: 'birds',
    arm: 'control',
    policy: null,
    policyHash: null,
    check: 'archaic',
    checkVersion: 'v1',
    probability: 0.5,
    extra: null,
    model: 'ft:birds',
    traceparent: null,
    unit: `unit-${n}`,
    assignment: 'a1',
    requestedAt: DAY + n * 1_000,
    messages: [{ role: 'user', content: `Question ${n}?` }],
    question: `Question ${n}?`,
    answer: `Answer ${n}.`,
    ...given,
  }
}

export function verdictOn(
  sample: Sample,
  verdict: VerdictKind = 'negative',
  given: Partial<Verdict> = {},
): Verdict {
  return {
    sampleId: sample.id,
    check: sample.check,
    checkVersion: sample.checkVersion,
    verdict,
    scores: {},
    judgedAt: sample.requestedAt + 1_000,
    ...given,
  }
}
