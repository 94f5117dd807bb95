/** What the rules make of the evidence: arms switched off, an arm promoted, and nothing where nothing is proven. */
import { describe, expect, test } from 'vitest'
import { seeded } from '../../bench/random.ts'
import type { ArmRules } from '../../src/policy/rules.ts'
import { compileRules, NO_RULES } from '../../src/policy/rules.ts'
import { eventsFor, findDue, type Proof } from '../../src/stats/acting.ts'
import { Evidence, planEvidence } from '../../src/stats/evidence.ts'
import { armEvent } from '../support/arm-events.ts'
import { arm } from '../support/judged.ts'

const ARMS = [arm('control', null), arm('one', 'p/one'), arm('two', 'p/two')]
const ROLLBACK: ArmRules = { ...NO_RULES, rollback: { against: 'control', alpha: 0.05, above: null } }
const PROMOTE: ArmRules = { ...NO_RULES, promote: { against: 'control', alpha: 0.05 } }

/** An experiment of which so many verdicts were followed, arms in turn, each with its rate. */
function follow(
  rates: Readonly<Record<string, number>>,
  rules: ArmRules,
  verdicts: number,
  next = seeded(1),
) {
  const experiment = { name: 'e', arms: ARMS.filter(({ name }) => name in rates), rules }
  const evidence = new Evidence(planEvidence(experiment), 0)
  const names = Object.keys(rates)
  for (let index = 0; index < verdicts; index++) {
    const name = names[Math.floor(next() * names.length)]!
    const place = { requestedAt: index + 1, sampleId: String(index) }
    evidence.add({ ...place, arm: name, positive: next() < rates[name]!, assignment: 'w' }, 1e9)
  }
  return { experiment, evidence, due: findDue(experiment, evidence) }
}

const acts = (due: ReturnType<typeof findDue>) => due.map(({ arm, action, by }) => `${by} ${arm} ${action}`)

describe('rollback', () => {
  test('switches off an arm that is proven to be worse, and says what proves it', () => {
    const { due } = follow({ control: 0.05, one: 0.4, two: 0.05 }, ROLLBACK, 600)
    expect(acts(due)).toEqual(['rollback one off'])
    expect(due[0]!.reason).toMatch(
      /^one has a higher positive rate than control: \d+ of \d+ \(\d+\.\d%\) against \d+ of \d+ \(\d\.\d%\), by \d+\.\d% to \d+\.\d%; proven at any time at 0\.05 \(p [\d.e-]+\)$/,
    )
    const { proof } = due[0]!
    expect(proof).toMatchObject({ rule: 'worse_than', against: 'control', alpha: 0.05 })
    expect(proof.log_e).toBeGreaterThanOrEqual(proof.threshold)
    expect(proof.difference!.lower).toBeGreaterThan(0.1)
  })

  test('keeps to what was once proven, whatever comes later', () => {
    const { experiment, evidence } = follow({ control: 0.05, one: 0.5 }, ROLLBACK, 200)
    for (let index = 0; index < 2_000; index++) {
      const place = { requestedAt: 1_000 + index, sampleId: `more ${index}` }
      const name = index % 2 === 0 ? 'control' : 'one'
      evidence.add({ ...place, arm: name, positive: name === 'control', assignment: 'w' }, 1e9)
    }
    expect(evidence.reported.results()[0]!.logEWorse).toBeLessThan(Math.log(20))
    expect(acts(findDue(experiment, evidence))).toEqual(['rollback one off'])
  })

  test('leaves equal arms alone, in twenty runs', () => {
    const rules = compileRules({ rollback: { alpha: 0.05, above: 0.2 }, promote: { alpha: 0.05 } }, ARMS)
    // Of 1,500 such runs 13 roll an arm back and 15 promote one.
    const next = seeded(20261124)
    const acted = Array.from({ length: 20 }, () =>
      acts(follow({ control: 0.1, one: 0.1, two: 0.1 }, rules, 3_000, next).due),
    )
    expect(acted.flat()).toEqual([])
  })

  test('compares with the arm it names, and leaves that one and the control alone', () => {
    const rules: ArmRules = { ...NO_RULES, rollback: { against: 'one', alpha: 0.05, above: null } }
    expect(acts(follow({ control: 0.9, one: 0.1, two: 0.6 }, rules, 400).due)).toEqual(['rollback two off'])
    expect(acts(follow({ control: 0.1, one: 0.9, two: 0.9 }, rules, 400).due)).toEqual([])
  })

  test('switches off an arm that is proven to be above a rate, whatever the control does', () => {
    const rules = compileRules({ rollback: { alpha: 0.05, above: 0.2 } }, ARMS)
    const { due } = follow({ control: 0.5, one: 0.5, two: 0.1 }, rules, 400)
    expect(acts(due)).toEqual(['rollback one off'])
    expect(due[0]!.reason).toMatch(/^one has a positive rate above 20\.0%: .*proven at any time at 0\.025/)
    expect(due[0]!.proof).toMatchObject({ rule: 'above', against: 0.2, alpha: 0.025, control: null })
  })
})

describe('promote', () => {
  test('takes the arm that is proven to be better; of several the one with the lowest rate', () => {
    expect(acts(follow({ control: 0.4, one: 0.1, two: 0.4 }, PROMOTE, 900).due)).toEqual([
      'promote one promoted',
    ])
    expect(acts(follow({ control: 0.6, one: 0.2, two: 0.02 }, PROMOTE, 900).due)).toEqual([
      'promote two promoted',
    ])
  })

  test('is never done by an experiment that does not ask for it', () => {
    expect(follow({ control: 0.6, one: 0.1 }, ROLLBACK, 900).due).toEqual([])
  })
})

describe('what is stored of it', () => {
  const { experiment, evidence, due } = follow({ control: 0.05, one: 0.6, two: 0.6 }, ROLLBACK, 900)
  const nothingOff = () => false

  test('has the same id in every process, and the state of the evidence', () => {
    const [first, second] = [1, 2].map((at) =>
      eventsFor(experiment, evidence, due, { history: [], off: nothingOff, at }),
    )
    expect(first!.map(({ id }) => id)).toEqual(second!.map(({ id }) => id))
    expect(new Set(first!.map(({ id }) => id)).size).toBe(2)
    const kept = JSON.parse(first![0]!.evidence!) as Proof
    expect(kept).toMatchObject({ rule: 'worse_than', since: 0, verdicts: 900, late: 0 })
    expect(kept).toMatchObject({ cursor: { requestedAt: 900 }, arm: { total: expect.any(Number) } })
  })

  test('leaves out arms that are off already, and all of an experiment with a promoted arm', () => {
    const at = 1
    const off = [armEvent({ experiment: 'e', arm: 'one' })]
    expect(
      eventsFor(experiment, evidence, due, { history: off, off: nothingOff, at }).map((it) => it.arm),
    ).toEqual(['two'])
    expect(eventsFor(experiment, evidence, due, { history: [], off: (it) => it === 'two', at })).toHaveLength(
      1,
    )
    const promoted = [armEvent({ experiment: 'e', arm: 'one', action: 'promoted' })]
    expect(eventsFor(experiment, evidence, due, { history: promoted, off: nothingOff, at })).toEqual([])
  })
})
