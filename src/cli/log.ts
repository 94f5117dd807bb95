/** The log of the commands that stay up: JSON lines on stderr. */
import { pino } from 'pino'
import { describeError } from '../domain/error-description.ts'
import type { Log } from '../domain/ports.ts'

export function createLog(level: string): Log {
  const options = { level, base: null, serializers: { err: (error: unknown) => describeError(error) } }
  return pino(options, pino.destination({ fd: 2, sync: true }))
}
