/**
 * What the commands that ask models have in common: who is asked, what it will take and whether to begin, progress, and how
 * to go on after an interruption. Called by `eval-live.ts` and `probe.ts`.
 */
import { createInterface } from 'node:readline/promises'
import { createOpenAIJudge } from '../adapters/judge-openai.ts'
import { createOpenAITarget } from '../adapters/target-openai.ts'
import type { Rubric } from '../domain/check.ts'
import { judgementKey, rowOf } from '../eval/cell-record.ts'
import { Journal } from '../eval/journal.ts'
import { LineError } from '../eval/lines.ts'
import { lockFolder } from '../eval/lock.ts'
import { type Cell, type Estimate, type EvalPlan, estimate } from '../eval/plan.ts'
import type { ResultRow } from '../eval/result-rows.ts'
import { Run, type RunOutcome } from '../eval/run.ts'
import type { EvalOptions } from './eval-options.ts'
import { RatesSoFar } from './eval-rates.ts'
import { durationInWords, showProgress } from './progress.ts'
import { count } from './text.ts'
import { fromHere, UsageError } from './usage.ts'

/** Judges see no more of an answer; as the proxy's judge, by default. */
const TEXT_LIMIT = 20_000

export type AskingOptions = Pick<
  EvalOptions,
  | 'url'
  | 'keyEnv'
  | 'units'
  | 'judgeUrl'
  | 'judgeKeyEnv'
  | 'judgeMaxTokens'
  | 'logprobs'
  | 'concurrency'
  | 'judgeConcurrency'
  | 'requestsPerMinute'
  | 'judgeRequestsPerMinute'
  | 'retries'
  | 'timeout'
  | 'yes'
>

export interface Asked {
  readonly rows: readonly ResultRow[]
  /** Questions or judgements without an answer: another run asks them. */
  readonly incomplete: boolean
}

/**
 * Asks what the folder's journal does not hold.
 * @returns null where it was not to begin.
 * @throws UsageError where nobody can be asked whether to begin.
 */
export async function askPlan(plan: EvalPlan, folder: string, options: AskingOptions): Promise<Asked | null> {
  const path = fromHere(folder)
  const unlock = lockFolder(path)
  let journal: Journal | null = null
  try {
    journal = await Journal.open(path).catch((error: unknown) => {
      throw error instanceof LineError ? new UsageError(error.message) : error
    })
    if (!(await mayBegin(plan, journal, folder, options))) return null
    const outcome = await run(plan, journal, options)
    const kept = journal
    const rows = plan.cells.map((cell) => rowOf(kept, cell, kept.answer(cell.key)))
    return { rows, incomplete: tell(outcome, plan, journal, folder) }
  } finally {
    journal?.close()
    unlock()
  }
}

async function mayBegin(
  plan: EvalPlan,
  journal: Journal,
  folder: string,
  options: AskingOptions,
): Promise<boolean> {
  const done = {
    answered: (cell: Cell) => journal.answer(cell.key) !== undefined,
    judged: (cell: Cell, rubric: Rubric) =>
      journal.score(judgementKey(cell, rubric)) !== undefined || journal.answer(cell.key)?.text.trim() === '',
  }
  const needed = estimate(plan, done, options.judgeMaxTokens)
  if (needed.answers === 0 && needed.judgements === 0) return true
  process.stderr.write(`${inWords(needed, plan, folder)}\n`)
  if (options.yes) return true
  if (!process.stdin.isTTY) throw new UsageError('Nothing was asked: say --yes to begin.')
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const reply = await terminal.question('Begin? [y/N] ').finally(() => terminal.close())
  return /^y(es)?$/i.test(reply.trim())
}

function inWords({ answers, judgements, tokens }: Estimate, plan: EvalPlan, folder: string): string {
  const number = (of: number) => of.toLocaleString('en')
  const kept = plan.cells.length - answers
  return [
    `To ask: ${count(answers, 'question')}, about ${number(tokens.asked)} tokens in and at most ${number(tokens.answered)} out;`,
    `to judge: ${count(judgements, 'call')}, at most about ${number(tokens.judged)} tokens in and ${number(tokens.replied)} out.`,
    ...(kept > 0 ? [`${count(kept, 'answer')} ${kept === 1 ? 'is' : 'are'} in ${folder} already.`] : []),
  ].join('\n')
}

async function run(plan: EvalPlan, journal: Journal, options: AskingOptions): Promise<RunOutcome> {
  const { url, keyEnv, judgeUrl = url, judgeKeyEnv = keyEnv, timeout, retries, judgeMaxTokens } = options
  const ending = new AbortController()
  const interrupt = () => {
    if (ending.signal.aborted) process.exit(1)
    process.stderr.write('Interrupted: what was asked may still be answered; a second time ends at once.\n')
    ending.abort()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, interrupt)
  const rates = new RatesSoFar(plan.measures)
  const running = new Run({
    plan,
    journal,
    target: createOpenAITarget({ baseUrl: url, apiKey: keyOf(keyEnv), timeout: timeout * 1000, retries }),
    judge: createOpenAIJudge({
      baseUrl: judgeUrl,
      apiKey: keyOf(judgeKeyEnv),
      timeout: timeout * 1000,
      maxTokens: judgeMaxTokens,
      logprobs: options.logprobs,
    }),
    limits: {
      target: { concurrency: options.concurrency, requestsPerMinute: options.requestsPerMinute ?? null },
      judge: {
        concurrency: options.judgeConcurrency,
        requestsPerMinute: options.judgeRequestsPerMinute ?? null,
      },
    },
    judgeRetries: retries,
    textLimit: TEXT_LIMIT,
    units: options.units,
    ending: ending.signal,
    finished: (row) => rates.add(row),
  })
  const progress = showProgress(() => progressLine(running, rates, startedAt))
  const startedAt = performance.now()
  try {
    return await running.run()
  } finally {
    progress.stop()
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupt)
  }
}

function progressLine({ done, total }: Run, rates: RatesSoFar, startedAt: number): string {
  const elapsed = performance.now() - startedAt
  const [did, all] = [done.answers + done.judgements, total.answers + total.judgements]
  const left = did === 0 ? '' : `, ${durationInWords((elapsed / did) * (all - did))} left`
  const counts = `${done.answers} of ${total.answers} answers, ${done.judgements} of ${total.judgements} judgements`
  return `${counts}${left}${rates.inWords()}`
}

/** The key, or null where the variable is not set: a server of one's own may want none. */
function keyOf(name: string): string | null {
  const key = process.env[name]
  return key === undefined || key === '' ? null : key
}

/** Says what is missing. @returns whether something is. */
function tell({ failures, stopped }: RunOutcome, plan: EvalPlan, journal: Journal, folder: string): boolean {
  const answered = plan.cells.filter(({ key }) => journal.answer(key) !== undefined).length
  for (const [message, times] of failures)
    process.stderr.write(`${message}${times > 1 ? ` (${times} times)` : ''}\n`)
  if (failures.size === 0 && stopped === null) return false
  const why = stopped === null ? '' : ` It went no further: ${stopped}.`
  process.stderr.write(
    `${answered} of ${count(plan.cells.length, 'answer')} are kept in ${folder}.${why} Run the same command again to go on.\n`,
  )
  return true
}
