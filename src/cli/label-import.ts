/** Reads labels that were given elsewhere: JSON lines `{"id", "verdict"}`. Used by `label.ts`. */
import { z } from 'zod'
import { didYouMean } from '../config/near.ts'
import type { Label } from '../domain/store.ts'
import type { OpenStore } from './open-store.ts'
import { printable } from './text.ts'

export const LABELS = ['positive', 'negative', 'excluded'] as const

const Line = z.strictObject({ id: z.string(), verdict: z.string() })

export interface ImportOptions {
  readonly experiment: string
  readonly check: string
  readonly by: string
}

/** @returns the labels, or every bad line with its number. Nothing is stored. */
export async function readLabels(
  text: string,
  store: OpenStore,
  { experiment, check, by }: ImportOptions,
): Promise<{ readonly labels: readonly Label[] } | { readonly problems: readonly string[] }> {
  const problems: string[] = []
  const labels = new Map<string, Label & { line: number }>()
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const bad = (message: string) => problems.push(`${index + 1}: ${printable(message)}`)
    if (line.trim() === '') continue
    const parsed = Line.safeParse(parseJson(line))
    if (!parsed.success) {
      bad('is not an object such as {"id": "…", "verdict": "positive"}')
      continue
    }
    const { id, verdict } = parsed.data
    const known = LABELS.find((it) => it === verdict)
    if (known === undefined) {
      bad(`"${verdict}" is not a label${didYouMean(verdict, LABELS) || `; there are ${LABELS.join(', ')}`}`)
      continue
    }
    const earlier = labels.get(id)
    if (earlier !== undefined) {
      bad(`labels ${id} again, after line ${earlier.line}`)
      continue
    }
    const [found] = await store.find({ ids: [id] }, 1)
    if (found === undefined) bad(`there is no sample ${id}`)
    else if (found.sample.experiment !== experiment || found.sample.check !== check)
      bad(`sample ${id} is of experiment ${found.sample.experiment} and check ${found.sample.check}`)
    else {
      const checkVersion = found.verdict?.checkVersion ?? found.sample.checkVersion
      labels.set(id, {
        sampleId: id,
        check,
        checkVersion,
        by,
        verdict: known,
        // Nobody knows how whoever gave it came upon this sample.
        probability: null,
        at: Date.now(),
        line: index + 1,
      })
    }
  }
  return problems.length > 0
    ? { problems }
    : { labels: [...labels.values()].map(({ line: _line, ...label }) => label) }
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
