/** The one sentence of a report: which rule speaks, and that none says more than the evidence. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ConclusionArm, type ConclusionInput, conclude } from '../../src/stats/conclusion.ts'

const arm = (name: string, rest: Partial<ConclusionArm> = {}): ConclusionArm => ({
  arm: name,
  judged: 500,
  uncounted: 0.05,
  differsIn: null,
  judgedUnevenly: false,
  rate: { estimate: 0.05, lower: 0.03, upper: 0.08 },
  rolledBack: null,
  ...rest,
})
type Compared = ConclusionInput['comparisons'][number]
const comparison = (name: string, rest: Partial<Compared> = {}): Compared => ({
  arm: name,
  against: 'control',
  decision: 'undecided',
  difference: { estimate: -0.01, lower: -0.04, upper: 0.02 },
  exhausted: false,
  ...rest,
})
const BETTER = { decision: 'better', difference: { estimate: -0.05, lower: -0.08, upper: -0.02 } } as const
const WORSE = { decision: 'worse', difference: { estimate: 0.05, lower: 0.02, upper: 0.08 } } as const

const input = (rest: Partial<ConclusionInput> = {}): ConclusionInput => ({
  arms: [arm('control'), arm('mild')],
  randomized: true,
  comparisons: [comparison('mild')],
  sampleRatioP: 1,
  judge: null,
  ...rest,
})
const withArm = (rest: Partial<ConclusionArm>, comparisons = [comparison('mild', BETTER)]) =>
  input({ arms: [arm('control'), arm('mild', rest)], comparisons })

const CASES: readonly (readonly [string, ConclusionInput, string, string])[] = [
  [
    'nothing was judged',
    input({ arms: [arm('control', { judged: 0 }), arm('mild', { judged: 0 })] }),
    'nothing-yet',
    'Nothing is known yet: no verdict counts so far.',
  ],
  [
    'nothing is proven',
    input(),
    'undecided',
    'Undecided: no difference between mild and control is proven so far.',
  ],
  [
    'a run has ended without an answer',
    input({ comparisons: [comparison('mild', { exhausted: true })] }),
    'inconclusive',
    'Inconclusive: after as many verdicts as a run may take, no difference between mild and control is proven.',
  ],
  [
    'an arm is better',
    input({ comparisons: [comparison('mild', BETTER)] }),
    'decided',
    'mild has a lower positive rate than control, by 2.0 to 8.0 points (proven at 5%, whenever one looks).',
  ],
  [
    'an arm is worse',
    input({ comparisons: [comparison('mild', WORSE)] }),
    'decided',
    'mild has a higher positive rate than control, by 2.0 to 8.0 points (proven at 5%, whenever one looks).',
  ],
  [
    'an arm is better, and the bounds of the difference do not say by how much',
    input({
      comparisons: [
        comparison('mild', { ...BETTER, difference: { estimate: -0.05, lower: -0.09, upper: 0.01 } }),
      ],
    }),
    'decided',
    'mild has a lower positive rate than control, though by how much is not settled yet (proven at 5%, whenever one looks).',
  ],
  [
    'an arm was better once',
    input({
      comparisons: [
        comparison('mild', { ...BETTER, difference: { estimate: 0.02, lower: -0.01, upper: 0.05 } }),
      ],
    }),
    'decided',
    'mild was proven to have a lower positive rate than control at some time, but by now the estimate points the other way: what differs has changed.',
  ],
  [
    'one arm is decided and another is not',
    input({
      arms: [arm('control'), arm('mild'), arm('old')],
      comparisons: [comparison('mild', BETTER), comparison('old')],
    }),
    'decided',
    'mild has a lower positive rate than control, by 2.0 to 8.0 points (proven at 5%, whenever one looks); nothing is proven of old.',
  ],
  [
    'an arm is better but the sample ratio is broken',
    input({ comparisons: [comparison('mild', BETTER)], sampleRatioP: 0.0001 }),
    'sample-ratio',
    "Do not act on these numbers: the arms' sizes do not fit their weights (p 0.0001), so assignment or counting is broken.",
  ],
  [
    'an arm is better by a judge that is no better than chance',
    input({ comparisons: [comparison('mild', BETTER)], judge: 'no' }),
    'judge-is-chance',
    'Do not act on these numbers: held to the labels, the judge is no better than chance.',
  ],
  [
    'an arm is better by a judge that errs more in it',
    withArm({ judgedUnevenly: true }),
    'judge-is-uneven',
    "Do not act on these numbers: held to the labels, the judge errs in mild otherwise than in the control, so a difference may be the judge's.",
  ],
  [
    'an arm is better whose answers are excluded more',
    withArm({ differsIn: 'excluded' }),
    'excluded-unevenly',
    "Do not act on these numbers: answers of mild are excluded at another rate than the control's, and what is left out may be what differs.",
  ],
  [
    'an arm is better whose verdicts cannot be read as often',
    withArm({ differsIn: 'unreadable' }),
    'excluded-unevenly',
    "Do not act on these numbers: answers of mild are left without a readable verdict at another rate than the control's, and what is left out may be what differs.",
  ],
  [
    'most verdicts of an arm count neither way',
    withArm({ uncounted: 0.62 }),
    'mostly-uncounted',
    'Do not act on these numbers: 62% of the verdicts on mild count neither for nor against.',
  ],
  [
    'an arm was rolled back',
    withArm(
      { rolledBack: { at: Date.UTC(2026, 10, 20), reason: 'a higher rate than control was proven.' } },
      [comparison('mild', WORSE)],
    ),
    'rolled-back',
    'mild was switched off on 2026-11-20 by its rollback rule (a higher rate than control was proven).',
  ],
  [
    'an arm was rolled back and another is undecided',
    input({
      arms: [
        arm('control'),
        arm('mild', { rolledBack: { at: Date.UTC(2026, 10, 20), reason: 'worse' } }),
        arm('old'),
      ],
      comparisons: [comparison('mild', WORSE), comparison('old')],
    }),
    'rolled-back',
    'mild was switched off on 2026-11-20 by its rollback rule (worse); undecided: no difference between old and control is proven so far.',
  ],
  [
    'there is one arm',
    input({ arms: [arm('mild')], comparisons: [] }),
    'one-arm',
    'The positive rate is between 3.0% and 8.0% (95%, whenever one looks); with one arm, nothing says what it would be otherwise.',
  ],
  [
    'chance did not choose the arms',
    input({ randomized: false, comparisons: [] }),
    'not-compared',
    'The arms hold different requests, not chance draws of the same ones, so they cannot be compared.',
  ],
]

describe('conclude', () => {
  it.each(CASES)('speaks where %s', (_, given, kind, text) => {
    expect(conclude(given)).toMatchObject({ kind, text })
  })

  it('calls an arm lower or higher only if that is proven, and nothing trusted that is broken', () => {
    const decision = fc.constantFrom('better', 'worse', 'undecided')
    const bound = fc.double({ min: -1, max: 1, noNaN: true })
    const compared = fc.record({
      arm: fc.constantFrom('mild', 'old'),
      against: fc.constant('control'),
      decision,
      exhausted: fc.boolean(),
      difference: fc.record({ estimate: fc.option(bound), lower: bound, upper: bound }),
    })
    const arms = fc.record({
      arm: fc.constantFrom('control', 'mild', 'old'),
      judged: fc.nat(3),
      uncounted: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
      differsIn: fc.constantFrom('excluded', 'unreadable', null),
      judgedUnevenly: fc.boolean(),
      rate: fc.constant({ estimate: null, lower: 0, upper: 1 }),
      rolledBack: fc.option(fc.constant({ at: 0, reason: 'why' })),
    })
    const anything = fc.record({
      arms: fc.array(arms, { minLength: 1, maxLength: 3 }),
      randomized: fc.boolean(),
      comparisons: fc.array(compared, { maxLength: 2 }),
      sampleRatioP: fc.constantFrom(1, 0.01, 0.0009, 0),
      judge: fc.constantFrom('yes', 'not yet', 'no', null),
    }) as fc.Arbitrary<ConclusionInput>
    fc.assert(
      fc.property(anything, (given) => {
        const { text, trusted } = conclude(given)
        const proven = (decision: string) => given.comparisons.some((it) => it.decision === decision)
        if (!proven('better')) expect(text).not.toContain('lower')
        if (!proven('worse')) expect(text).not.toContain('higher')
        if (given.sampleRatioP < 0.001) expect(trusted).toBe(false)
        expect(text.startsWith('Do not act')).toBe(!trusted)
        expect(text.match(/\.$/g)).toHaveLength(1)
        if (!trusted) expect(text).not.toMatch(/proven|lower|higher positive/)
      }),
    )
  })
})
