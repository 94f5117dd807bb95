/**
 * Samples as the control plane shows them: what was injected is marked, and texts are there only as `samples.keep` says by
 * now, whatever it said when they were stored. Used by `desk.ts`.
 */
import type { Policy } from '../domain/policy.ts'
import type { Redactor } from '../domain/ports.ts'
import type { Keep, Sample } from '../domain/sample.ts'
import type { StoredSample } from '../domain/store.ts'
import { type PlainScore, type Scores, withoutTexts } from '../domain/verdict.ts'
import type { ShownSample } from '../http/api/api.ts'
import { redactSample } from '../pipeline/redact.ts'
import { type MarkedMessage, markInjected, unmarkedMessages } from '../policy/mark.ts'
import { policyHash } from '../policy/prepare.ts'

export interface ShowingDeps {
  /** The policies in force. */
  readonly policies: ReadonlyMap<string, Policy>
  readonly keep: Keep
  readonly redactor: Redactor
}

/** How much of a sample is shown among others. */
export interface Room {
  /** Characters of a message and of the answer. */
  readonly text: number
  readonly messages: number
}

export const BRIEF: Room = { text: 1_500, messages: 12 }
export const WHOLE: Room = { text: Number.POSITIVE_INFINITY, messages: Number.POSITIVE_INFINITY }

export async function showSample(found: StoredSample, deps: ShowingDeps, room: Room): Promise<ShownSample> {
  const { erased, verdict, labels } = found
  const kept = !erased && deps.keep !== 'verdicts'
  // What was stored before `keep: redacted` is redacted as it is shown.
  const sample =
    kept && deps.keep === 'redacted' ? await redactSample(found.sample, deps.redactor) : found.sample
  const { messages, note } = injectionOf(sample, kept, deps.policies)
  return {
    id: sample.id,
    requested_at: iso(sample.requestedAt),
    experiment: sample.experiment,
    arm: sample.arm,
    policy: sample.policy,
    check: sample.check,
    check_version: verdict?.checkVersion ?? sample.checkVersion,
    model: sample.model,
    probability: sample.probability,
    extra: sample.extra ?? null,
    verdict: verdict?.verdict ?? 'waiting',
    judged_at: verdict === null ? null : iso(verdict.judgedAt),
    scores: await scoresOf(verdict?.scores ?? {}, kept, deps),
    labels: labels.map(({ by, verdict }) => ({ by, verdict })),
    injection: note,
    texts: kept
      ? {
          messages: messages.slice(-room.messages).map((message) => cutMessage(message, room.text)),
          messages_left_out: Math.max(0, messages.length - room.messages),
          answer: sample.answer.slice(0, room.text),
          answer_cut: Math.max(0, sample.answer.length - room.text),
        }
      : null,
    without_texts: kept ? null : erased ? 'erased' : 'keep',
  }
}

function injectionOf(
  { policy, policyHash: hash, messages, requestedAt }: Sample,
  kept: boolean,
  policies: ReadonlyMap<string, Policy>,
): { readonly messages: readonly MarkedMessage[]; readonly note: string } {
  const unmarked = () => (kept ? unmarkedMessages(messages) : [])
  if (policy === null) return { messages: unmarked(), note: 'Nothing was injected.' }
  const present = policies.get(policy)
  if (present === undefined || policyHash(present) !== hash) {
    const note = `${policy} was injected as it was worded then; it is ${present === undefined ? 'gone' : 'worded otherwise'} now, so it cannot be shown where.`
    return { messages: unmarked(), note }
  }
  if (!kept) return { messages: [], note: `${policy} was injected.` }
  const { outcome, messages: marked } = markInjected(messages, present, requestedAt)
  const notes = {
    marked:
      present.when === undefined
        ? `${policy} was injected where it is marked.`
        : `${policy} was injected where it is marked, if the request met its conditions.`,
    standing: `${policy} stood in the client's messages already, so nothing was put in.`,
    'no-place': `The messages have no place for ${policy}: they were sent without it.`,
  }
  return { messages: marked, note: notes[outcome] }
}

/** Cuts from the end; what was injected counts, too. */
function cutMessage({ role, pieces }: MarkedMessage, room: number) {
  let left = room
  let cut = 0
  const shown = pieces.flatMap(({ text, injected }) => {
    const part = text.slice(0, left)
    left -= part.length
    cut += text.length - part.length
    return part === '' ? [] : [{ text: part, injected }]
  })
  return { role, pieces: shown, cut }
}

async function scoresOf(scores: Scores, kept: boolean, { keep, redactor }: ShowingDeps) {
  const told = kept ? scores : withoutTexts(scores)
  const value = async (score: PlainScore) => {
    const text = score.kind === 'unparsed' ? score.text : score.kind === 'error' ? score.message : score.value
    return typeof text === 'string' && keep === 'redacted' ? (await redactor.redact([text]))[0]! : text
  }
  return await Promise.all(
    Object.entries(told).map(async ([rubric, { parts = [], ...score }]) => ({
      rubric,
      kind: score.kind,
      value: await value(score),
      by: await Promise.all(
        parts.map(async (part) => ({
          model: part.model,
          kind: part.score.kind,
          value: await value(part.score),
        })),
      ),
    })),
  )
}

function iso(time: number): string {
  return new Date(time).toISOString()
}
