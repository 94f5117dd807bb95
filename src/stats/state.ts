/**
 * Reading back what the statistics keep between restarts. Called by the `restore` of every state in `stats/`.
 *
 * A state is plain JSON and holds doubles, which `JSON` writes and reads without loss; -0 does not occur.
 */
import { z } from 'zod'

export const countsSchema = z
  .strictObject({ positives: z.int().nonnegative(), total: z.int().nonnegative() })
  .refine(({ positives, total }) => positives <= total, 'more positives than verdicts')

/**
 * Checks a state before it is used.
 * @param kind what it is a state of, for the message.
 * @throws RangeError that names the place and says what to do when the state is of another version or no state.
 */
export function readState<T extends z.ZodType>(schema: T, state: unknown, kind: string): z.infer<T> {
  const result = schema.safeParse(state)
  if (result.success) return result.data
  const issue = result.error.issues[0]!
  const place = issue.path.length === 0 ? '' : ` at ${issue.path.join('.')}`
  throw new RangeError(
    `the stored state of ${kind} cannot be used${place}: ${issue.message}. Discard it and count the verdicts again`,
  )
}
