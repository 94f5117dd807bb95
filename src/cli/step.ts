/** One of the things that happen to a request, as `ballast explain` tells it. Made by `explanation.ts`. */
export interface Step {
  readonly step:
    | 'admit'
    | 'decode'
    | 'route'
    | 'assign'
    | 'domain'
    | 'guard'
    | 'inject'
    | 'sample'
    | 'forward'
  /** In a line. */
  readonly decided: string
  /** A line a reason. */
  readonly why: readonly string[]
  /** The same for programs. */
  readonly facts: Readonly<Record<string, unknown>>
}
