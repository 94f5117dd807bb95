/**
 * What an evaluation was told, kept as it comes: a line for each answer and each judgement, appended at once. Whoever is killed
 * goes on from there. Called by `run.ts` and the commands.
 *
 * A line that was written outlives the process at once, and the machine after a second at the most: the file is brought to
 * disk (`fdatasync`) once a second while lines come, and at the end.
 */
import { closeSync, fdatasyncSync, mkdirSync, openSync, truncateSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { Score } from '../domain/verdict.ts'
import { eachLine, isBlank, LineError, trimLine } from './lines.ts'

/** An answer as it is kept. */
export interface KeptAnswer {
  readonly text: string
  /** What the answer said was injected on its way. */
  readonly policy: string | null
  readonly tokens: readonly [prompt: number, completion: number]
}

const PlainScore = z.union([
  z.object({ kind: z.literal('number'), value: z.number(), mass: z.number().optional() }),
  z.object({ kind: z.literal('label'), value: z.string() }),
  z.object({ kind: z.literal('unparsed'), text: z.string() }),
  z.object({ kind: z.literal('error'), message: z.string() }),
])
const Parts = z.object({ parts: z.array(z.object({ model: z.string(), score: PlainScore })).optional() })

const Entry = z.union([
  z.object({
    answer: z.string(),
    text: z.string(),
    policy: z.string().nullable(),
    tokens: z.tuple([z.number(), z.number()]),
  }),
  z.object({ judgement: z.string(), score: z.intersection(PlainScore, Parts) }),
])
type Entry = z.infer<typeof Entry>

export const JOURNAL_FILE = 'journal.jsonl'
const SYNC_MS = 1_000
const NEWLINE = 0x0a

export class Journal {
  private readonly answers = new Map<string, KeptAnswer>()
  private readonly scores = new Map<string, Score>()
  private readonly file: number
  private syncing: NodeJS.Timeout | null = null

  private constructor(file: number) {
    this.file = file
  }

  /**
   * Opens the journal of a folder, which is made if it is not there. A last line that was cut off by a kill is taken away.
   * @throws LineError where another line cannot be read.
   */
  static async open(folder: string): Promise<Journal> {
    mkdirSync(folder, { recursive: true })
    const path = join(folder, JOURNAL_FILE)
    const journal = new Journal(openSync(path, 'a'))
    let whole = 0
    let cut = false
    await eachLine(path, path, {
      line(bytes, number) {
        cut = bytes.at(-1) !== NEWLINE
        if (cut) return
        whole += bytes.length
        const line = trimLine(bytes, number)
        if (!isBlank(line)) journal.remember(readEntry(line, path, number))
      },
    })
    if (cut) truncateSync(path, whole)
    return journal
  }

  answer(key: string): KeptAnswer | undefined {
    return this.answers.get(key)
  }

  score(key: string): Score | undefined {
    return this.scores.get(key)
  }

  addAnswer(key: string, answer: KeptAnswer): void {
    const { text, policy, tokens } = answer
    this.append({ answer: key, text, policy, tokens: [...tokens] })
    this.answers.set(key, answer)
  }

  addScore(key: string, score: Score): void {
    this.append({ judgement: key, score: score as Extract<Entry, { judgement: string }>['score'] })
    this.scores.set(key, score)
  }

  close(): void {
    if (this.syncing !== null) clearTimeout(this.syncing)
    fdatasyncSync(this.file)
    closeSync(this.file)
  }

  private remember(entry: Entry): void {
    if ('answer' in entry)
      this.answers.set(entry.answer, { text: entry.text, policy: entry.policy, tokens: entry.tokens })
    else this.scores.set(entry.judgement, entry.score as Score)
  }

  private append(entry: Entry): void {
    const line = Buffer.from(`${JSON.stringify(entry)}\n`)
    // One write: a kill leaves a whole line or a last one that is cut.
    for (let from = 0; from < line.length; ) from += writeSync(this.file, line, from)
    this.syncing ??= setTimeout(() => {
      this.syncing = null
      fdatasyncSync(this.file)
    }, SYNC_MS)
  }
}

function readEntry(line: Buffer, path: string, number: number): Entry {
  try {
    return Entry.parse(JSON.parse(line.toString('utf8')))
  } catch {
    const problem = 'this is no entry of a journal; take the line away, and what it held is asked again'
    throw new LineError(path, number, problem)
  }
}
