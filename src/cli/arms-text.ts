/** Draws arms, how they stand and what was done to them, for a terminal. Used by `arms.ts`. */

import type { ArmState } from '../domain/report.ts'
import type { ArmEvent } from '../domain/store.ts'
import { bold, dim, printable, table, wrap } from './text.ts'

export interface ArmView extends ArmState {
  readonly arm: string
  readonly policy: string | null
}

export interface ExperimentArms {
  readonly experiment: string
  readonly arms: readonly ArmView[]
  /** Oldest first. */
  readonly history: readonly {
    readonly arm: string
    readonly action: ArmEvent['action']
    readonly by: ArmEvent['by']
    readonly at: string
    readonly reason: string
    readonly evidence: unknown
  }[]
}

export function drawArms(experiments: readonly ExperimentArms[], columns: number): string {
  if (experiments.length === 0) return 'The configuration has no experiments.\n'
  return experiments.map((it) => drawExperiment(it, columns)).join('\n')
}

function drawExperiment({ experiment, arms, history }: ExperimentArms, columns: number): string {
  const rows = arms.map(({ arm, policy, ...state }) => [
    arm,
    policy ?? 'nothing injected',
    stateInWords(state),
  ])
  const past = history.map(
    ({ at, arm, action, by, reason }) =>
      `${wrap(`${shortTime(at)}  ${arm} ${action}, by ${authorInWords(by)}`, columns, 2)}\n${dim(wrap(printable(reason), columns, 6))}\n`,
  )
  return [
    `${bold(experiment)}\n`,
    table(rows, columns, 2),
    ...(past.length === 0 ? [] : ['  What was done:\n', ...past]),
  ].join('')
}

/** `off since 2026-11-24 12:00 UTC, by the rule rollback`. */
export function stateInWords({ state, by, since }: ArmState): string {
  if (by === null) return state
  if (by === 'config') return `${state}, by the configuration`
  return `${state}${since === null ? '' : ` since ${shortTime(since)}`}, by ${authorInWords(by)}`
}

function authorInWords(by: ArmEvent['by']): string {
  return by === 'person' ? 'a person' : `the rule ${by}`
}

function shortTime(iso: string): string {
  return `${iso.slice(0, 16).replace('T', ' ')} UTC`
}
