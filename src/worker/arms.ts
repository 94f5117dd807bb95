/**
 * The kill switch of a Worker: what people did to arms, as JSON under a key of its settings. Read by `settings.ts` with a
 * short cache; the switches themselves are those of `policy/switches.ts`.
 */
import { z } from 'zod'
import type { ArmEvent } from '../domain/store.ts'

/** `{"birds": {"etymologist": "off"}}`, by experiment and arm. */
const Arms = z.record(z.string(), z.record(z.string(), z.enum(['off', 'on', 'promoted'])))

/**
 * @param known what was in force before: an event keeps the time it was first seen.
 * @throws Error saying what is wrong with the text.
 */
export function readArms(text: string | null, known: readonly ArmEvent[]): ArmEvent[] {
  if (text === null) return []
  const parsed = Arms.safeParse(parse(text))
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new Error(
      `the arms in the settings cannot be read: ${issue!.path.join('.') || 'the text'}: ${issue!.message}`,
    )
  }
  return Object.entries(parsed.data).flatMap(([experiment, arms]) =>
    Object.entries(arms).map(([arm, action]) => {
      const id = JSON.stringify([experiment, arm, action])
      const fresh: ArmEvent = {
        ...{ id, experiment, arm, action, by: 'person', evidence: null },
        reason: 'set in the settings of the Worker',
        at: Date.now(),
      }
      return known.find((it) => it.id === id) ?? fresh
    }),
  )
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
