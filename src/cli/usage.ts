/** What the commands share in reading their options. */
import { resolve } from 'node:path'
import { InvalidArgumentError } from 'commander'

/** The command was called with something that cannot be used; exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** A parser of whole numbers for commander. */
export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= least && value <= most) return value
    const range = most === Number.MAX_SAFE_INTEGER ? `of ${least} or more` : `from ${least} to ${most}`
    throw new InvalidArgumentError(`It is a whole number ${range}.`)
  }
}

/** A rate per minute, for commander. */
export const perMinute = wholeNumber(1, 60_000)

/** A parser of shares for commander. */
export function shareOption(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (value >= 0 && value <= 1) return value
  throw new InvalidArgumentError('It is a share from 0 to 1.')
}

/** For commander: gathers an option that may be given several times, where a list would swallow the arguments behind it. */
export function collect(text: string, before: string[] = []): string[] {
  return [...before, text]
}

/**
 * A path as whoever called the command means it: npm runs scripts in the project's folder and leaves word of where it was
 * called.
 */
export function fromHere(path: string): string {
  return resolve(process.env.npm_lifecycle_event === undefined ? '.' : (process.env.INIT_CWD ?? '.'), path)
}

/** Resolves at the first SIGINT or SIGTERM; a second one ends the process at once. */
export function interrupted(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let seen = false
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        if (seen) process.exit(1)
        seen = true
        resolve(signal)
      })
    }
  })
}
