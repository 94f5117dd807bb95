/** What a row of the stores' tables is in the words of the domain, and back. Used by `store-*.ts`. */
import { hash } from 'node:crypto'
import type { ChatMessage, Sample } from '../domain/sample.ts'
import type { ArmEvent, Label, LeasedSample } from '../domain/store.ts'
import type { Tables } from './store-tables.ts'

type Row<T extends keyof Tables> = Tables[T]

export function sampleRow(sample: Sample): Row<'samples'> {
  return {
    id: sample.id,
    experiment: sample.experiment,
    arm: sample.arm,
    policy: sample.policy,
    policy_hash: sample.policyHash,
    check_id: sample.check,
    check_version: sample.checkVersion,
    probability: sample.probability,
    model: sample.model,
    unit: sample.unit,
    question_hash: sample.questionHash ?? hash('sha256', sample.question, 'hex').slice(0, 32),
    assignment: sample.assignment,
    requested_at: sample.requestedAt,
    messages: JSON.stringify(sample.messages),
    question: sample.question,
    answer: sample.answer,
    erased: 0,
    done: 0,
    visible_at: 0,
    attempts: 0,
    takings: 0,
    extra: sample.extra ?? null,
    traceparent: sample.traceparent ?? null,
  }
}

export function toSample(row: Row<'samples'>): Sample {
  return {
    id: row.id,
    experiment: row.experiment,
    arm: row.arm,
    policy: row.policy,
    policyHash: row.policy_hash,
    check: row.check_id,
    checkVersion: row.check_version,
    probability: row.probability,
    model: row.model,
    unit: row.unit,
    assignment: row.assignment,
    requestedAt: Number(row.requested_at),
    messages: JSON.parse(row.messages) as ChatMessage[],
    question: row.question,
    answer: row.answer,
    extra: extraOf(row),
    traceparent: row.traceparent,
  }
}

/** Of a sample, what it is counted by: without its texts. */
export const COUNTED_COLUMNS = [
  'experiment',
  'check_id',
  'arm',
  'policy_hash',
  'requested_at',
  'probability',
  'extra',
] as const

export function countedSample(row: Pick<Row<'samples'>, (typeof COUNTED_COLUMNS)[number]>) {
  return {
    experiment: row.experiment,
    check: row.check_id,
    arm: row.arm,
    policyHash: row.policy_hash,
    requestedAt: Number(row.requested_at),
    probability: row.probability,
    extra: extraOf(row),
  }
}

export function toArmEvent({ seq: _seq, ...row }: Row<'arm_events'>): ArmEvent {
  return {
    ...row,
    action: row.action as ArmEvent['action'],
    by: row.by as ArmEvent['by'],
    at: Number(row.at),
  }
}

export function toLabel(row: Row<'labels'>): Label {
  return {
    sampleId: row.sample_id,
    check: row.check_id,
    checkVersion: row.check_version,
    by: row.labelled_by,
    verdict: row.verdict as Label['verdict'],
    probability: row.probability,
    at: Number(row.labelled_at),
  }
}

/** Taken samples, the oldest first. */
export function leasedSamples(rows: readonly Tables['samples'][]): LeasedSample[] {
  return rows
    .toSorted((a, b) => a.requested_at - b.requested_at)
    .map((row) => ({ attempts: row.attempts, taking: row.takings, sample: toSample(row) }))
}

function extraOf({ extra }: Pick<Row<'samples'>, 'extra'>): 'trigger' | null {
  return extra === 'trigger' ? extra : null
}
