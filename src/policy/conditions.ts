/** Whether a policy's conditions hold for a request (SPEC section 5, `when`). Prepared at load; asked by `decide.ts`. */
import { ANY_VALUE, type Conditions } from '../domain/policy.ts'
import type { RawHeaders } from '../domain/ports.ts'
import { findText } from './raw-headers.ts'
import type { DecodedRequest } from './surface.ts'

type Holds = (decoded: DecodedRequest, headers: RawHeaders) => boolean

/** @returns the first condition that does not hold, as the policy's file names it (`header.x-feature`), or null. */
export type UnmetCondition = (decoded: DecodedRequest, headers: RawHeaders) => string | null

export function prepareConditions({ system, turn, header, metadata }: Conditions): UnmetCondition {
  const conditions: [name: string, holds: Holds][] = []
  if (system === 'absent') conditions.push(['system', ({ systemAbsent }) => systemAbsent])
  if (turn === 'first') conditions.push(['turn', ({ firstTurn }) => firstTurn])
  for (const [name, values] of Object.entries(header ?? {})) {
    const [key, fits] = [name.toLowerCase(), prepareValues(values)]
    conditions.push([`header.${name}`, (_decoded, headers) => fits(findText(headers, key))])
  }
  for (const [key, values] of Object.entries(metadata ?? {})) {
    const fits = prepareValues(values)
    conditions.push([`metadata.${key}`, (decoded) => fits(decoded.metadata(key))])
  }
  return (decoded, headers) => conditions.find(([, holds]) => !holds(decoded, headers))?.[0] ?? null
}

/** Values are compared as they are, case included; an empty one counts as missing. */
function prepareValues(values: string | readonly string[]): (value: string | null) => boolean {
  const wanted = new Set([values].flat())
  if (wanted.has(ANY_VALUE)) return (value) => value !== null && value !== ''
  return (value) => value !== null && wanted.has(value)
}
