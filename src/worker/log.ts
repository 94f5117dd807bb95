/** The `Log` port on a Worker's console: a line of JSON each, as pino writes them on Node. Composed by `worker.ts`. */
import { describeError } from '../domain/error-description.ts'
import type { Log } from '../domain/ports.ts'

const LEVELS = ['debug', 'info', 'warn', 'error'] as const
type Level = (typeof LEVELS)[number]

/** What `LOG_LEVEL` says. */
export function levelOf(text: unknown): Level {
  return LEVELS.find((it) => it === text) ?? 'info'
}

/** @param least lines below this level are left out. */
export function consoleLog(least: Level): Log {
  const method = (level: Level) => {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(least)) return () => {}
    return (fields: Readonly<Record<string, unknown>>, message: string) => {
      const { err, ...rest } = fields
      const line = { level, msg: message, ...rest, ...(err === undefined ? {} : { err: describeError(err) }) }
      // biome-ignore lint/suspicious/noConsole: a Worker's log is its console.
      console[level](JSON.stringify(line))
    }
  }
  return {
    debug: method('debug'),
    info: method('info'),
    warn: method('warn'),
    error: method('error'),
    isLevelEnabled: (level) => LEVELS.indexOf(level) >= LEVELS.indexOf(least),
  }
}
