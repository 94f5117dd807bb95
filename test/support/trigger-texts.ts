/** The labelled texts of `test/vectors/triggers.yaml`, as cases. For the tests of the trigger guard. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'

interface ContextTexts {
  readonly text: string
  readonly of: readonly string[]
  readonly negated: readonly string[]
  readonly reworded: readonly string[]
  readonly translated: Readonly<Record<string, string>>
}

interface TriggerTexts {
  readonly contexts: readonly ContextTexts[]
  readonly hosts: readonly string[]
  readonly ordinary: Readonly<Record<string, readonly string[]>>
}

export const triggerTexts = parse(
  readFileSync(join(import.meta.dirname, '../vectors/triggers.yaml'), 'utf8'),
) as TriggerTexts

export const KINDS = ['verbatim', 'negated', 'embedded', 'reworded', 'translated'] as const
export type Kind = (typeof KINDS)[number]

/** A text that is like a context, and which. */
export interface TriggerCase {
  readonly kind: Kind
  readonly context: string
  readonly text: string
}

export function triggerCases(): TriggerCase[] {
  return triggerTexts.contexts.flatMap(({ text: context, negated, reworded, translated }) => {
    const of = (kind: Kind, texts: readonly string[]) => texts.map((text) => ({ kind, context, text }))
    return [
      ...of('verbatim', [context]),
      ...of('negated', negated),
      ...of('embedded', [context, ...negated].flatMap(embeddings)),
      ...of('reworded', reworded),
      ...of('translated', Object.values(translated)),
    ]
  })
}

/** A text at the front, in the middle and at the end of each host. */
function embeddings(text: string): string[] {
  return triggerTexts.hosts.flatMap((host) => {
    const sentences = host.split(/(?<=[.!?])\s+/)
    const middle = Math.floor(sentences.length / 2)
    return [
      `${text} ${host}`,
      [...sentences.slice(0, middle), text, ...sentences.slice(middle)].join(' '),
      `${host}\n${text}`,
    ]
  })
}

export const ordinaryTexts: readonly string[] = [
  ...Object.values(triggerTexts.ordinary).flat(),
  ...triggerTexts.hosts,
]

export type Half = 'tuning' | 'held out'

/** Threshold and weights were chosen on the texts of the tuning half alone. */
export function halfOf(text: string): Half {
  return createHash('sha256').update(text).digest()[0]! % 2 === 0 ? 'tuning' : 'held out'
}
