/**
 * The trigger guard's step: counts and logs what `policy/guard.ts` found, and refuses what it says. Called by
 * `pipeline.ts` for routes that say `triggers`.
 */
import type { Log, Metrics } from '../domain/ports.ts'
import { applyGuard, type Guarded, type GuardedRequest } from '../policy/guard.ts'
import type { Guard } from '../policy/training.ts'

/** What a request is counted and logged by. */
export interface Named {
  readonly id: string
  /** The route's name. */
  readonly route: string
}

export interface GuardDeps {
  readonly metrics: Metrics
  readonly log: Log
}

/**
 * @returns null where nothing is like the training context.
 * @throws BallastError `ballast_trigger_blocked`; `ballast_malformed_body` when a text holds an escape that does not exist.
 */
export function guardRequest(
  guard: Guard,
  { id: request, route }: Named,
  looked: GuardedRequest,
  { metrics, log }: GuardDeps,
): Guarded | null {
  const guarded = applyGuard(guard, looked)
  const { action, similarity, whole, refusal } = guarded
  if (!whole) log.warn({ request, route }, 'a request holds more text than the trigger guard looks at')
  if (similarity !== null) {
    metrics.triggerMatch(route, action)
    const rounded = Math.round(similarity * 100) / 100
    log.info(
      { request, route, action, similarity: rounded },
      'a request is like the training context of its model',
    )
  }
  if (refusal !== null) throw refusal
  return similarity === null ? null : guarded
}
