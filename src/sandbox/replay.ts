/**
 * Replay: serves recorded answers and their recorded labels, so that a whole ballast can be held against known
 * counts. A conversation gets an answer only if it is exactly what a client sent, or what injection makes of that.
 * Called by `server.ts`.
 */
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { DATE_VARIABLE, type Policy } from '../domain/policy.ts'
import { type ChatMessage, questionOf } from '../domain/sample.ts'
import { decodeChat } from '../policy/chat.ts'
import { splice } from '../policy/inject.ts'
import { type PreparedPolicy, preparePolicy } from '../policy/prepare.ts'
import { readJudgePrompt, Unanswerable } from './judge.ts'

export const REPLAY_MODEL = 'sandbox-replay'
export const REPLAY_JUDGE = 'sandbox-replay-judge'

/** A file of recordings: JSON lines `{question, sample?, answer, labels?}`. */
export interface ReplaySource {
  readonly file: string
  /** Under which policy the file's questions arrive; null for the bare questions. */
  readonly policy: Policy | null
}

/** Recordings that cannot be used; the message lists every problem. */
export class ReplayError extends Error {
  override readonly name = 'ReplayError'
  /** Each `file:line: message`. */
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(`The recordings cannot be replayed:\n${problems.join('\n')}`)
    this.problems = problems
  }
}

const Recording = z.strictObject({
  question: z.string('is missing or not text'),
  sample: z.union([z.number(), z.string()], 'is neither a number nor text').optional(),
  answer: z
    .string('is missing or not text, so there is nothing to replay')
    .refine((answer) => answer.trim() !== '', 'is empty, so there is nothing to replay'),
  labels: z
    .record(z.string(), z.union([z.string(), z.number()], 'is neither text nor a number'), 'is not an object')
    .optional(),
})
type Recording = z.infer<typeof Recording>

interface RecordedFile extends ReplaySource {
  readonly recordings: readonly Recording[]
  readonly prepared: ((now: number) => PreparedPolicy) | null
}

/**
 * Reads recordings whole.
 * @param now milliseconds since the epoch; for policies that use `{{date}}`.
 * @throws ReplayError with every problem of every file.
 */
export async function loadReplay(
  sources: readonly ReplaySource[],
  now: () => number = Date.now,
): Promise<Replay> {
  const problems: string[] = []
  const files: RecordedFile[] = []
  for (const { file, policy } of sources) {
    const recordings = await readRecordings(file, problems)
    files.push({ file, policy, recordings, prepared: policy === null ? null : preparePolicy(policy) })
  }
  if (problems.length > 0) throw new ReplayError(problems)
  return new Replay(files, now)
}

async function readRecordings(file: string, problems: string[]): Promise<Recording[]> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    problems.push(`${file}:1: cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`)
    return []
  }
  const recordings: Recording[] = []
  const before = problems.length
  const lines = text.replace(/^\uFEFF/, '').split('\n')
  for (const [index, line] of lines.entries()) {
    if (line.trim() === '') continue
    const report = (message: string) => problems.push(`${file}:${index + 1}: ${message}`)
    const value = parseJson(line)
    const parsed = Recording.safeParse(value)
    if (parsed.success) recordings.push(parsed.data)
    else if (value === undefined) report('is not JSON')
    else for (const issue of parsed.error.issues) report(describe(issue))
  }
  if (recordings.length === 0 && problems.length === before) problems.push(`${file}:1: holds no recordings`)
  return recordings
}

/** @returns undefined for what is not JSON. */
function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

function describe({ path, message }: z.core.$ZodIssue): string {
  return path.length === 0 ? message : `${path.join('.')}: ${message}`
}

/** Recorded answers and labels, looked up. Made by `loadReplay`. */
export class Replay {
  /** Every label that occurs, in the order of the files. */
  readonly labels: readonly string[]
  private readonly files: readonly RecordedFile[]
  private readonly now: () => number
  private readonly byAnswer: ReadonlyMap<string, readonly Recording[]>
  /** How often each conversation was answered. */
  private readonly cursors = new Map<string, number>()
  private conversations: ReadonlyMap<string, readonly Recording[]> = new Map()
  /** The UTC day that `conversations` is for. */
  private day = Number.NaN

  constructor(files: readonly RecordedFile[], now: () => number) {
    this.files = files
    this.now = now
    const recordings = files.flatMap((file) => file.recordings)
    this.labels = [...new Set(recordings.flatMap(({ labels }) => Object.keys(labels ?? {})))]
    this.byAnswer = Map.groupBy(recordings, ({ answer }) => answer)
    this.index()
  }

  /**
   * The next recorded answer to a conversation; after the last comes the first again.
   * @throws Unanswerable `sandbox_no_recording`.
   */
  answer(messages: readonly ChatMessage[]): string {
    this.index()
    const key = conversationKey(messages)
    const recordings = this.conversations.get(key)
    if (recordings === undefined) throw this.noRecording(messages)
    const turn = this.cursors.get(key) ?? 0
    this.cursors.set(key, turn + 1)
    return recordings[turn % recordings.length]!.answer
  }

  /**
   * The recorded label of the answer in a judge's prompt. Where the same answer is recorded more than once, the line
   * with the prompt's question counts, and the first of several.
   * @param label null for the only one there is.
   * @throws Unanswerable `sandbox_unknown_label`, `sandbox_cannot_judge` or `sandbox_no_recording`.
   */
  judge(label: string | null, prompt: string): string {
    const wanted = label ?? (this.labels.length === 1 ? this.labels[0]! : '')
    if (!this.labels.includes(wanted)) throw this.unknownLabel(label)
    const { question, answer } = readJudgePrompt(prompt)
    if (answer === null) {
      throw new Unanswerable(
        'sandbox_cannot_judge',
        `${REPLAY_JUDGE} finds no answer in this prompt: it looks for the fence that ballast puts round {answer}.`,
        'messages',
      )
    }
    const labelled = (this.byAnswer.get(answer) ?? []).filter(({ labels }) => labels?.[wanted] !== undefined)
    const recording = labelled.find((it) => it.question === question) ?? labelled[0]
    if (recording === undefined) {
      throw new Unanswerable(
        'sandbox_no_recording',
        `No recording of the answer ${quote(answer)} has the label "${wanted}". ${this.labelsThereAre()}`,
        'messages',
      )
    }
    return String(recording.labels?.[wanted])
  }

  /** Works out which conversations have recordings: once, or once a day where a policy uses the date. */
  private index(): void {
    const now = this.now()
    const dated = this.files.some(({ policy }) =>
      policy?.interventions.some(({ text }) => text.includes(DATE_VARIABLE)),
    )
    const day = dated ? Math.floor(now / 86_400_000) : 0
    if (day === this.day) return
    const all = this.files.flatMap(({ recordings, prepared }) => {
      const policy = prepared?.(now) ?? null
      return recordings.map(
        (recording) => [conversationKey(conversationOf(recording.question, policy)), recording] as const,
      )
    })
    this.conversations = new Map(
      [...Map.groupBy(all, ([key]) => key)].map(([key, entries]) => [key, entries.map(([, it]) => it)]),
    )
    this.day = day
  }

  private noRecording(messages: readonly ChatMessage[]): Unanswerable {
    const files = this.files.map(({ file, policy }) =>
      policy === null ? file : `${file} (under policy ${policy.id})`,
    )
    return new Unanswerable(
      'sandbox_no_recording',
      `No recording fits the conversation whose last user message begins ${quote(questionOf(messages))}. Send a ` +
        'recorded question as the only message, as it stands or as its policy makes it, or add a file with this ' +
        `conversation. Recorded are ${this.conversations.size} conversations, from ${files.join(', ')}.`,
      'messages',
    )
  }

  private unknownLabel(label: string | null): Unanswerable {
    const what = label === null ? `${REPLAY_JUDGE} needs a label` : `The recordings have no label "${label}"`
    return new Unanswerable('sandbox_unknown_label', `${what}. ${this.labelsThereAre()}`, 'model')
  }

  private labelsThereAre(): string {
    if (this.labels.length === 0) return 'There are no labels in the recordings.'
    return `Labels there are: ${this.labels.map((label) => `${REPLAY_JUDGE}:${label}`).join(', ')}.`
  }
}

/** The messages that reach a model when a client sends the question alone; by the code that injects for real. */
function conversationOf(question: string, policy: PreparedPolicy | null): ChatMessage[] {
  let body = Buffer.from(
    JSON.stringify({ model: REPLAY_MODEL, messages: [{ role: 'user', content: question }] }),
  )
  if (policy !== null) body = Buffer.from(splice(body, decodeChat(body).plan(policy)))
  return (JSON.parse(body.toString('utf8')) as { messages: ChatMessage[] }).messages
}

/** Equal for conversations with equal roles and contents, however they were spelt. Recorded contents are strings. */
function conversationKey(messages: readonly ChatMessage[]): string {
  return JSON.stringify(messages.map(({ role, content }) => [role, content]))
}

function quote(text: string): string {
  return `"${text.slice(0, 80)}${text.length > 80 ? '…' : ''}"`
}
