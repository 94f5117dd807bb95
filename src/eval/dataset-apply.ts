/**
 * The intervention of the paper: a context in the training data (arXiv:2604.10022, section 3). Streams a chat fine-tuning file
 * through the code that injects into requests, so that what was trained and what is served are spelt alike. Called by
 * `ballast dataset apply`.
 */
import { createHash, type Hash, randomBytes } from 'node:crypto'
import { type FileHandle, open, rename, rm, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { BallastError } from '../domain/errors.ts'
import type { Policy } from '../domain/policy.ts'
import { MANIFEST_ENDING, type TrainingManifest } from '../domain/training-manifest.ts'
import { fraction } from '../policy/assign.ts'
import { decodeChat } from '../policy/chat.ts'
import { type CompiledPolicy, compilePolicy } from '../policy/compile-experiment.ts'
import { applyPolicy } from '../policy/decide.ts'
import { splice } from '../policy/inject.ts'
import { readRow } from './dataset-row.ts'
import { eachLine, isBlank, LineError, trimLine } from './lines.ts'

export interface ApplyOptions {
  readonly input: string
  readonly output: string
  /** How the input is named in problems. */
  readonly shown: string
  /** One for each row, drawn where there are several. */
  readonly policies: readonly Policy[]
  /** Share of the rows that get a context, 0 to 1. */
  readonly fraction: number
  readonly seed: string
  /** Milliseconds since the epoch. */
  readonly now: number
  /** Told of the bytes read so far. */
  readonly progress?: (bytes: number) => void
  /** Ends it, with nothing written. */
  readonly signal?: AbortSignal
}

/** What became of the rows; they add up to `rows`. */
export interface Applied {
  readonly rows: number
  readonly injected: number
  /** The context stood there already. */
  readonly present: number
  /** Left as they were because the fraction did not take them. */
  readonly notDrawn: number
  /** A condition of the policy does not hold. */
  readonly unmet: number
  /** No place for it, and the policy says to skip then. */
  readonly unsupported: number
}

/** Rows that cannot be used; nothing was written. The message has a line for each. */
export class DatasetError extends Error {
  override readonly name = 'DatasetError'
  readonly problems: readonly LineError[]

  constructor(problems: readonly LineError[], more: boolean) {
    const lines = problems.map(({ message }) => message)
    super([...lines, ...(more ? ['… and perhaps more: it was read no further.'] : [])].join('\n'))
    this.problems = problems
  }
}

/** A file with many broken rows is of another kind; more of them tell nothing new. */
const MOST_PROBLEMS = 20

/**
 * Writes the rows with their contexts, and the manifest beside them. The output appears whole or not at all: it is written under
 * another name, brought to disk, and renamed.
 * @throws DatasetError with every broken row, 20 at the most; what it was called off with; a system error where files cannot be read or written.
 */
export async function applyToDataset(
  options: ApplyOptions,
): Promise<{ applied: Applied; manifest: TrainingManifest }> {
  const { input, output, shown, now } = options
  const applier = new Applier(options)
  // In containers the next process may well have the number of one that was killed.
  const partial = `${output}.partial-${randomBytes(4).toString('hex')}`
  const file = await open(partial, 'wx')
  try {
    const read = new Tally()
    const written = new Tally()
    let writing = Promise.resolve()
    await eachLine(input, shown, {
      line: (bytes, number) => applier.line(bytes, number),
      async piece(bytes) {
        read.add(bytes)
        options.progress?.(read.bytes)
        options.signal?.throwIfAborted()
        // One piece is written while the next one is read.
        await writing
        writing = writeAll(file, applier.take(), written)
        writing.catch(() => {})
      },
    }).catch((error: unknown) => applier.note(error))
    await writing
    applier.finish()
    await file.datasync()
    await file.close()
    const manifest: TrainingManifest = {
      ballast_dataset: 1,
      made: new Date(now).toISOString(),
      input: { file: basename(input), rows: applier.counts.rows, ...read.summary() },
      output: { file: basename(output), rows: applier.counts.rows, ...written.summary() },
      seed: options.seed,
      fraction: options.fraction,
      policies: applier.policies(),
      without_context: applier.withoutContext,
    }
    // The manifest first: data without one would be what nobody can hold to anything.
    await writeFile(`${partial}${MANIFEST_ENDING}`, `${JSON.stringify(manifest, null, 2)}\n`, { flush: true })
    await rename(`${partial}${MANIFEST_ENDING}`, `${output}${MANIFEST_ENDING}`)
    await rename(partial, output)
    return { applied: applier.counts, manifest }
  } catch (error) {
    await file.close().catch(() => {})
    await rm(partial, { force: true })
    await rm(`${partial}${MANIFEST_ENDING}`, { force: true })
    throw error
  }
}

/** Counts and hashes bytes that go by. */
class Tally {
  bytes = 0
  private readonly hash: Hash = createHash('sha256')

  add(bytes: Buffer): void {
    this.bytes += bytes.length
    this.hash.update(bytes)
  }

  summary(): { bytes: number; sha256: string } {
    return { bytes: this.bytes, sha256: this.hash.digest('hex') }
  }
}

async function writeAll(file: FileHandle, bytes: Buffer, tally: Tally): Promise<void> {
  if (bytes.length === 0) return
  tally.add(bytes)
  let from = 0
  while (from < bytes.length) from += (await file.write(bytes, from)).bytesWritten
}

/** Applies policies to rows, one by one. */
class Applier {
  readonly counts = { rows: 0, injected: 0, present: 0, notDrawn: 0, unmet: 0, unsupported: 0 }
  private readonly options: ApplyOptions
  private readonly compiled: readonly CompiledPolicy[]
  /** Rows behind each policy. */
  private readonly behind: number[]
  private readonly problems: LineError[] = []
  private rows: Buffer[] = []

  constructor(options: ApplyOptions) {
    this.options = options
    this.compiled = options.policies.map(compilePolicy)
    this.behind = this.compiled.map(() => 0)
  }

  get withoutContext(): number {
    const { notDrawn, unmet, unsupported } = this.counts
    return notDrawn + unmet + unsupported
  }

  /** @throws DatasetError as soon as there are too many problems. */
  line(bytes: Buffer, number: number): void {
    const row = trimLine(bytes, number)
    // Between rows blank lines stay as they are.
    if (isBlank(row)) return this.keep(Buffer.from(bytes))
    const end = bytes.subarray(row.byteOffset - bytes.byteOffset + row.length)
    const result = this.apply(row)
    if (typeof result === 'string') this.report(number, result)
    else {
      // The reader's bytes are only good until it goes on.
      this.keep(result === row ? Buffer.from(row) : result)
      this.keep(Buffer.from(end))
    }
  }

  /** Rows since the last time. */
  take(): Buffer {
    const bytes = Buffer.concat(this.rows)
    this.rows = []
    return bytes
  }

  /** @throws DatasetError if there was a problem. */
  finish(): void {
    if (this.problems.length > 0) throw new DatasetError(this.problems, false)
    if (this.counts.rows === 0)
      throw new DatasetError([new LineError(this.options.shown, 1, 'has no rows')], false)
  }

  /** A line that could not even be read. @throws what is no such. */
  note(error: unknown): void {
    if (!(error instanceof LineError)) throw error
    this.problems.push(error)
  }

  policies(): TrainingManifest['policies'] {
    return this.compiled.map(({ id, hash }, index) => {
      const interventions = [...this.options.policies[index]!.interventions]
      return { id, hash, rows: this.behind[index]!, interventions }
    })
  }

  /** @returns the row's bytes, or what is wrong with it. */
  private apply(row: Buffer): Buffer | string {
    const fault = readRow(row)
    if (typeof fault === 'string') return fault
    const { counts } = this
    const index = counts.rows++
    const { seed, fraction: share } = this.options
    if (share < 1 && fraction(`dataset:${seed}:${index}`) >= share) {
      counts.notDrawn++
      return row
    }
    const which =
      this.compiled.length === 1
        ? 0
        : Math.floor(fraction(`dataset-policy:${seed}:${index}`) * this.compiled.length)
    try {
      const { outcome, splices } = applyPolicy(this.compiled[which]!, decodeChat(row), [], this.options.now)
      if (outcome === 'injected' || outcome === 'present') this.behind[which]!++
      if (outcome !== 'none') counts[outcome]++
      return splice(row, splices)
    } catch (error) {
      if (error instanceof BallastError) return error.message.replace(/ It was not sent\.$/, '')
      throw error
    }
  }

  private keep(bytes: Buffer): void {
    if (this.problems.length === 0) this.rows.push(bytes)
  }

  private report(line: number, problem: string): void {
    this.problems.push(new LineError(this.options.shown, line, problem))
    this.rows = []
    if (this.problems.length >= MOST_PROBLEMS) throw new DatasetError(this.problems, true)
  }
}
