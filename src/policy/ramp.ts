/** The share of units an experiment takes in, now or by a schedule (`ramp`). Prepared at load by `compile.ts`. */
import type { Ramp } from '../domain/experiment.ts'

/** @returns the share at a moment, milliseconds since the epoch: 0 before the schedule's first day begins (UTC). */
export function prepareRamp(ramp: Ramp): (now: number) => number {
  if (typeof ramp === 'number') return () => ramp
  const latestFirst = Object.entries(ramp)
    .map(([day, share]) => ({ from: Date.parse(`${day}T00:00:00Z`), share }))
    .sort((a, b) => b.from - a.from)
  return (now) => latestFirst.find(({ from }) => from <= now)?.share ?? 0
}
