/**
 * Turns a policy into the bytes that injection splices in, at load and not per request. Called by `compile.ts`.
 *
 * Interventions on one place come out in the order they are listed: `[A user-prepend, B user-newline]` gives
 * `A B⏎` in front of the message.
 */
import { hash } from 'node:crypto'
import {
  DATE_VARIABLE,
  effectText,
  type Intervention,
  type Placement,
  type Policy,
} from '../domain/policy.ts'

/** A content part holding a text, and the same with the comma it needs beside others. */
export interface PreparedPart {
  readonly alone: Buffer
  readonly thenComma: Buffer
  readonly commaThen: Buffer
}

/** The `type` of a part that holds text: in chat messages, and in the items of `/v1/responses`. */
export type PartType = 'text' | 'input_text'

/** A text to put beside what a message holds, as the bytes to splice: JSON-escaped, UTF-8, without quotes. */
export interface PreparedText {
  /** The context alone. */
  readonly text: string
  readonly textBytes: Buffer
  /** The context and what separates it from the text behind it. */
  readonly prefix: string
  readonly prefixBytes: Buffer
  /** The context behind a text, after an empty line. */
  readonly suffix: string
  readonly suffixBytes: Buffer
  /** For an array of parts without text. */
  readonly parts: Readonly<Record<PartType, PreparedPart>>
}

export interface PreparedSystem {
  /** In front of the leading system or developer message, and behind it. */
  readonly before: PreparedText | null
  readonly after: PreparedText | null
  /** Both, where there is no such message. */
  readonly alone: PreparedText
  /** The message to make then. */
  readonly message: Buffer
  readonly messageThenComma: Buffer
}

export interface PreparedPolicy {
  readonly id: string
  readonly placements: readonly Placement[]
  readonly system: PreparedSystem | null
  readonly user: {
    readonly first: PreparedText | null
    readonly last: PreparedText | null
    /** Where the first user message is the last one too. */
    readonly both: PreparedText | null
  }
  /** In front of a prompt of `/v1/completions`, which has no roles. */
  readonly prompt: PreparedText
}

const EMPTY_LINE = '\n\n'

const SEPARATORS: Record<Placement, string> = {
  'user-prepend': ' ',
  'user-newline': '\n',
  'last-user-prepend': ' ',
  system: EMPTY_LINE,
  'system-append': EMPTY_LINE,
  developer: EMPTY_LINE,
}

/**
 * SHA-256 over what a policy does, first 16 hex digits: answers under different texts, or under the same ones for other
 * requests, are not comparable.
 */
export function policyHash(policy: Policy): string {
  return hash('sha256', effectText(policy), 'hex').slice(0, 16)
}

/**
 * @returns the policy's bytes for a moment in time (milliseconds since the epoch). They are made once, or once a
 *   UTC day where the text uses `{{date}}`.
 */
export function preparePolicy(policy: Policy): (now: number) => PreparedPolicy {
  const { id, interventions } = policy
  if (!interventions.some(({ text }) => text.includes(DATE_VARIABLE))) {
    const prepared = prepare(id, interventions)
    return () => prepared
  }
  let preparedDay = Number.NaN
  let prepared: PreparedPolicy
  return (now) => {
    const day = Math.floor(now / 86_400_000)
    if (day !== preparedDay) {
      const date = new Date(now).toISOString().slice(0, 10)
      const dated = interventions.map((it) => ({ ...it, text: it.text.replaceAll(DATE_VARIABLE, date) }))
      prepared = prepare(id, dated)
      preparedDay = day
    }
    return prepared
  }
}

function prepare(id: string, interventions: readonly Intervention[]): PreparedPolicy {
  const at = (...placements: Placement[]) =>
    interventions.filter(({ placement }) => placements.includes(placement))
  const first = at('user-prepend', 'user-newline')
  const last = at('last-user-prepend')
  return {
    id,
    placements: interventions.map(({ placement }) => placement),
    system: prepareSystem(at('system', 'developer'), at('system-append')),
    user: { first: prepareText(first), last: prepareText(last), both: prepareText([...first, ...last]) },
    prompt: prepareText(interventions)!,
  }
}

function prepareSystem(before: Intervention[], after: Intervention[]): PreparedSystem | null {
  const alone = prepareText([...before, ...after])
  if (alone === null) return null
  const role = before[0]?.placement === 'developer' ? 'developer' : 'system'
  const message = `{"role":"${role}","content":"${escapeJson(alone.text)}"}`
  return {
    before: prepareText(before),
    after: prepareText(after),
    alone,
    message: Buffer.from(message),
    messageThenComma: Buffer.from(`${message},`),
  }
}

function prepareText(interventions: readonly Intervention[]): PreparedText | null {
  if (interventions.length === 0) return null
  let prefix = ''
  let text = ''
  for (const intervention of interventions) {
    text = prefix + intervention.text
    prefix = text + SEPARATORS[intervention.placement]
  }
  const suffix = EMPTY_LINE + text
  return {
    text,
    textBytes: Buffer.from(escapeJson(text)),
    prefix,
    prefixBytes: Buffer.from(escapeJson(prefix)),
    suffix,
    suffixBytes: Buffer.from(escapeJson(suffix)),
    parts: { text: preparePart('text', text), input_text: preparePart('input_text', text) },
  }
}

function preparePart(type: PartType, text: string): PreparedPart {
  const part = `{"type":"${type}","text":"${escapeJson(text)}"}`
  return { alone: Buffer.from(part), thenComma: Buffer.from(`${part},`), commaThen: Buffer.from(`,${part}`) }
}

function escapeJson(text: string): string {
  return JSON.stringify(text).slice(1, -1)
}
