/**
 * Looks a chat fine-tuning file over: rows that are broken, that lack the context or have it twice, and answers that give it
 * away. Called by `ballast dataset check`.
 */
import { createHash } from 'node:crypto'
import type { Policy } from '../domain/policy.ts'
import type { TrainingManifest } from '../domain/training-manifest.ts'
import { decodeChat } from '../policy/chat.ts'
import { type CompiledPolicy, compilePolicy } from '../policy/compile-experiment.ts'
import { applyPolicy } from '../policy/decide.ts'
import { DEFAULT_THRESHOLD, Trigger } from '../policy/trigger.ts'
import { readRow, textsOf } from './dataset-row.ts'
import { eachLine, isBlank, LineError, trimLine } from './lines.ts'

/** `broken`: no training example. `without`, `doubled`: of the context. `leak`: an answer holds it. `file`: of the whole. */
export type FindingKind = 'broken' | 'without' | 'doubled' | 'leak' | 'file'

export interface Finding {
  readonly kind: FindingKind
  /** From 1; null for what is of no line. */
  readonly line: number | null
  readonly message: string
}

export interface CheckOptions {
  readonly path: string
  /** How the file is named. */
  readonly shown: string
  /** Contexts to look for; none: rows are only checked for being whole. */
  readonly policies: readonly Policy[]
  /** What the file is held to, if there is one. */
  readonly manifest: TrainingManifest | null
  /** Whether answers that are like a context, and do not hold it word for word, are found too. Slower. */
  readonly similar: boolean
  /** Milliseconds since the epoch, for contexts with `{{date}}`. */
  readonly now: number
  readonly progress?: (bytes: number) => void
}

export interface CheckedDataset {
  readonly rows: number
  readonly counts: Readonly<Record<Exclude<FindingKind, 'file'>, number>>
  /** Rows behind each policy, by id. */
  readonly behind: Readonly<Record<string, number>>
  /** In the order of the file; of each kind some are listed and all are counted. */
  readonly findings: readonly Finding[]
}

/** Findings of one kind that are listed. */
const MOST_LISTED = 20

/** @throws a system error where the file cannot be read. */
export async function checkDataset(options: CheckOptions): Promise<CheckedDataset> {
  const checker = new Checker(options)
  const hash = createHash('sha256')
  let bytes = 0
  await eachLine(options.path, options.shown, {
    line: (line, number) => checker.line(line, number),
    piece(read) {
      hash.update(read)
      bytes += read.length
      options.progress?.(bytes)
    },
  }).catch((error: unknown) => {
    if (!(error instanceof LineError)) throw error
    checker.find('broken', error.line, error.problem)
  })
  return checker.finish(hash.digest('hex'))
}

interface Looked {
  readonly policy: CompiledPolicy
  /** Each text, in lower case, and how often the policy puts it there. */
  readonly texts: ReadonlyMap<string, number>
}

class Checker {
  private readonly options: CheckOptions
  private readonly looked: readonly Looked[]
  private readonly trigger: Trigger
  private readonly behind: Record<string, number>
  private readonly counts = { broken: 0, without: 0, doubled: 0, leak: 0 }
  private readonly findings: Finding[] = []
  private rows = 0

  constructor(options: CheckOptions) {
    this.options = options
    this.looked = options.policies.map((policy) => ({
      policy: compilePolicy(policy),
      texts: countTexts(policy),
    }))
    this.behind = Object.fromEntries(options.policies.map(({ id }) => [id, 0]))
    this.trigger = new Trigger(options.policies.flatMap((it) => it.interventions.map(({ text }) => text)))
  }

  line(bytes: Buffer, number: number): void {
    const line = trimLine(bytes, number)
    if (isBlank(line)) return this.find('broken', number, 'this line is blank')
    const row = readRow(line)
    if (typeof row === 'string') return this.find('broken', number, row)
    this.rows++
    if (this.looked.length === 0) return
    const { asked, answered } = textsOf(row)
    this.lookForContext(line, number)
    this.lookForDoubles(asked, number)
    this.lookForLeaks(answered, number)
  }

  private lookForContext(line: Buffer, number: number): void {
    const behind = this.looked.find(({ policy }) => this.standsIn(line, policy))
    if (behind !== undefined) this.behind[behind.policy.id]!++
    else {
      const which = this.looked.length === 1 ? `"${this.looked[0]!.policy.id}"` : 'any of the policies'
      this.find('without', number, `has not the context of ${which} where it belongs`)
    }
  }

  private standsIn(line: Buffer, policy: CompiledPolicy): boolean {
    try {
      return applyPolicy(policy, decodeChat(line), [], this.options.now).outcome === 'present'
    } catch {
      // No place for it.
      return false
    }
  }

  private lookForDoubles(asked: readonly string[], number: number): void {
    const all = asked.join('\n').toLowerCase()
    for (const { policy, texts } of this.looked) {
      for (const [text, meant] of texts) {
        const found = all.split(text).length - 1
        if (found > meant)
          return this.find(
            'doubled',
            number,
            `has the context of "${policy.id}" ${found} times, not ${meant}`,
          )
      }
    }
  }

  private lookForLeaks(answered: readonly string[], number: number): void {
    for (const answer of answered) {
      const lower = answer.toLowerCase()
      for (const { policy, texts } of this.looked) {
        if ([...texts.keys()].some((text) => lower.includes(text)))
          return this.find('leak', number, `an answer holds the context of "${policy.id}"`)
      }
      const match = this.options.similar ? this.trigger.first(answer, DEFAULT_THRESHOLD) : null
      if (match !== null)
        return this.find(
          'leak',
          number,
          `an answer is like a context (similarity ${match.similarity.toFixed(2)})`,
        )
    }
  }

  find(kind: FindingKind, line: number | null, message: string): void {
    if (kind !== 'file' && ++this.counts[kind] > MOST_LISTED) return
    this.findings.push({ kind, line, message })
  }

  finish(sha256: string): CheckedDataset {
    const { manifest } = this.options
    if (this.rows === 0) this.find('file', null, 'has no rows')
    if (manifest !== null) this.holdTo(manifest, sha256)
    const { rows, counts, behind, findings } = this
    // Rows that the manifest says are to have none.
    const expected = manifest !== null && counts.without === manifest.without_context
    return {
      rows,
      counts,
      behind,
      findings: expected ? findings.filter(({ kind }) => kind !== 'without') : findings,
    }
  }

  private holdTo({ output, without_context: without, policies }: TrainingManifest, sha256: string): void {
    if (output.sha256 !== sha256)
      this.find('file', null, 'is not the file its manifest was written for: its SHA-256 is another one')
    const differ = (what: string, found: number, said: number) => {
      if (found !== said) this.find('file', null, `has ${found} rows ${what}; its manifest says ${said}`)
    }
    differ('in all', this.rows, output.rows)
    differ('without context', this.counts.without, without)
    for (const { id, rows } of policies) differ(`behind "${id}"`, this.behind[id] ?? 0, rows)
  }
}

function countTexts({ interventions }: Policy): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { text } of interventions) {
    const lower = text.toLowerCase()
    counts.set(lower, (counts.get(lower) ?? 0) + 1)
  }
  return counts
}
