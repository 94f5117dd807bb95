/**
 * The trigger guard: looks at what the client says, before anything is injected, for routes that say `triggers`. Pure;
 * called by `decide.ts`, and by the pipeline, which counts what comes of it. The search itself is in `trigger.ts`.
 */
import { BallastError } from '../domain/errors.ts'
import type { TriggerAction } from '../domain/experiment.ts'
import { splice } from './inject.ts'
import { decodeText, type TextSpot } from './json-scanner.ts'
import { strip } from './strip.ts'
import type { DecodedRequest } from './surface.ts'
import type { Surface } from './surfaces.ts'
import type { Guard } from './training.ts'

/** What the guard makes of a request. */
export interface Guarded {
  readonly action: TriggerAction
  /** How like the training context the text is that was found, 0 to 1; null where none was. */
  readonly similarity: number | null
  /** Whether all text was looked at; else it is more than `GUARD_REACH`. */
  readonly whole: boolean
  /** What goes on, and where its places are: the request as it came, or without what was stripped. */
  readonly body: Buffer
  readonly decoded: DecodedRequest
  /** Why nothing goes on: `ballast_trigger_blocked`; null where it does. */
  readonly refusal: BallastError | null
}

/** About a million tokens, in bytes; the text that comes after it is not looked at. */
export const GUARD_REACH = 4 * 1024 * 1024

/** A request to look at. */
export interface GuardedRequest {
  readonly surface: Surface
  readonly body: Buffer
  readonly decoded: DecodedRequest
}

/** @throws BallastError `ballast_malformed_body` when a text holds an escape that does not exist. */
export function applyGuard(guard: Guard, { surface, body, decoded }: GuardedRequest): Guarded {
  const { action, trigger, threshold } = guard
  const { spots, whole } = withinReach(decoded.texts().map(({ spot }) => spot))
  const untouched: Guarded = { action, similarity: null, whole, body, decoded, refusal: null }
  if (!whole && action !== 'flag') {
    const reason = `it holds more text than the ${GUARD_REACH} bytes that are searched`
    return { ...untouched, refusal: blocked(reason) }
  }
  if (action === 'strip') {
    const stripped = strip(body, spots, trigger, threshold)
    if (stripped === null) return untouched
    if (stripped === 'stuck') {
      const reason = 'text like the context its model was trained with cannot be taken out of it'
      return { ...untouched, similarity: threshold, refusal: blocked(reason) }
    }
    const { similarity, splices } = stripped
    const rest = splice(body, splices)
    return { ...untouched, similarity, body: rest, decoded: surface.decode(rest) }
  }
  for (const spot of spots) {
    const match = trigger.first(decodeText(body, spot), threshold)
    if (match === null) continue
    const { similarity } = match
    if (action === 'flag') return { ...untouched, similarity }
    const reason = 'it holds text like the context its model was trained with'
    return { ...untouched, similarity, refusal: blocked(reason) }
  }
  return untouched
}

function withinReach(spots: readonly TextSpot[]): { spots: TextSpot[]; whole: boolean } {
  let left = GUARD_REACH
  const reached = spots.filter(({ start, end }) => {
    left -= end - start
    return left >= 0
  })
  return { spots: reached, whole: reached.length === spots.length }
}

function blocked(reason: string): BallastError {
  return new BallastError('ballast_trigger_blocked', `The request was not sent: ${reason}.`, {
    source: 'client',
  })
}
