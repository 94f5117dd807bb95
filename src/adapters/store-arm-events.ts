/** What is stored of something done to an arm, given all that was done before. Used by `store-queries.ts` and `store-d1.ts`. */
import type { ArmEvent } from '../domain/store.ts'
import type { Tables } from './store-tables.ts'

type Row = Tables['arm_events']

/** @param all that is stored, in its order. @returns what is to be added; nothing where it is stored already. */
export function armEventRows(event: ArmEvent, all: readonly Row[]): Row[] {
  if (all.some(({ id }) => id === event.id)) return []
  const own = all.filter(({ experiment }) => experiment === event.experiment)
  const latest = new Map(own.map((it) => [it.arm, it]))
  // In the order of their storing: whoever undoes something with a clock that is behind undoes it all the same.
  const at = Math.max(event.at, Number(own.at(-1)?.at ?? 0) + 1)
  // A promotion ends the one before it, which must not come back when this one is undone.
  const replaced = [...latest.values()]
    .filter((it) => event.action === 'promoted' && it.action === 'promoted' && it.arm !== event.arm)
    .map(({ experiment, arm }) => ({
      ...{ experiment, arm, action: 'on', by: event.by, evidence: null },
      id: `${event.id} in place of ${arm}`,
      reason: `${event.arm} was promoted in its place`,
    }))
  const seq = Number(all.at(-1)?.seq ?? 0) + 1
  return [...replaced, event].map((it, index) => ({ ...it, at, seq: seq + index }))
}
