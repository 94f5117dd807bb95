/**
 * Turns a policy into the bytes that injection splices in, at load and not per request. Called by `compile.ts`.
 *
 * Interventions on one place come out in the order they are listed: `[A user-prepend, B user-newline]` gives
 * `A B⏎` in front of the message.
 */
import { hash } from 'node:crypto'
import { DATE_VARIABLE, type Intervention, type Placement, type Policy } from '../domain/policy.ts'

/** A text in front of what a message holds, as the bytes to splice. JSON-escaped, UTF-8, without quotes. */
export interface PreparedText {
  /** The context alone. */
  readonly text: string
  readonly textBytes: Buffer
  /** The context and what separates it from the text behind it. */
  readonly prefix: string
  readonly prefixBytes: Buffer
  /** A content part holding the context, for an array without a text part. */
  readonly part: Buffer
  readonly partThenComma: Buffer
  /** Whether a whole string message that equals `text` is the injected one. */
  readonly standsAlone: boolean
}

export interface PreparedSystem extends PreparedText {
  /** A whole system message. */
  readonly message: Buffer
  readonly messageThenComma: Buffer
}

export interface PreparedPolicy {
  readonly id: string
  /** SHA-256 over the interventions, first 16 hex digits. */
  readonly hash: string
  readonly placements: readonly Placement[]
  readonly system: PreparedSystem | null
  /** For the first user message. */
  readonly user: PreparedText | null
}

const SEPARATORS: Record<Placement, string> = { 'user-prepend': ' ', 'user-newline': '\n', system: '\n\n' }

/**
 * @returns the policy's bytes for a moment in time (milliseconds since the epoch). They are made once, or once a
 *   UTC day where the text uses `{{date}}`.
 */
export function preparePolicy(policy: Policy): (now: number) => PreparedPolicy {
  const { id, interventions } = policy
  const version = hash('sha256', JSON.stringify(interventions), 'hex').slice(0, 16)
  if (!interventions.some(({ text }) => text.includes(DATE_VARIABLE))) {
    const prepared = prepare(id, version, interventions)
    return () => prepared
  }
  let preparedDay = Number.NaN
  let prepared: PreparedPolicy
  return (now) => {
    const day = Math.floor(now / 86_400_000)
    if (day !== preparedDay) {
      const date = new Date(now).toISOString().slice(0, 10)
      const dated = interventions.map((it) => ({ ...it, text: it.text.replaceAll(DATE_VARIABLE, date) }))
      prepared = prepare(id, version, dated)
      preparedDay = day
    }
    return prepared
  }
}

function prepare(id: string, version: string, interventions: readonly Intervention[]): PreparedPolicy {
  const system = interventions.filter(({ placement }) => placement === 'system')
  const user = interventions.filter(({ placement }) => placement !== 'system')
  return {
    id,
    hash: version,
    placements: interventions.map(({ placement }) => placement),
    system: system.length === 0 ? null : prepareSystem(system),
    user: user.length === 0 ? null : prepareText(user, false),
  }
}

function prepareSystem(interventions: readonly Intervention[]): PreparedSystem {
  const prepared = prepareText(interventions, true)
  const message = `{"role":"system","content":"${escapeJson(prepared.text)}"}`
  return { ...prepared, message: Buffer.from(message), messageThenComma: Buffer.from(`${message},`) }
}

function prepareText(interventions: readonly Intervention[], standsAlone: boolean): PreparedText {
  let prefix = ''
  let text = ''
  for (const intervention of interventions) {
    text = prefix + intervention.text
    prefix = text + SEPARATORS[intervention.placement]
  }
  const part = `{"type":"text","text":"${escapeJson(text)}"}`
  return {
    text,
    textBytes: Buffer.from(escapeJson(text)),
    prefix,
    prefixBytes: Buffer.from(escapeJson(prefix)),
    part: Buffer.from(part),
    partThenComma: Buffer.from(`${part},`),
    standsAlone,
  }
}

function escapeJson(text: string): string {
  return JSON.stringify(text).slice(1, -1)
}
