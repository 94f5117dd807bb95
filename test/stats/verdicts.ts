/** Verdicts of two arms to try the statistics on, random and constant. Called by the tests of `stats/`. */
import fc from 'fast-check'
import { BlockEProcess } from '../../src/stats/block-e-process.ts'
import type { Block, Side } from '../../src/stats/blocks.ts'

export interface Verdict {
  readonly arm: Side
  readonly positive: boolean
}

/** [positives, verdicts], at least one. */
export const counts = fc
  .integer({ min: 1, max: 5000 })
  .chain((n) => fc.tuple(fc.integer({ min: 0, max: n }), fc.constant(n)))

/** Any that a double can tell from 0 and 1, small ones as often as large. */
export const alphas = fc.oneof(
  fc.double({ min: 1e-6, max: 0.999, noNaN: true }),
  fc.double({ min: -12, max: -0.01, noNaN: true }).map((exponent) => 10 ** exponent),
)

/** Verdicts of two arms with rates and a split of their own, so that effects of every size are met. */
export const verdicts: fc.Arbitrary<Verdict[]> = fc
  .tuple(fc.integer({ min: 0, max: 99 }), fc.integer({ min: 0, max: 99 }), fc.integer({ min: 10, max: 90 }))
  .chain(([control, treatment, split]) =>
    fc.array(
      fc
        .tuple(fc.integer({ min: 0, max: 99 }), fc.integer({ min: 0, max: 99 }))
        .map(([arm, outcome]): Verdict => {
          const treated = arm < split
          return {
            arm: treated ? 'treatment' : 'control',
            positive: outcome < (treated ? treatment : control),
          }
        }),
      { maxLength: 400, size: 'max' },
    ),
  )

export const blocks = verdicts.map((all) => blocksOf(all))

export function run(all: readonly Verdict[], minBlock = 5): BlockEProcess {
  const process = new BlockEProcess({ minBlock })
  for (const { arm, positive } of all) process.add(arm, positive)
  return process
}

/** The blocks that the process makes of verdicts, oldest first. */
export function blocksOf(all: readonly Verdict[], minBlock = 5): Block[] {
  const process = new BlockEProcess({ minBlock })
  return all.flatMap(({ arm, positive }) => process.add(arm, positive) ?? [])
}

/** Blocks where both arms alternate and every verdict of an arm is the same. */
export function constant(control: boolean, treatment: boolean, perArm: number): readonly Block[] {
  const pair: Verdict[] = [
    { arm: 'control', positive: control },
    { arm: 'treatment', positive: treatment },
  ]
  return blocksOf(Array.from({ length: perArm }, () => pair).flat())
}

/** Blocks that are all the same, their arms as [positives, verdicts]. */
export function repeat(count: number, control: [number, number], treatment: [number, number]): Block[] {
  const of = ([positives, total]: [number, number]) => ({ positives, total })
  return Array.from({ length: count }, () => ({ control: of(control), treatment: of(treatment) }))
}

export function swap(arm: Side): Side {
  return arm === 'control' ? 'treatment' : 'control'
}
