/** Events of arms, as tests need them. */
import type { ArmEvent } from '../../src/domain/store.ts'

let made = 0

/** A person switches an arm off, unless it says otherwise. */
export function armEvent(event: Pick<ArmEvent, 'experiment' | 'arm'> & Partial<ArmEvent>): ArmEvent {
  const at = 1_700_000_000_000 + made
  return {
    id: `event ${++made}`,
    action: 'off',
    by: 'person',
    reason: 'a test',
    evidence: null,
    at,
    ...event,
  }
}
