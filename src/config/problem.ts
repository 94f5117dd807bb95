/** What is wrong in a file, and where, and the error that holds all of it. Light: the command loads it before it knows what it is to do. */

/** A place in a file; lines and columns count from 1. */
export interface Place {
  readonly file: string
  readonly line: number
  readonly column: number
}

/** Something wrong in a file, and where. */
export interface Problem extends Place {
  readonly message: string
}

export function formatProblem({ file, line, column, message }: Problem): string {
  return `${file}:${line}:${column}: ${message}`
}

/** Every problem of a configuration at once; the message is a line for each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly Problem[]
  /** As in `Config`, as far as they are known; some may not exist. */
  readonly folders: readonly string[]

  constructor(problems: readonly Problem[], folders: readonly string[] = []) {
    super(problems.map(formatProblem).join('\n'))
    this.problems = problems
    this.folders = folders
  }
}
