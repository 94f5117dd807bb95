/** What of an error may be logged. Called by the logs of each runtime, and before an error is sent to another thread. */

/** An error without what may quote a message: only these of its properties. */
export interface DescribedError {
  readonly type: string
  readonly message: string
  readonly code?: string
  /** Where it was thrown; without its first line, which says the message again. */
  readonly stack?: string
  readonly cause?: DescribedError
}

const DEEPEST_CAUSE = 5
/** V8 quotes what it could not parse: `Unexpected token 'T', "The answer"... is not valid JSON`. */
const QUOTED_JSON = /(?:Unexpected token '(?:.|\n)'?, )?(?:\.\.\.)?"[\s\S]*"(?:\.\.\.)? is not valid JSON/

/** Drivers and parsers put rows, bytes and parameters into properties of their errors (`detail`, `data`): those are left out. */
export function describeError(thrown: unknown, depth = 0): DescribedError {
  if (!(thrown instanceof Error)) return { type: 'Error', message: String(thrown) }
  const { name, stack, cause } = thrown
  const { code } = thrown as { code?: unknown }
  const frames = stack?.split('\n').filter((line) => /^ {4}at /.test(line)) ?? []
  return {
    type: name,
    message: withoutQuote(thrown.message),
    ...(typeof code === 'string' ? { code } : {}),
    ...(frames.length > 0 ? { stack: frames.join('\n') } : {}),
    ...(cause === undefined || depth === DEEPEST_CAUSE ? {} : { cause: describeError(cause, depth + 1) }),
  }
}

function withoutQuote(message: string): string {
  return message.replace(QUOTED_JSON, 'what was read is not valid JSON')
}
