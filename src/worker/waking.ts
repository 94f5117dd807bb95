/**
 * Judging on Workers, woken: a message of the queue `JUDGING` says that samples may wait, and nothing else, so that it does
 * not matter which one comes, or how often. What waits is in D1. Called by `worker.ts` and `hand-over.ts`.
 */
import type { Log } from '../domain/ports.ts'
import type { Env } from './env.ts'
import { officeOf } from './office-calls.ts'

/** Wakes whoever judges, in so many seconds. Never rejects. @returns whether the message is on its way. */
export async function wake({ JUDGING }: Env, seconds: number, log: Log): Promise<boolean> {
  try {
    await JUDGING?.send('wake', { delaySeconds: seconds })
    return JUDGING !== undefined
  } catch (error) {
    log.warn({ err: error }, 'the judge could not be woken; the cron trigger will do so')
    return false
  }
}

/** What a message asks for. Rejects where it could not be done, so that the message comes again. */
export async function judgeWoken(env: Env): Promise<void> {
  const again = await officeOf(env.OFFICE).judge()
  if (again !== null) await env.JUDGING?.send('wake', { delaySeconds: again })
}

/**
 * Once a minute: what has to be done without messages, and judging where samples wait, since a message may be lost. Rejects
 * where it could not be done: then it is the next minute's.
 */
export async function lookRound(env: Env): Promise<void> {
  if (env.DB === undefined) return
  const { waits } = await officeOf(env.OFFICE).lookRound()
  if (waits) await judgeWoken(env)
}
