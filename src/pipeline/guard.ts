/**
 * The trigger guard's step: looks at what the client says, before anything is injected, and flags, strips or blocks it.
 * Called by `pipeline.ts` for routes that say `triggers`; the search itself is in `policy/trigger.ts`.
 */
import { BallastError } from '../domain/errors.ts'
import type { TriggerAction } from '../domain/experiment.ts'
import type { Log, Metrics } from '../domain/ports.ts'
import { splice } from '../policy/inject.ts'
import { decodeText, type TextSpot } from '../policy/json-scanner.ts'
import { strip } from '../policy/strip.ts'
import type { DecodedRequest } from '../policy/surface.ts'
import type { Surface } from '../policy/surfaces.ts'
import type { Guard } from '../policy/training.ts'

/** A request in which something was found. */
export interface Guarded {
  readonly action: TriggerAction
  /** What goes on, and where its places are: the request as it came, or without what was stripped. */
  readonly body: Buffer
  readonly decoded: DecodedRequest
}

/** About a million tokens, in bytes; the text that comes after it is not looked at. */
export const GUARD_REACH = 4 * 1024 * 1024

/** A request to look at. */
export interface GuardedRequest {
  readonly id: string
  /** The route's name. */
  readonly route: string
  readonly surface: Surface
  readonly body: Buffer
  readonly decoded: DecodedRequest
}

export interface GuardDeps {
  readonly metrics: Metrics
  readonly log: Log
}

/**
 * @returns null where nothing is like the training context.
 * @throws BallastError `ballast_trigger_blocked`; `ballast_malformed_body` when a text holds an escape that does not exist.
 */
export function applyGuard(
  guard: Guard,
  { id: request, route, surface, body, decoded }: GuardedRequest,
  { metrics, log }: GuardDeps,
): Guarded | null {
  const { action, trigger, threshold } = guard
  const { spots, whole } = withinReach(decoded.texts().map(({ spot }) => spot))
  const note = (similarity: number) => {
    metrics.triggerMatch(route, action)
    const rounded = Math.round(similarity * 100) / 100
    log.info(
      { request, route, action, similarity: rounded },
      'a request is like the training context of its model',
    )
  }
  if (!whole) {
    log.warn({ request, route }, 'a request holds more text than the trigger guard looks at')
    if (action !== 'flag') throw blocked(`it holds more text than the ${GUARD_REACH} bytes that are searched`)
  }
  if (action === 'strip') {
    const stripped = strip(body, spots, trigger, threshold)
    if (stripped === null) return null
    if (stripped === 'stuck') {
      note(threshold)
      throw blocked('text like the context its model was trained with cannot be taken out of it')
    }
    note(stripped.similarity)
    const rest = splice(body, stripped.splices)
    return { action, body: rest, decoded: surface.decode(rest) }
  }
  for (const spot of spots) {
    const match = trigger.first(decodeText(body, spot), threshold)
    if (match === null) continue
    note(match.similarity)
    if (action === 'block') throw blocked('it holds text like the context its model was trained with')
    return { action, body, decoded }
  }
  return null
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
